"""Speech encoders of transformers: Whisper's, and those that read waveforms (wav2vec 2.0, HuBERT, WavLM)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from acclimate.backbones import pretrained, whisper
from acclimate.backbones.base import Spec
from acclimate.backbones.layers import blocks_by_prefix
from acclimate.backbones.sound import RATE, SoundBackbone, inside
from acclimate.backbones.whisper_writer import Settings
from acclimate.domains.domain import Modality
from acclimate.errors import DataError, MissingAssetError, SettingsError
from acclimate.settings import as_dict, build

_STACK = "encoder.layers"
_HUB = "openai/whisper-tiny.en"


class Wave(SoundBackbone):
    """An encoder of waveforms: convolutions over samples, then a transformer. wav2vec 2.0, HuBERT, WavLM and the like.

    Layers: ``layer_1`` ... ``layer_n`` and ``final``, the network's output: the default. Each is the mean over the
    clip's own positions. Baevski et al., wav2vec 2.0, NeurIPS 2020; Hsu et al., HuBERT, TASLP 2021; Chen et al.,
    WavLM, JSTSP 2022. Middle layers often tell more than the last one (Pasad et al., ASRU 2021): try ``tune.layer``.
    """

    kind = whisper.KIND

    def __init__(self, name: str, network: Any, settings: Settings, front: Mapping[str, Any], learning_rate: float):
        super().__init__()
        network.config.apply_spec_augment = False  # draws masks from NumPy's global state; `augment` makes them
        network.config.layerdrop = 0.0  # likewise from torch's
        if hasattr(network, "masked_spec_embed"):
            network.masked_spec_embed.requires_grad_(False)
        self.network, self.front, self.rate = network, dict(front), int(front["rate"])
        self.use(settings)
        depth = len(network.get_submodule(_STACK))
        self.places = {**{f"layer_{k + 1}": f"{_STACK}.{k}" for k in range(depth)}, "final": ""}
        layers = dict.fromkeys(self.places, network.config.hidden_size)
        self.spec = Spec(name, "audio", layers, "final", pretrained=True, learning_rate=learning_rate)

    def whole(self, samples: int) -> int:
        """At least one position, and so no less than the convolutions see at once."""
        config, least = self.network.config, 1
        for width, step in reversed(list(zip(config.conv_kernel, config.conv_stride, strict=True))):
            least = (least - 1) * step + width
        return max(samples, least)

    def inputs(self, sound: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        own = torch.arange(sound.shape[1]) < lengths.unsqueeze(1)
        if self.front["normalize"]:
            count = lengths.unsqueeze(1)
            centred = (sound - (sound * own).sum(1, keepdim=True) / count) * own
            sound = centred / (centred.square().sum(1, keepdim=True) / count + 1e-7).sqrt()
        positions = self.network._get_feat_extract_output_lengths(lengths).clamp(min=1)
        return {"sound": sound, "own": own.long(), "positions": positions.long()}

    @property
    def heard(self) -> tuple[str, int | None]:
        """The waveform."""
        return "sound", None

    def run(self, inputs: Mapping[str, Tensor]) -> Any:
        # Networks whose first layer is normalised over time were trained without a mask, on silence behind the sound.
        masks = {"attention_mask": inputs["own"]} if self.network.config.feat_extract_norm == "layer" else {}
        return self.network(inputs["sound"], **masks)

    def layer_names(self) -> Iterable[str]:
        return inside(self.network, _STACK)

    def blocks(self) -> list[list[nn.Parameter]]:
        before = ["feature_extractor", "feature_projection", "encoder.pos_conv_embed"]
        prefixes = [*before, *(place for place in self.places.values() if place), "encoder.layer_norm"]
        blocks = blocks_by_prefix(self.network, prefixes)
        return [[p for p in block if p.requires_grad] for block in blocks]

    def config(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.spec.name,
            "settings": as_dict(self.settings),
            "front": self.front,
            "learning_rate": self.spec.learning_rate,
            "network": pretrained.config_json(self.network),
        }


def create(name: str, modality: Modality, settings: Settings, seed: int) -> SoundBackbone:
    """`whisper_tiny_en`: the encoder of Whisper tiny.en, 8 M parameters, 768 features; with its decoder 38 M.

    Raises:
        MissingAssetError: neither the package of the extra 'audio' nor the hub's copy is here.
    """
    try:
        return _checked(whisper.load(name, name, settings, 1e-4))
    except MissingAssetError as missing:
        try:
            return load(f"hf:{_HUB}", name, settings)
        except MissingAssetError as error:
            raise MissingAssetError(
                f"{name}: {missing}, or pip install 'acclimate[audio]'; or from the hub: {error}"
            ) from None


def load(source: str, name: str, settings: Settings, learning_rate: float = 5e-5) -> SoundBackbone:
    """Any speech encoder from a folder or the hub (``hf:NAME``); of Whisper the decoder too when it is to write.

    Raises:
        DataError: config or weights are broken, or of a network that reads no sound.
        MissingAssetError: not on this machine, and the hub cannot be reached.
    """
    folder = pretrained.transformers_folder(source)
    if pretrained.model_type(folder) == "whisper":
        return _checked(whisper.load(str(folder), name, settings, learning_rate))
    network: Any = pretrained.load_network(folder)
    if not hasattr(network, "_get_feat_extract_output_lengths"):
        raise DataError(f"{folder}: a model of type '{network.config.model_type}', which reads no waveforms")
    if settings.write != "en":
        raise SettingsError("backbone.write is of Whisper; what this network hears, it learns to spell from the source")
    return _checked(Wave(name, network, settings, _front(folder), learning_rate))


def restore(config: Mapping[str, Any], folder: Path) -> SoundBackbone:
    """From the `config` of either class; weights are loaded by the caller."""
    settings = build(Settings, config["settings"], "backbone")
    name, rate = config["name"], config["learning_rate"]
    if config["network"]["model_type"] == "whisper":
        return whisper.Whisper(name, whisper.encoder(config["network"]), settings, rate)
    return Wave(name, pretrained.build_network(config["network"]), settings, config["front"], rate)


def _checked(backbone: SoundBackbone) -> SoundBackbone:
    """The backbone, if the noise that its training asks for is there."""
    backbone.preprocess.check()
    return backbone


def _front(folder: Path) -> dict[str, Any]:
    """The rate that the model reads, and whether each sound is brought to mean 0 and variance 1."""
    try:
        found = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        found = {}
    except ValueError as error:
        raise DataError(f"{folder}/preprocessor_config.json: not JSON: {error}") from None
    return {"rate": int(found.get("sampling_rate") or RATE), "normalize": bool(found.get("do_normalize", True))}
