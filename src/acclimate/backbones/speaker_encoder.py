"""A speaker encoder: whose voice it is, whatever is said. Resemblyzer's weights, without its dependencies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.backbones import packaged
from acclimate.backbones.base import Backbone, Spec
from acclimate.backbones.layers import blocks_by_prefix
from acclimate.backbones.mels import mel_power
from acclimate.backbones.parts import Parts, of_numbers
from acclimate.backbones.sound import LONGEST, Settings, SoundBackbone, mean_over_time
from acclimate.backbones.stretches import stretches
from acclimate.domains.domain import Modality
from acclimate.domains.sounds import Sound
from acclimate.settings import as_dict, build

_PACKAGE = "resemblyzer"
_FILE = "pretrained.pt"
_SHA256 = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"
_BANDS = 40
_WINDOW, _STEP = 160, 77
"""Frames of 10 ms that the network hears at once, and from one window to the next: 1.6 s, 1.3 windows a second."""
_HOP = 160
_LOUDNESS = 10 ** (-30 / 20)
"""Root mean square to which quieter sounds are brought: 30 dB below full scale."""


class VoiceEncoder(nn.Module):
    """Three LSTM layers over mel power, then a linear layer: `[n, frames, 40]` to vectors of length 1, ``[n, 256]``."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(_BANDS, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)

    def forward(self, mels: Tensor) -> Tensor:
        _, (hidden, _) = self.lstm(mels)
        return F.normalize(self.linear(hidden[-1]).relu(), dim=1)


class SpeakerEncoder(SoundBackbone):
    """A d-vector: windows of 1.6 s are read by an LSTM, and their vectors averaged and brought to length 1.

    Layer ``voice``, 256 numbers; the cosine of two clips says how alike the voices are. Silence fills the
    window of a shorter clip. Wan et al., Generalized End-to-End Loss for Speaker Verification, ICASSP 2018; weights of
    Resemblyzer 0.1.4 (Apache-2.0). Silences inside a clip are kept, where Resemblyzer cuts them out.

    **Helps** for who speaks, with a second or more of speech. **Hurts** for what is said: it was trained to forget it.
    Clips of half a second tell little of a voice, and another microphone looks like another voice.
    """

    kind = "speaker_encoder"

    def __init__(self, settings: Settings, network: nn.Module):
        super().__init__()
        self.network = network
        self.use(settings)
        self.places = {"voice": ""}
        self.spec = Spec("speaker_encoder", "audio", {"voice": 256}, "voice", pretrained=True, learning_rate=1e-4)

    def whole(self, samples: int) -> int:
        """As many windows as cover the samples."""
        frames = -(-samples // _HOP)
        windows = 1 + max(0, -(-(frames - _WINDOW) // _STEP))
        longest = (int(LONGEST * self.rate) // _HOP - _WINDOW) // _STEP
        return (_WINDOW + min(windows - 1, longest) * _STEP) * _HOP

    def inputs(self, sound: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """``mels [n, windows, 160, 40]``, and in how many windows three quarters are sound."""
        loud = (sound.square().sum(1) / lengths).sqrt()
        gain = torch.where(loud > 0, (_LOUDNESS / loud.clamp(min=1e-9)).clamp(min=1.0), 1.0)
        mels = mel_power(sound * gain.unsqueeze(1), self.rate, _BANDS, reflect=False)[..., :-1].transpose(1, 2)
        frames = -(-lengths // _HOP)
        windows = 1 + (frames - _WINDOW + _WINDOW // 4).clamp(min=0) // _STEP
        return {"mels": mels.unfold(1, _WINDOW, _STEP).transpose(2, 3).contiguous(), "positions": windows}

    def parts(self, raw: Sequence[Sound]) -> Parts:
        """Stretches of time: windows overlap, so that a frame stands in several of them."""
        sound, lengths = self.preprocess(raw)
        found, silence = self.inputs(sound, lengths), self.inputs(torch.zeros_like(sound), lengths)
        every = (found["mels"].shape[1] - 1) * _STEP + _WINDOW
        known = stretches(-(-int(lengths[0]) // _HOP), every, float(lengths[0]) / self.rate)
        owner = known.of.unfold(0, _WINDOW, _STEP).contiguous()

        def windowed(mels: Tensor) -> dict[str, Tensor]:
            return {"mels": mels, "positions": found["positions"].to(mels.device).expand(len(mels))}

        return of_numbers(
            "curves", known.names, known.places, found["mels"], silence["mels"], owner, inputs=windowed,
            shown={"curves": sound[:, : int(lengths[0])].numpy(), "spans": known.spans},
        )  # fmt: skip

    def run(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """``[n, windows, 256]``."""
        mels = inputs["mels"]
        return self.network(mels.flatten(0, 1)).unflatten(0, mels.shape[:2])

    def read_units(self) -> None:
        Backbone.read_units(self)  # a window of 1.6 s holds several words

    def summary(self, values: Tensor, positions: Tensor) -> Tensor:
        return F.normalize(mean_over_time(values, positions), dim=1)

    def layer_names(self) -> Iterable[str]:
        return ()

    def blocks(self) -> list[list[nn.Parameter]]:
        return blocks_by_prefix(self.network, ["lstm", "linear"])

    def config(self) -> dict[str, Any]:
        return {"kind": self.kind, "settings": as_dict(self.settings)}


def create(name: str, modality: Modality, settings: Settings, seed: int) -> SpeakerEncoder:
    """With the weights of the package resemblyzer.

    Raises:
        MissingAssetError: the package is not installed; it is fetched without its dependencies, none of which is used.
    """

    def fill(checkpoint: Mapping[str, Any]) -> nn.Module:
        state = {k: v for k, v in checkpoint["model_state"].items() if not k.startswith("similarity")}
        network = _empty()
        network.load_state_dict(state)
        return network

    network = _empty()
    network.load_state_dict(packaged.converted(_PACKAGE, _FILE, _SHA256, fill))
    backbone = SpeakerEncoder(settings, network.eval())
    backbone.preprocess.check()
    return backbone


def restore(config: Mapping[str, Any], folder: Path) -> SpeakerEncoder:
    """From `SpeakerEncoder.config`; weights are loaded by the caller."""
    return SpeakerEncoder(build(Settings, config["settings"], "backbone"), _empty())


def _empty() -> VoiceEncoder:
    with torch.random.fork_rng(devices=[]):
        return VoiceEncoder()
