"""The encoder of Whisper on short clips, and whole Whisper models for transcription."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.backbones import pretrained, whisper_weights
from acclimate.backbones.base import Spec
from acclimate.backbones.layers import blocks_by_prefix, first_tensor
from acclimate.backbones.mels import log_mel
from acclimate.backbones.sound import LONGEST, SoundBackbone, inside, max_over_time, mean_over_time
from acclimate.backbones.whisper_writer import Language, Settings, WhisperWriter, language, saved_language
from acclimate.errors import SettingsError
from acclimate.settings import as_dict, build

KIND = "transformers_audio"
AT_ONCE = 16 * 480_000
"""Samples that are heard at a time where nothing learns: 16 clips of 30 s need 1 GB."""
STEP = 320
"""Samples of one position: the hop of 160, halved by the second convolution."""


class Whisper(SoundBackbone):
    """Whisper's encoder, run on the first positions alone and not on 30 s: short clips cost little.

    Layers: ``layer_1`` ... ``layer_n``, and ``final``, the output after the last norm: the default. Each is mean and
    maximum over the clip's own positions, ``2 * d`` numbers. Radford et al., Robust Speech Recognition via Large-Scale
    Weak Supervision, 2022.

    To write (after `read_units`) it has the decoder too, and reads 30 s unless told otherwise: the decoder looks at the
    silence behind a clip to find its end, and repeats itself without.

    **Helps** where words matter and voices do not: it was trained on transcripts. **Hurts** where the voice or a sound
    that is no speech is asked for (`speaker_encoder` knows voices), and clips longer than 30 s are cut.
    """

    kind = KIND
    least = 2.5
    settings: Settings
    decoder: Any
    """What writes, once it is asked for."""
    language: Language | None = None

    def __init__(
        self,
        name: str,
        network: Any,
        settings: Settings,
        learning_rate: float,
        speaks: Callable[[], tuple[Any, Language]] | None = None,
    ):
        super().__init__()
        self.network, self.decoder, self._speaks = network, None, speaks
        self._short = settings.seconds is None
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

    def forward(self, inputs: Any, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        if not self.in_units or torch.is_grad_enabled():
            return super().forward(inputs, layers)
        rows = max(1, AT_ONCE // self.preprocess.samples)
        pieces = zip(*(value.split(rows) for value in inputs.values()), strict=True)
        parts = [super(Whisper, self).forward(dict(zip(inputs, piece, strict=True)), layers) for piece in pieces]
        return {layer: torch.cat([part[layer] for part in parts]) for layer in parts[0]}

    def summary(self, values: Tensor, positions: Tensor) -> Tensor:
        return torch.cat([mean_over_time(values, positions), max_over_time(values, positions)], dim=1)

    def read_units(self) -> None:
        """Positions of 20 ms, and the decoder behind them.

        Raises:
            SettingsError: it was saved without its decoder, or does not know the language.
        """
        if self.in_units:
            return
        if self.decoder is None:
            if self._speaks is None:
                raise SettingsError(
                    f"backbone '{self.spec.name}' was saved as an encoder alone, which writes nothing; take a whole "
                    "Whisper, such as whisper_tiny_en, its folder, or a run of --task transcribe"
                )
            self.decoder, self.language = self._speaks()
        super().read_units()
        self.spec = replace(self.spec, layers=dict.fromkeys(self.spec.layers, self.network.config.d_model))
        if self._short:
            self.use(replace(self.settings, seconds=LONGEST))

    def writer(self) -> WhisperWriter:
        self.read_units()
        assert self.language is not None
        return WhisperWriter(self.decoder, self.language)

    def layer_names(self) -> Iterable[str]:
        return inside(self.network, "layers")

    def blocks(self) -> list[list[nn.Parameter]]:
        prefixes = ["conv1", "conv2", *(place for place in self.places.values() if place), "layer_norm"]
        blocks = blocks_by_prefix(self.network, prefixes)
        if self.in_units:
            inner = [f"layers.{k}" for k in range(len(self.decoder.layers))]
            blocks += blocks_by_prefix(self.decoder, ["embed_tokens", "embed_positions", *inner, "layer_norm"])
        return [[p for p in block if p.requires_grad] for block in blocks]  # the encoder's positions are sinusoids

    def config(self) -> dict[str, Any]:
        writes = {} if self.language is None else {"kind": "whisper", "language": self.language.config()}
        return {
            "kind": self.kind,
            "name": self.spec.name,
            "settings": as_dict(self.settings),
            "learning_rate": self.spec.learning_rate,
            "network": pretrained.config_json(self.network),
            **writes,
        }

    def assets(self, folder: Path) -> None:
        if self.language is not None:
            self.language.tokenizer.save_pretrained(folder / "tokenizer")


def restore(config: Mapping[str, Any], folder: Path) -> Whisper:
    """From the `config` of one with its decoder, and its tokenizer; weights are loaded by the caller."""
    settings, heard = build(Settings, config["settings"], "backbone"), encoder(config["network"])
    found = Whisper(config["name"], heard, settings, config["learning_rate"])
    found.decoder, found.language = decoder(config["network"]), saved_language(config["language"], folder)
    return found


def encoder(config: Mapping[str, Any]) -> Any:
    """The encoder of a Whisper config, with random weights."""
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    return _empty(WhisperEncoder, config)


def decoder(config: Mapping[str, Any]) -> Any:
    """The decoder of a Whisper config, with random weights."""
    from transformers.models.whisper.modeling_whisper import WhisperDecoder

    return _empty(WhisperDecoder, config)


def _empty(kind: Any, config: Mapping[str, Any]) -> Any:
    from transformers import WhisperConfig

    with torch.random.fork_rng(devices=[]):
        return kind(WhisperConfig(**{k: v for k, v in config.items() if k != "model_type"})).eval()


def load(source: str, name: str, settings: Settings, learning_rate: float) -> Whisper:
    """The encoder of a Whisper (``source`` as for `whole`), which takes the decoder when it is to write.

    Raises:
        MissingAssetError, DataError: as of `whole`.
    """

    def speaks() -> tuple[Any, Language]:
        network = whole(source)
        return network.model.decoder, language(source, network, settings.write)

    heard = whisper_weights.tiny_en().encoder if source == "whisper_tiny_en" else whole(source).model.encoder
    return Whisper(name, heard, settings, learning_rate, speaks)


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
