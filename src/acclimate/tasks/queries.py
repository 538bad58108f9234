"""Objects that a detector with a head of its own finds: one answer for each of its queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from acclimate.backbones.base import Backbone
from acclimate.errors import SettingsError
from acclimate.tasks.box_metrics import MOST
from acclimate.tasks.detect import REGIONS, Detect
from acclimate.tasks.sites import Maps, Site


@dataclass(frozen=True)
class DetectByQueries(Detect):
    """A box around each object, by a detector of transformers (DETR, Carion et al., ECCV 2020; YOLOS, Fang et al.,
    NeurIPS 2021; RT-DETR, Zhao et al., CVPR 2024; D-FINE, Peng et al., ICLR 2025) as a whole, its head included.

    The loss is the detector's own, of each image by itself: what is found is matched with what is there, and terms and
    their weights are those of its config, denoising queries included. Kinds of objects that it knows by name keep what
    it knows of them. A box that is not known (self-training) is background here: the matching has no third way.

    **Helps** where the detector was trained on photographs like these, and objects are many, or cover each other.
    **Hurts** from scratch: without pretraining, matching takes hundreds of epochs (`Detect` on a backbone of ours is
    quicker).

    Sites: ``features``, the mean of what the encoder says of an image, and ``regions``, the 16 surest queries with the
    probabilities of the kinds and of nothing (encoder and decoder queries: Wang et al., SFA, ACM MM 2021).
    """

    writes: ClassVar[bool] = True

    def head(self, size: Any) -> nn.Module:
        """Never: it is the backbone's own."""
        raise SettingsError(f"task '{self.name}' has no head of its own here: the backbone finds objects")

    def own_head(self, backbone: Backbone) -> nn.Module:
        """The backbone's, for these kinds."""
        return backbone.finder(self.kinds)

    def outputs(self, head: nn.Module, features: Maps) -> dict[str, Tensor]:
        """What its queries say (`acclimate.backbones.transformers_detector.Finder`), ``frame`` and ``side``."""
        pixels = features.values[0]
        side = pixels.new_full((len(pixels),), pixels.shape[2])
        return {**head(pixels, features.targets), "frame": features.frames, "side": side}

    def brief(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The highest scores ``[n, 100, 6]``: score, kind, and box in pixels of the canvas; frame and side."""
        scores = outputs["scores"]
        best, at = scores.flatten(1).topk(min(MOST, scores[0].numel()))
        kinds = scores.shape[2]
        boxes = outputs["boxes"].gather(1, (at // kinds)[..., None].expand(-1, -1, 4))
        found = torch.cat([best[..., None], (at % kinds)[..., None].to(boxes.dtype), boxes], dim=2)
        return {"found": found, "frame": outputs["frame"], "side": outputs["side"]}

    def sites(self, features: Maps, outputs: Mapping[str, Tensor]) -> dict[str, Site]:
        """``features`` and ``regions``."""
        scores, encoder = outputs["scores"], outputs["encoder"]
        rows = torch.arange(len(scores), device=scores.device)
        _, at = scores.amax(2).topk(min(REGIONS, scores.shape[1]))
        states, probs = (
            value.gather(1, at[..., None].expand(-1, -1, value.shape[2])).flatten(0, 1)
            for value in (outputs["states"], outputs["probs"])
        )
        return {"features": Site(encoder, rows), "regions": Site(states, rows.repeat_interleave(at.shape[1]), probs)}

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        """The detector's own of each image ``[n]``, of the targets that it was shown."""
        return outputs["loss"]

    def config(self) -> dict[str, Any]:
        """As of `Detect`, and that the head is the backbone's."""
        return {**super().config(), "writes": True}
