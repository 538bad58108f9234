"""Where the objects of an image are, and what each is (object detection)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.domains.boxes import from_text, to_text, with_scores
from acclimate.domains.canvas import boxes_back, boxes_onto
from acclimate.domains.domain import Domain, Modality, Rows, Shapes
from acclimate.domains.rows import place_of
from acclimate.errors import DataError
from acclimate.tasks.answers import Answers, Metric, Pseudo
from acclimate.tasks.base import Kind, Reads, Task
from acclimate.tasks.box_metrics import MOST, weighted_boxes
from acclimate.tasks.centers import Centers, detection_loss, middles, peaks
from acclimate.tasks.metrics import Weighted
from acclimate.tasks.overlaps import found_again, suppress
from acclimate.tasks.places import inside
from acclimate.tasks.plain_boxes import Usual, average, blobs
from acclimate.tasks.sites import Maps, Site

REGIONS = 16
"""Regions of an image that alignment sees."""
FAINT = 0.05
"""Score below which a box is not worth an answer."""
SAID = 0.2
"""Score from which something is held to be there; peaks of a short training are low."""
TOUCHING = 0.6
"""Intersection over union up to which two boxes of one kind are two objects (Tian et al., FCOS, ICCV 2019)."""
VISIBLE = 0.25
"""Share of a box that a random crop must keep for the object to be there."""


@dataclass(frozen=True)
class Detect(Task):
    """A box around each object, what it is, and how sure that is.

    Objects are points: a U-Net on the backbone's maps ends in cells of 4 x 4 pixels of the canvas, of each of which a
    head says whether an object of each kind has its middle there, and another how far that object reaches to the left,
    the top, the right and the bottom (Zhou et al., Objects as Points, 2019, without anchors; boxes are learned in all
    cells around a middle by generalised intersection over union: Liu et al., Training-Time-Friendly Network, AAAI 2020,
    by which few steps suffice). Answers are the peaks, less those that a surer one of their kind covers. Labels: see
    `acclimate.domains.boxes`. Images are read whole, on a square canvas of ``backbone.size`` pixels (320), and answered
    in their own pixels.

    **Helps** where single objects are to be found or counted. **Hurts** where objects have no bounds or thin ones lie
    across each other (task ``segment``); of two objects of one kind whose middles share a cell one is lost, so give
    small crowded things a larger ``backbone.size``.

    Sites: ``features``, an image's mean; ``regions``, the 16 highest peaks of each image with the probabilities of the
    kinds and of background, the last one (image and instance level: Chen et al., Domain Adaptive Faster R-CNN, CVPR
    2018, section 4).

    Attributes:
        kinds: of objects, sorted.
        usual: what the plain baselines know of the source.
    """

    kinds: tuple[str, ...]
    usual: Usual

    name: ClassVar[str] = "detect"
    kind: ClassVar[Kind] = "text"
    reads: ClassVar[Reads] = "maps"
    modality: ClassVar[Modality] = "image"
    shapes: ClassVar[Shapes] = "boxes"
    matched: ClassVar[bool] = False
    primary: ClassVar[Metric] = Metric("ap50")

    @property
    def probable(self) -> bool:
        """Regions have probabilities."""
        return True

    @classmethod
    def from_domain(cls, domain: Domain) -> Self:
        """The kinds of objects that labels name.

        Raises:
            DataError: no boxes, rows that are no images, no object in any image, or an object without a name.
        """
        if domain.schema.modality != "image":
            raise DataError(f"{domain.name} is {domain.schema.modality}; objects are detected in images")
        if domain.labels is None:
            raise DataError(f"{domain.name}: boxes are needed")
        found = {name for label in domain.labels for name in from_text(label)[0]}
        if not found or "" in found:
            lack = "an object has no name" if found else f"none of {len(domain)} images shows an object"
            raise DataError(f"{domain.name}: {lack}; expected boxes with the name of what is in each")
        return cls(tuple(sorted(found)), Usual.of(domain))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(tuple(config["kinds"]), Usual.from_config(config["usual"]))

    def head(self, size: Mapping[int, int]) -> nn.Module:
        """`Centers`."""
        return Centers(size, len(self.kinds))

    def outputs(self, head: nn.Module, features: Maps) -> dict[str, Tensor]:
        """``cells``, their ``heat`` and ``boxes`` (see `Centers`), ``frame``, and ``side``, of the canvas in pixels."""
        cells, heat, boxes = head(features.values)
        side = heat.new_full((len(heat),), features.values[0].shape[2])
        return {"heat": heat, "boxes": boxes, "cells": cells, "frame": features.frames, "side": side}

    def brief(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The highest peaks ``[n, 100, 6]``: score, kind, and box in pixels of the canvas; frame and side."""
        heat = outputs["heat"]
        best, at = peaks(heat, MOST)
        cells = heat.shape[2] * heat.shape[3]
        kind, cell = at // cells, at % cells
        boxes = outputs["boxes"].flatten(2).mT.gather(1, cell[..., None].expand(-1, -1, 4))
        found = torch.cat([best.sigmoid()[..., None], kind[..., None].to(boxes.dtype), boxes], dim=2)
        rest = {name: value for name, value in outputs.items() if name not in ("heat", "boxes", "cells")}
        return {"found": found, **rest}

    def sites(self, features: Maps, outputs: Mapping[str, Tensor]) -> dict[str, Site]:
        """``features`` and ``regions``; what lies outside of the image is left out."""
        pooled, heat = features.pooled, outputs["heat"]
        rows = torch.arange(len(pooled), device=pooled.device)
        shown = inside(features.frames, middles(heat)[0][0], features.values[0].shape[2])
        top = torch.where(shown, heat.amax(1), -torch.inf)
        best, at = peaks(top[:, None], REGIONS)
        real = best > -torch.inf
        values, probs = (
            value.flatten(2).mT.gather(1, at[..., None].expand(-1, -1, value.shape[1]))[real]
            for value in (outputs["cells"], F.pad(heat, (0, 0, 0, 0, 0, 1)))
        )
        owner = rows[:, None].expand(real.shape)[real]
        return {"features": Site(pooled, rows), "regions": Site(values, owner, probs.softmax(1))}

    def encode(self, labels: np.ndarray, rows: Rows | None = None) -> Tensor:
        raise TypeError("boxes are encoded with the inputs that they belong to: `placed`")

    def placed(self, labels: np.ndarray, inputs: Any) -> Tensor:
        """Kind and box of each object on the canvas ``[n, m, 5]``, smaller ones first, filled up with kind -1."""
        side, frames = inputs["pixels"].shape[2], inputs["frame"].numpy()
        found = [self._laid(label, frame, side) for label, frame in zip(labels, frames, strict=True)]
        return _filled(found)

    def _laid(self, label: str, frame: np.ndarray, side: int) -> np.ndarray:
        """Kind and box of the objects that a canvas shows ``[m, 5]``, cut off at its border; -1 for no kind."""
        names, boxes = from_text(label)
        whole = boxes_onto(boxes, frame, side)
        cut = np.clip(whole, 0, side)
        areas, before = ((each[:, 2:] - each[:, :2]).clip(0).prod(1) for each in (cut, whole))
        kinds = [self.kinds.index(name) if name else -1 for name in names]
        order = np.argsort(areas, kind="stable")
        kept = order[(areas > 0)[order] & (areas >= VISIBLE * before)[order]]
        return np.column_stack([np.array(kinds, dtype=np.float32), cut])[kept]

    @property
    def possible(self) -> tuple[str, ...]:
        """The kinds of objects."""
        return self.kinds

    def named(self, label: str) -> Collection[str]:
        """The kinds of objects of an image."""
        return set(from_text(label)[0])

    def check(self, domain: Domain, *, learned: bool = True) -> None:
        """Refuse labels that are no boxes, and, to learn from, objects of other kinds.

        Raises:
            DataError: names the first such image.
        """
        assert domain.labels is not None
        for row, label in enumerate(domain.labels):
            foreign = sorted(set(from_text(label)[0]) - set(self.kinds))
            if learned and foreign:
                raise DataError(
                    f"{place_of(domain, row)}: shows '{foreign[0]}', and images of the source show "
                    f"{', '.join(self.kinds[:20])}"
                )

    def remarks(self, domain: Domain) -> tuple[str, ...]:
        """How many images show nothing."""
        assert domain.labels is not None
        empty = sum(not from_text(label)[0] for label in domain.labels)
        return (f"{domain.name}: {empty} of {len(domain)} images show no object",) if empty else ()

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        """Of each image ``[n]``, see `detection_loss`."""
        return detection_loss(outputs["heat"], outputs["boxes"], targets)

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        temperature: float = 1.0,
        offsets: Sequence[float] = (),
        rows: Rows | None = None,
    ) -> Answers:
        """Boxes in pixels of the image, the surest first. An image is as sure as its boxes of score 0.2 and more are on
        average, or as nothing is there.
        """
        n = len(outputs["found"])
        said, confidence = np.empty(n, dtype=object), np.zeros(n)
        for row, (scores, kinds, boxes) in enumerate(_objects(outputs, FAINT)):
            said[row] = to_text([(self.kinds[k], box) for k, box in zip(kinds, boxes, strict=True)], scores.tolist())
            there = scores >= SAID
            confidence[row] = scores[there].mean() if there.any() else 1 - scores.max(initial=0.0)
        return Answers(said, confidence=confidence)

    explained: ClassVar[str] = "score of finding the same boxes"

    def goal(self, answer: Any, rows: Rows, inputs: Any) -> Any:
        """Kinds ``[m]`` and boxes ``[m, 4]`` on the canvas, of score 0.2 and more."""
        names, boxes, scores = with_scores(answer)
        laid = boxes_onto(boxes, inputs["frame"][0].numpy(), inputs["pixels"].shape[2])
        there = [k for k, score in enumerate(scores) if score >= SAID]
        return [self.kinds.index(names[k]) for k in there], torch.from_numpy(laid[there]).float()

    def score(self, outputs: Mapping[str, Tensor], goal: Any) -> Tensor:
        """See `found_again` ``[n]``; where nothing was found, minus the highest score."""
        found = self.brief(outputs)["found"]
        return found_again(found, *goal) if goal[0] else -found[..., 0].amax(1)

    @property
    def teaches(self) -> bool:
        """Always."""
        return True

    def sure_targets(self, outputs: Mapping[str, Tensor], threshold: float) -> tuple[Tensor, Tensor]:
        """Boxes whose score reaches the threshold. Those of 0.2 and more that do not are not known; an image without
        one that does, does not count.
        """
        brief = {name: value.float().cpu().numpy() for name, value in self.brief(outputs).items()}
        found = []
        for row, (scores, kinds, boxes) in enumerate(_objects(brief, min(SAID, threshold))):
            laid = boxes_onto(boxes, brief["frame"][row], int(brief["side"][row]))
            order = np.argsort((laid[:, 2:] - laid[:, :2]).prod(1), kind="stable")
            found.append(np.column_stack([np.where(scores >= threshold, kinds, -1), laid])[order])
        targets = _filled(found).to(outputs["frame"].device)
        return targets, (targets[..., 0] >= 0).any(1).to(targets.dtype)

    def surest(self, outputs: Mapping[str, np.ndarray], share: float, rows: Rows) -> Pseudo:
        """Of the boxes of score 0.2 and more of each kind the share with the highest score.

        The others of them are not known: they teach neither an object nor background. Images without a box that teaches
        are left out.
        """
        answers = [with_scores(text) for text in self.decode(outputs).prediction]
        lowest = {}
        for kind in self.kinds:
            scores = np.array([
                score
                for names, _, found in answers
                for name, score in zip(names, found, strict=True)
                if name == kind and score >= SAID
            ])  # fmt: skip
            count = max(1, round(share * len(scores)))
            lowest[kind] = np.sort(scores)[-count] if len(scores) else np.inf
        labels, kept, sure = [], [], []
        for row, (names, boxes, scores) in enumerate(answers):
            taught = [score >= lowest[name] for name, score in zip(names, scores, strict=True)]
            if any(taught):
                pairs = zip(names, taught, scores, boxes, strict=True)
                labels.append(to_text([(name if good else "", box) for name, good, s, box in pairs if s >= SAID]))
                kept.append(row)
                sure += scores[taught].tolist()
        chosen = np.array([*labels, None], dtype=object)[:-1]
        return Pseudo(np.array(kept, dtype=np.int64), chosen, float(np.mean(sure)) if sure else 0.0)

    def weighted_metrics(self, answers: Answers, labels: np.ndarray) -> Weighted:
        """``ap50`` and ``map``, see `weighted_boxes`."""
        return weighted_boxes([str(answer) for answer in answers.prediction], [str(label) for label in labels])

    def baselines(self, rows: Rows) -> dict[str, Answers]:
        """``average``, each kind's mean box at its mean place; ``blobs``, what stands out in brightness."""
        said = {"average": average(rows, self.usual), "blobs": blobs(rows, self.usual)}
        return {name: Answers(np.array([*values, None], dtype=object)[:-1]) for name, values in said.items()}

    def config(self) -> dict[str, Any]:
        """Name, kinds, and what the baselines know."""
        return {"name": self.name, "kinds": list(self.kinds), "usual": self.usual.config()}


def _objects(outputs: Mapping[str, np.ndarray], least: float) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each image the scores, kinds and boxes in its own pixels, surest first: of a score of ``least`` and more, cut
    off at the image's border, and not covered by a surer one of their kind.
    """
    for found, frame, side in zip(outputs["found"], outputs["frame"], outputs["side"], strict=True):
        found = found[found[:, 0] >= least]
        boxes = boxes_back(found[:, 2:].astype(np.float64), frame, int(side))
        solid = (boxes[:, 2:] > boxes[:, :2]).all(1)
        scores, kinds, boxes = found[solid, 0], found[solid, 1].astype(int), boxes[solid]
        kept = suppress(boxes, scores, kinds, TOUCHING)
        yield scores[kept], kinds[kept], boxes[kept]


def _filled(found: Sequence[np.ndarray]) -> Tensor:
    """Objects of each image ``[m, 5]`` as one tensor ``[n, most, 5]``, filled up with kind -1."""
    targets = np.zeros((len(found), max([1, *map(len, found)]), 5), dtype=np.float32)
    targets[..., 0] = -1
    for row, objects in enumerate(found):
        targets[row, : len(objects)] = objects
    return torch.from_numpy(targets)
