"""The encoder of Whisper on short clips, and whole Whisper models for transcription."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.backbones import pretrained, whisper_weights
from acclimate.backbones.base import Spec
from acclimate.backbones.layers import blocks_by_prefix, first_tensor
from acclimate.backbones.mels import log_mel
from acclimate.backbones.sound import Settings, SoundBackbone, inside, max_over_time, mean_over_time
from acclimate.settings import as_dict

KIND = "transformers_audio"
STEP = 320
"""Samples of one position: the hop of 160, halved by the second convolution."""


class Whisper(SoundBackbone):
    """Whisper's encoder, run on the first positions alone and not on 30 s: short clips cost little.

    Layers: ``layer_1`` ... ``layer_n``, and ``final``, the output after the last norm: the default. Each is mean and
    maximum over the clip's own positions, ``2 * d`` numbers. Radford et al., Robust Speech Recognition via Large-Scale
    Weak Supervision, 2022.

    **Helps** where words matter and voices do not: it was trained on transcripts. **Hurts** where the voice or a sound
    that is no speech is asked for (`speaker_encoder` knows voices), and clips longer than 30 s are cut.
    """

    kind = KIND
    least = 2.5

    def __init__(self, name: str, network: Any, settings: Settings, learning_rate: float):
        super().__init__()
        self.network = network
        self.use(settings)
        depth, width = len(network.layers), network.config.d_model
        self.places = {**{f"layer_{k + 1}": f"layers.{k}" for k in range(depth)}, "final": ""}
        layers = dict.fromkeys(self.places, 2 * width)
        self.spec = Spec(name, "audio", layers, "final", pretrained=True, learning_rate=learning_rate)

    def whole(self, samples: int) -> int:
        longest = self.network.config.max_source_positions * STEP
        return min(-(-samples // STEP) * STEP, longest)

    def inputs(self, sound: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        mels = log_mel(sound, self.rate, self.network.config.num_mel_bins)
        return {"mels": mels, "positions": -(-lengths // STEP)}

    def run(self, inputs: Mapping[str, Tensor]) -> Tensor:
        network = self.network
        values = F.gelu(network.conv2(F.gelu(network.conv1(inputs["mels"])))).transpose(1, 2)
        values = values + network.embed_positions.weight[: values.shape[1]]
        values = F.dropout(values, network.dropout, self.training)
        for layer in network.layers:
            values = first_tensor(layer(values, None))
        return network.layer_norm(values)

    def pool(self, output: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        positions = inputs["positions"]
        return torch.cat([mean_over_time(output, positions), max_over_time(output, positions)], dim=1)

    def layer_names(self) -> Iterable[str]:
        return inside(self.network, "layers")

    def blocks(self) -> list[list[nn.Parameter]]:
        prefixes = ["conv1", "conv2", *(place for place in self.places.values() if place), "layer_norm"]
        blocks = blocks_by_prefix(self.network, prefixes)
        return [[p for p in block if p.requires_grad] for block in blocks]  # positions are sinusoids, and stay

    def config(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.spec.name,
            "settings": as_dict(self.settings),
            "learning_rate": self.spec.learning_rate,
            "network": pretrained.config_json(self.network),
        }


def encoder(config: Mapping[str, Any]) -> Any:
    """The encoder of a Whisper config, with random weights."""
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    with torch.random.fork_rng(devices=[]):
        return WhisperEncoder(WhisperConfig(**{k: v for k, v in config.items() if k != "model_type"})).eval()


def whole(source: str) -> Any:
    """A whole Whisper with decoder, as `WhisperForConditionalGeneration` in evaluation mode, for transcription.

    Args:
        source: ``whisper_tiny_en`` (weights of the package in the extra 'audio', or the hub's), a folder of
            transformers, or ``hf:NAME``.

    Raises:
        MissingAssetError: not on this machine, and the hub cannot be reached.
        DataError: no Whisper, or broken.
    """
    from transformers import WhisperForConditionalGeneration

    if source != "whisper_tiny_en":
        return pretrained.with_weights(WhisperForConditionalGeneration, pretrained.transformers_folder(source))
    body = whisper_weights.tiny_en()
    with torch.random.fork_rng(devices=[]):
        network = WhisperForConditionalGeneration(whisper_weights.tiny_en_config())
    network.model = body
    network.tie_weights()
    return network.eval()
