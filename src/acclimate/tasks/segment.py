"""What each pixel of an image shows (semantic segmentation)."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.domains.canvas import back, onto
from acclimate.domains.domain import Domain, Modality, Rows, Shapes
from acclimate.domains.legends import BACKGROUND
from acclimate.domains.masks import VOID, from_text, to_text
from acclimate.domains.rows import place_of
from acclimate.errors import DataError
from acclimate.tasks.answers import Answers, Metric, Pseudo
from acclimate.tasks.base import Kind, Reads, Task
from acclimate.tasks.mask_metrics import weighted_masks
from acclimate.tasks.metrics import Weighted
from acclimate.tasks.places import inside
from acclimate.tasks.sites import Maps, Site
from acclimate.tasks.thresholds import Look, majority, otsu
from acclimate.tasks.unet import UNet

PATCH = 16
"""Pixels of the canvas from one pixel that a site sees to the next, and across a patch of answers."""
GRID = 24
"""About as many pixels in each direction are kept with all of their logits, to be calibrated and judged by."""
POOLED = 2
"""By which answers are shrunk in a patch."""
SURE = 200.0
"""A confidence is kept as a byte: 0 to `SURE`."""


class Decoder(nn.Module):
    """A U-Net and a linear layer on each pixel."""

    def __init__(self, widths: Mapping[int, int], categories: int):
        super().__init__()
        self.unet = UNet(widths)
        self.classify = nn.Conv2d(self.unet.size, categories, 1)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Features ``[n, d, side, side]`` and logits ``[n, categories, side, side]``."""
        pixels = self.unet(maps)
        return pixels, self.classify(pixels)


@dataclass(frozen=True)
class Segment(Task):
    """One of several categories for each pixel.

    A U-Net reads the backbone's maps and the image itself. The loss of an image is the mean cross-entropy of its
    labelled pixels plus the soft Dice loss (Milletari et al., V-Net, 3DV 2016, section 3; the mean over categories), by
    which thin and rare things count too. Labels: see `acclimate.domains.masks`. Images are read whole, on a square
    canvas of ``backbone.size`` pixels (320), and answered in their own pixels.

    **Helps** where every pixel is labelled and things have no number (vessels, roads, tissue). **Hurts** where single
    objects are to be counted: those that touch become one (task ``detect``); details smaller than a pixel of the canvas
    are lost, so give thin things a larger ``backbone.size``.

    Sites: ``features``, an image's mean; ``pixels``, every 16th in both directions with its probabilities; ``output``,
    patches of 16 x 16 probabilities, so that adversarial alignment acts on the structure of answers (output space: Tsai
    et al., Learning to Adapt Structured Output Space, CVPR 2018, section 3, with the patch discriminator's fields cut
    out).

    Attributes:
        categories: sorted.
        look: what the plain baselines know of the source.
    """

    categories: tuple[str, ...]
    look: Look

    name: ClassVar[str] = "segment"
    kind: ClassVar[Kind] = "text"
    reads: ClassVar[Reads] = "maps"
    explained: ClassVar[str] = "mean log-probability of the categories of the pixels"
    modality: ClassVar[Modality] = "image"
    shapes: ClassVar[Shapes] = "masks"
    primary: ClassVar[Metric] = Metric("miou")

    @property
    def probable(self) -> bool:
        """Pixels have probabilities."""
        return True

    @classmethod
    def from_domain(cls, domain: Domain) -> Self:
        """The categories that masks show.

        Raises:
            DataError: no masks, rows that are no images, or fewer than two categories.
        """
        if domain.schema.modality != "image":
            raise DataError(f"{domain.name} is {domain.schema.modality}; pixels are segmented of images")
        if domain.labels is None:
            raise DataError(f"{domain.name}: masks are needed; name their folder with --label")
        found = sorted({name for label in domain.labels for name in from_text(label).runs})
        if not 2 <= len(found) < VOID:
            raise DataError(
                f"{domain.name}: masks show {found[:5]} alone; expected 2 to {VOID - 1} categories, of which "
                "background may be one"
            )
        return cls(tuple(found), Look.of(domain, found))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(tuple(config["categories"]), Look(**config["look"]))

    @property
    def possible(self) -> tuple[str, ...]:
        """The categories but for the background, which masks of anything show."""
        return tuple(name for name in self.categories if name != BACKGROUND)

    def named(self, label: str) -> Collection[str]:
        """The categories of a mask but for the background."""
        return from_text(label).runs.keys() - {BACKGROUND}

    def head(self, size: Mapping[int, int]) -> nn.Module:
        """A `Decoder`."""
        return Decoder(size, len(self.categories))

    def outputs(self, head: nn.Module, features: Maps) -> dict[str, Tensor]:
        """``logits [n, categories, side, side]``, ``pixels``, the features that they are made of, and ``frame``."""
        pixels, logits = head(features.values)
        return {"logits": logits, "pixels": pixels, "frame": features.frames}

    def brief(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The likeliest category of each pixel of the canvas and how sure it is, as bytes, the frame, and ``sample``
        ``[n, k, categories]``, the logits of pixels on a grid, NaN outside of the image.
        """
        logits, frames = outputs["logits"], outputs["frame"]
        sure, best = logits.softmax(1).max(1)
        some = _grid(logits.shape[2])
        sample = logits[:, :, some, some].movedim(1, -1).float()
        places = torch.arange(logits.shape[2], device=frames.device)[some] + 0.5
        sample = sample.masked_fill(~inside(frames, places, logits.shape[2])[..., None], math.nan).flatten(1, 2)
        rest = {name: value for name, value in outputs.items() if name not in ("logits", "pixels")}
        return {"best": best.to(torch.uint8), "sure": (sure * SURE).to(torch.uint8), "sample": sample, **rest}

    def calibration(
        self, outputs: Mapping[str, np.ndarray], labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Those of the labelled pixels on the grid. Neighbours are alike, so they are worth less than as many rows."""
        side, some = outputs["best"].shape[1], _grid(outputs["best"].shape[1])
        right = [
            onto(from_text(label).index(self.categories), frame, side, VOID)[some, some].ravel()
            for label, frame in zip(labels, outputs["frame"], strict=True)
        ]
        targets, logits = np.concatenate(right), outputs["sample"].reshape(-1, len(self.categories))
        known = (targets != VOID) & np.isfinite(logits).all(axis=1)
        return logits[known], targets[known].astype(np.int64)

    def sites(self, features: Maps, outputs: Mapping[str, Tensor]) -> dict[str, Site]:
        """``features``, ``pixels`` and ``output``; what lies outside of the image is left out."""
        pooled, probs = features.pooled, outputs["logits"].softmax(1)
        some = slice(PATCH // 2, None, PATCH)
        side = probs.shape[2]
        shown = inside(features.frames, torch.arange(side, device=pooled.device)[some] + 0.5, side)
        rows = torch.arange(len(pooled), device=pooled.device)
        owner = rows[:, None, None].expand(shown.shape)[shown]
        patches = F.unfold(F.avg_pool2d(probs, POOLED), PATCH // POOLED, stride=PATCH // POOLED)
        return {
            "features": Site(pooled, rows),
            "pixels": Site(_taken(outputs["pixels"], some, shown), owner, _taken(probs, some, shown)),
            "output": Site(patches.mT.reshape(*shown.shape, -1)[shown], owner),
        }

    @property
    def teaches(self) -> bool:
        """Always."""
        return True

    def sure_targets(self, outputs: Mapping[str, Tensor], threshold: float) -> tuple[Tensor, Tensor]:
        """The likeliest category of each pixel, `VOID` where it is below the threshold; an image counts by the share of
        its pixels that are not (as in DACS, Tranheden et al., WACV 2021).
        """
        confidence, best = outputs["logits"].softmax(1).max(1)
        side = best.shape[2]
        shown = inside(outputs["frame"], torch.arange(side, device=best.device) + 0.5, side)
        sure = (confidence >= threshold) & shown
        share = sure.sum((1, 2)) / shown.sum((1, 2)).clamp(min=1)
        return torch.where(sure, best, VOID).to(torch.uint8), share

    def encode(self, labels: np.ndarray, rows: Rows | None = None) -> Tensor:
        raise TypeError("masks are encoded with the inputs that they belong to: `placed`")

    def placed(self, labels: np.ndarray, inputs: Any) -> Tensor:
        """Category of each pixel of the canvas ``[n, side, side]`` uint8, `VOID` where there is no label.

        Raises:
            DataError: masks of another size than their image.
        """
        side, frames = inputs["pixels"].shape[2], inputs["frame"].numpy()
        found = np.empty((len(labels), side, side), dtype=np.uint8)
        for row, label in enumerate(labels):
            masks, size = from_text(label), tuple(int(n) for n in frames[row, 4:])
            if masks.size != size:
                raise DataError(f"a mask of {masks.size} pixels for an image of {size} (height, width)")
            found[row] = onto(masks.index(self.categories), frames[row], side, VOID)
        return torch.from_numpy(found)

    def check(self, domain: Domain, *, learned: bool = True) -> None:
        """Refuse labels that are no masks, and, to learn from, other categories.

        Raises:
            DataError: names the first such image.
        """
        assert domain.labels is not None
        for row, label in enumerate(domain.labels):
            foreign = sorted(set(from_text(label).runs) - set(self.categories))
            if learned and foreign:
                raise DataError(
                    f"{place_of(domain, row)}: its mask shows '{foreign[0]}', and those of the source show "
                    f"{', '.join(self.categories[:20])}"
                )

    def remarks(self, domain: Domain) -> tuple[str, ...]:
        """How many images show nothing but background."""
        assert domain.labels is not None
        empty = sum(set(from_text(label).runs) <= {BACKGROUND} for label in domain.labels)
        return (f"{domain.name}: {empty} of {len(domain)} images show background alone",) if empty else ()

    def goal(self, answer: Any, rows: Rows, inputs: Any) -> Any:
        """The mask that was answered, on the canvas."""
        return self.placed(np.array([answer], dtype=object), inputs)

    def score(self, outputs: Mapping[str, Tensor], goal: Any) -> Tensor:
        """The loss has more in it: here the probabilities alone."""
        known = goal != VOID
        each = F.cross_entropy(outputs["logits"], torch.where(known, goal, 0).long(), reduction="none") * known
        return -each.sum((1, 2)) / known.sum((1, 2)).clamp(min=1)

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        """Cross-entropy plus soft Dice of each image ``[n]``; 0 for an image without a label."""
        logits, known = outputs["logits"], targets != VOID
        safe = torch.where(known, targets, 0).long()
        each = F.cross_entropy(logits, safe, reduction="none") * known
        return each.sum((1, 2)) / known.sum((1, 2)).clamp(min=1) + dice_loss(logits.softmax(1), safe, known)

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        temperature: float = 1.0,
        offsets: Sequence[float] = (),
        rows: Rows | None = None,
    ) -> Answers:
        """The likeliest category of each pixel of the image; the confidence is the mean over pixels on a grid."""
        said = np.empty(len(outputs["best"]), dtype=object)
        for row, frame in enumerate(outputs["frame"]):
            said[row] = to_text(back(outputs["best"][row], frame), self.categories)
        sure = torch.from_numpy(outputs["sample"] / temperature).softmax(-1).amax(-1).nanmean(1)
        return Answers(said, confidence=sure.nan_to_num(1 / len(self.categories)).numpy().astype(np.float64))

    def surest(self, outputs: Mapping[str, np.ndarray], share: float, rows: Rows) -> Pseudo:
        """Of each category the share of its pixels with the highest confidence; the others have no label.

        Zou et al., CBST, ECCV 2018, algorithm 2: one threshold a category, over all images.
        """
        best, sure = outputs["best"], outputs["sure"]
        lowest = np.zeros(len(self.categories), dtype=np.int64)
        for k in range(len(self.categories)):
            counts = np.bincount(sure[best == k], minlength=256)
            above = counts[::-1].cumsum()[::-1]  # so many pixels are at least as sure
            lowest[k] = np.flatnonzero(above >= share * above[0])[-1] if above[0] else 0
        kept = sure >= lowest[best]
        labels = np.empty(len(best), dtype=object)
        for row, frame in enumerate(outputs["frame"]):
            labels[row] = to_text(back(np.where(kept[row], best[row], VOID).astype(np.uint8), frame), self.categories)
        return Pseudo(np.arange(len(best)), labels, float(sure[kept].mean() / SURE))

    def weighted_metrics(self, answers: Answers, labels: np.ndarray) -> Weighted:
        """``miou``, ``dice``, ``boundary_f1`` and ``accuracy``, see `weighted_masks`."""
        return weighted_masks(list(answers.prediction), [str(label) for label in labels])

    def constant(self, labels: np.ndarray) -> np.ndarray:
        """The category of most labelled pixels everywhere: of all constant masks it has the largest mean IoU."""
        masks = [from_text(str(label)) for label in labels]
        counts = sum(np.bincount(mask.index(self.categories).ravel(), minlength=VOID + 1)[:VOID] for mask in masks)
        commonest = [self.categories[int(np.argmax(counts))]]
        said = [to_text(np.zeros(mask.size, dtype=np.uint8), commonest) for mask in masks]
        return np.array([*said, ""], dtype=object)[:-1]

    def baselines(self, rows: Rows) -> dict[str, Answers]:
        """``majority``, the commonest category everywhere; of two also ``otsu``, a threshold of brightness."""
        said = {"majority": majority(rows, self.look)}
        if len(self.categories) == 2:
            said["otsu"] = otsu(rows, self.look)
        return {name: Answers(np.array([*values, ""], dtype=object)[:-1]) for name, values in said.items()}

    def config(self) -> dict[str, Any]:
        """Name, categories, and what the baselines know."""
        return {"name": self.name, "categories": list(self.categories), "look": self.look.config()}


def _grid(side: int) -> slice:
    """The pixels of the canvas that are looked at one by one, in either direction."""
    step = max(1, side // GRID)
    return slice(step // 2, None, step)


def dice_loss(probs: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    """``1 - (2 sum p t + 1) / (sum p + sum t + 1)`` of each image ``[n]``, the mean over categories; the one keeps
    categories that are absent from both at no loss. Milletari et al., V-Net, 3DV 2016, with ``p`` unsquared.

    Args:
        probs: ``[n, categories, h, w]``.
        targets: ``[n, h, w]`` int64.
        known: ``[n, h, w]`` bool, which pixels count.
    """
    told = F.one_hot(targets, probs.shape[1]).movedim(-1, 1) * known[:, None]
    said = probs * known[:, None]
    both = (said * told).sum((2, 3))
    return (1 - (2 * both + 1) / (said.sum((2, 3)) + told.sum((2, 3)) + 1)).mean(1)


def _taken(values: Tensor, some: slice, shown: Tensor) -> Tensor:
    """Some pixels of maps ``[n, d, side, side]`` that show the image, ``[m, d]``."""
    return values[:, :, some, some].movedim(1, -1)[shown]
