"""FDA: source images in the target's style, by the low frequencies of their spectra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from acclimate.backbones.base import Backbone
from acclimate.domains.batch import Batch
from acclimate.methods.base import Method
from acclimate.methods.data import Data, Need
from acclimate.training.stage import Loop, Pass, Stage


def exchange_style(source: Tensor, target: Tensor, band: float) -> Tensor:
    """Source images with the target's amplitudes at low frequencies, and phases of their own.

    Frequencies up to ``floor(band * shorter side)`` in both directions take the amplitude of the target's image; the
    mean, whose phase is its sign once images are normalised, is taken whole. Yang and Soatto, FDA, CVPR 2020, eq. 3.

    Args:
        source: ``[n, channels, h, w]``.
        target: ``[m, channels, h, w]``; the k-th source image takes the style of the k-th (modulo m).
        band: 0 to 0.5; 0 exchanges the mean alone.

    Returns:
        ``[n, channels, h, w]``.
    """
    height, width = source.shape[-2:]
    other = target[torch.arange(len(source), device=source.device) % len(target)].float()
    own, given = torch.fft.fft2(source.float()), torch.fft.fft2(other)
    low = int(band * min(height, width))
    down = (torch.fft.fftfreq(height, 1 / height, device=source.device).abs() <= low)[:, None]
    across = torch.fft.fftfreq(width, 1 / width, device=source.device).abs() <= low
    mixed = torch.where(down & across, torch.polar(given.abs(), own.angle()), own)
    mixed[..., 0, 0] = given[..., 0, 0]
    return torch.fft.ifft2(mixed).real.to(source.dtype)


@dataclass(frozen=True)
class FDA(Method):
    """Training on source images that look like the target's.

    Each source image of a batch takes the amplitude of the low frequencies of a target image, in which light, colour
    and contrast lie, and keeps its phases, in which shapes lie. There is nothing to learn in this, and no label of the
    target is needed: the task's loss on the changed images is all.

    Helps where domains differ in light, colour or stain, and with tasks that ask where things are. Hurts where low
    frequencies tell what a thing is, and where the band is wide: images then get ghosts of the others.

    Yang and Soatto, FDA: Fourier Domain Adaptation for Semantic Segmentation, CVPR 2020, section 3.1.

    Attributes:
        band: half its width as a share of the image's side (paper: beta, 0.01, 0.05 and 0.09); 0: the mean alone.
    """

    band: float = 0.01

    name: ClassVar[str] = "fda"
    about: ClassVar[str] = "source images in the target's light and colours (Yang and Soatto 2020)"
    ranges: ClassVar[Mapping[str, str]] = {"band": "[0, 0.5]"}
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"band": (0.01, 0.05, 0.09)}
    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "target_inputs", "images")

    def lacks(self, backbone: Backbone, frozen: bool) -> str:
        """Something that reads images while it is trained."""
        return (
            f"method '{self.name}' changes images, and frozen features are read once; use --tune full" if frozen else ""
        )

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """One loop over labelled source and unlabelled target."""
        assert data.source is not None and data.target is not None
        streams = {"source": data.source, "target": data.target}
        return [Loop(self.name, streams, self, validation=data.source_validation)]

    def objective(self, step: Pass, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        """The task's loss on source images in the target's style."""
        source, target = batches["source"], batches["target"]
        loss = step.run(replace(source, inputs=_styled(source.inputs, target.inputs, self.band))).loss
        assert loss is not None
        return {"task": loss.mean()}


def _styled(source: Any, target: Any, band: float) -> Any:
    """Inputs of images, or of images and how they lie, in another style."""
    if isinstance(source, Mapping):
        return {**source, "pixels": exchange_style(source["pixels"], target["pixels"], band)}
    return exchange_style(source, target, band)
