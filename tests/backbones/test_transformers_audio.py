"""Speech encoders from local folders of transformers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from acclimate.backbones import registry
from acclimate.backbones.transformers_audio import Wave
from acclimate.errors import DataError

pytest.importorskip("soxr")
SMALL = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
CONVOLUTIONS = {
    "conv_dim": (16, 16), "conv_kernel": (10, 8), "conv_stride": (10, 8), "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2, "mask_time_prob": 0.5, "layerdrop": 0.5,
}  # fmt: skip


@pytest.fixture(params=["wav2vec2", "hubert", "wavlm", "whisper"])
def folder(request, tmp_path) -> Path:
    """A tiny model of transformers, made from a config and saved."""
    import transformers as hf

    with torch.random.fork_rng():
        torch.manual_seed(0)
        if request.param == "whisper":
            config = hf.WhisperConfig(
                vocab_size=60, num_mel_bins=40, d_model=16, encoder_layers=2, decoder_layers=1,
                encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
                max_source_positions=100, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
            )  # fmt: skip
            hf.WhisperForConditionalGeneration(config).save_pretrained(tmp_path)
        else:
            name = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert", "wavlm": "WavLM"}[request.param]
            norm = "group" if request.param == "wav2vec2" else "layer"
            config = getattr(hf, f"{name}Config")(**SMALL, **CONVOLUTIONS, feat_extract_norm=norm, vocab_size=32)
            getattr(hf, f"{name}Model")(config).save_pretrained(tmp_path)
            front = {"sampling_rate": 8000, "do_normalize": True}
            (tmp_path / "preprocessor_config.json").write_text(json.dumps(front))
    return tmp_path


def test_any_local_folder(folder, odd_sounds, round_trip, trains, spoken):
    backbone = registry.create(str(folder), "audio", {"seconds": 1.0})
    state = torch.get_rng_state(), np.random.get_state()[1].copy()
    trains(backbone, odd_sounds)
    assert np.array_equal(np.random.get_state()[1], state[1]), "no masks from NumPy's global state"
    round_trip(backbone, odd_sounds)
    word, other = spoken("ai"), spoken("ia")
    with torch.inference_mode():
        pair = backbone(backbone.collate([word, other]))["final"]
        alone = backbone(backbone.collate([word]))["final"]
        louder = backbone(backbone.collate([(0.1 * word[0], word[1])]))["final"]
    torch.testing.assert_close(pair[:1], alone, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(pair[0], pair[1], atol=1e-3)
    if isinstance(backbone, Wave):
        assert backbone.rate == 8000
        torch.testing.assert_close(louder, alone, rtol=1e-2, atol=1e-2)


def test_a_folder_of_another_modality(tiny_text):
    with pytest.raises(DataError, match="a model of type 'bert', which reads no waveforms"):
        registry.create(str(tiny_text), "audio")
