"""MCD: maximum classifier discrepancy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.domains.batch import Batch
from acclimate.methods.base import Method
from acclimate.methods.data import Data, Need
from acclimate.tasks.sites import Width
from acclimate.training.model import Step
from acclimate.training.stage import Loop, Pass, Stage, Update


@dataclass(frozen=True)
class MCD(Method):
    """Two classifiers that disagree where the target leaves the source, and features that make them agree.

    Both classifiers know the source; target rows on which they differ lie outside its support. With
    ``d = mean |p1 - p2|`` over target rows and classes, a training step has three parts::

        A  features and classifiers:  min  L(F1) + L(F2)          on the source
        B  classifiers alone:         min  L(F1) + L(F2) - d
        C  features alone:            min  d                      ``generator_steps`` times

    The classifiers are written as ``head +- spread``, the head being the model's and the spread an own linear part: the
    same two free classifiers, but the model is their mean at every moment, which is the answer of the paper's
    ensemble and what validators and checkpoints see.

    Helps when domains differ in style and the classes stay apart: boundaries are moved out of the target's clusters,
    which an alignment of whole domains (`DANN`) does not look at. Hurts when target clusters begin on the wrong side,
    when class shares differ strongly, and where passes are dear: a step makes ``3 + generator_steps`` of
    them instead of one. Related: `CDAN`, MDD, SWD (sliced Wasserstein instead of the mean).

    Saito et al., Maximum Classifier Discrepancy for Unsupervised Domain Adaptation, CVPR 2018, eq. 3 and 5 to 9.

    Attributes:
        generator_steps: updates of the features in each step (paper: 4 on digits, tries 2 to 4; search 1 to 4).
    """

    generator_steps: int = 4

    name: ClassVar[str] = "mcd"
    about: ClassVar[str] = "features on which two classifiers agree (Saito et al. 2018)"
    ranges: ClassVar[Mapping[str, str]] = {"generator_steps": "[1, inf)"}
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"generator_steps": (4, 2, 3, 1)}
    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "target_inputs", "classes")
    aligns: ClassVar[bool] = True

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """One loop over labelled source and unlabelled target."""
        assert data.source is not None and data.target is not None
        return [Loop("mcd", {"source": data.source, "target": data.target}, self, validation=data.source_validation)]

    def parts(self, sites: Mapping[str, Width]) -> dict[str, nn.Module]:
        """The spread of each site: half the difference of its two classifiers."""
        return {f"spread_{name}": nn.Linear(width.values, width.probs) for name, width in sites.items()}

    def updates(self, step: Pass, batches: Mapping[str, Batch]) -> Iterator[Update]:
        """Steps A, B and C; each on the model as the one before left it."""
        spreads = tuple(step.parts)
        yield Update(self._task(step, step.run(batches["source"])), ("model", *spreads))
        task = self._task(step, step.run(batches["source"]))
        apart = self._discrepancy(step, step.run(batches["target"]))
        yield Update({**task, **{f"apart_{name}": -loss for name, loss in apart.items()}}, ("head", *spreads))
        for _ in range(self.generator_steps):
            together = self._discrepancy(step, step.run(batches["target"]))
            yield Update({f"together_{name}": loss for name, loss in together.items()}, ("features",))

    @staticmethod
    def _task(step: Pass, source: Step) -> dict[str, Tensor]:
        """The sum of both classifiers' cross-entropies."""
        targets, weight, losses = source.batch.targets, source.batch.weight, {}
        assert targets is not None
        for name, pair in _classifiers(step, source).items():
            owner = source.sites[name].owner
            each = torch.stack([F.cross_entropy(logits, targets[owner], reduction="none") for logits in pair]).sum(0)
            losses[f"task_{name}"] = (each if weight is None else each * weight[owner]).mean()
        return losses

    @staticmethod
    def _discrepancy(step: Pass, target: Step) -> dict[str, Tensor]:
        pairs = _classifiers(step, target)
        return {name: classifier_discrepancy(a.softmax(1), b.softmax(1)) for name, (a, b) in pairs.items()}


def _classifiers(step: Pass, run: Step) -> dict[str, tuple[Tensor, Tensor]]:
    """Logits ``[n, c]`` of both classifiers by site, up to what softmax does not see."""
    found = {}
    for name, site in run.sites.items():
        assert site.probs is not None, "a task with classes has probabilities"
        middle = site.probs.clamp_min(torch.finfo(site.probs.dtype).tiny).log()
        spread = step.parts[f"spread_{name}"](site.values)
        found[name] = (middle + spread, middle - spread)
    return found


def classifier_discrepancy(first: Tensor, second: Tensor) -> Tensor:
    """Mean absolute difference of two classifiers' probabilities, both ``[n, c]``, over rows and classes (eq. 3)."""
    return (first - second).abs().mean()
