"""SHOT: source hypothesis transfer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.domains.batch import Batch
from acclimate.methods.base import Tail
from acclimate.methods.data import Data, Need
from acclimate.methods.source_free.pieces import TINY, centroids, diversity, entropy, nearest
from acclimate.tasks.sites import Width
from acclimate.training.stage import Loop, Pass, Stage, Update

UNKNOWN = -1
"""The pseudo-label of a row that has none yet."""


@dataclass(frozen=True)
class SHOT(Tail):
    """The head keeps what it learned on the source; features of the target move to where it is sure of them.

    On the target alone, with the head frozen (Liang et al., eq. 3 to 7)::

        L = H(p)  -  diversity * H(mean p)  +  pseudo * CE(p, nearest centroid)

    Sure answers, varied answers, and pseudo-labels from class centroids of the target's own features. As in the paper
    the labels are made for all rows at once and stay for an epoch; held against centroids of older features, features
    that move would be labelled as another class. The paper computes them in a full pass before each epoch; here they
    come from a memory of every row's features and answers in the epoch before (as NRC keeps them, Yang et al., NeurIPS
    2021): nothing stops for a pass, and the first epoch has no pseudo-labels. Label smoothing of the source training,
    which the paper uses, is left to source_only's settings.

    Helps when the target has the source's classes in like shares, and clusters; no source data are needed once the
    model is trained. Hurts when class shares differ (variety pulls them towards equal; lower ``diversity``), when
    classes are missing, or when the source model is mostly wrong. Batch-norm statistics stay the source's:
    ``adabn+shot`` takes the target's first, as the paper's networks do.

    Related: TENT (entropy over the norms alone), BNM, MCC.

    Liang et al., Do We Really Need to Access the Source Data? Source Hypothesis Transfer, ICML 2020.

    Attributes:
        pseudo: weight of the pseudo-labels (paper: 0.3, and 0.1 for digits; search 0 to 0.5).
        diversity: weight of varied answers (paper: 1; search 0 to 1, less where shares differ).
    """

    pseudo: float = 0.3
    diversity: float = 1.0

    name: ClassVar[str] = "shot"
    about: ClassVar[str] = "source hypothesis transfer: frozen head, features learn on the target (Liang et al. 2020)"
    ranges: ClassVar[Mapping[str, str]] = {"pseudo": "[0, inf)", "diversity": "[0, inf)"}
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"pseudo": (0.3, 0.1, 0.5, 0.0), "diversity": (1.0, 0.5, 0.0)}
    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "target_inputs", "classes")
    aligns: ClassVar[bool] = True
    changes = "weights"

    def tail(self, data: Data) -> Sequence[Stage]:
        """A loop over the target."""
        assert data.target is not None
        training = Transfer(self, len(data.target))
        return [Loop(self.name, {"target": data.target}, training, validation=data.source_validation)]


class Memory(nn.Module):
    """The last features and answers of every target row, and the pseudo-labels that those of an epoch gave."""

    features: Tensor
    probs: Tensor
    seen: Tensor
    labels: Tensor

    def __init__(self, rows: int, width: Width):
        super().__init__()
        self.register_buffer("features", torch.zeros(rows, width.values))
        self.register_buffer("probs", torch.zeros(rows, width.probs))
        self.register_buffer("seen", torch.zeros(rows, dtype=torch.bool))
        self.register_buffer("labels", torch.full((rows,), UNKNOWN))

    @torch.no_grad()
    def keep(self, rows: Tensor, features: Tensor, probs: Tensor) -> Tensor:
        """Remember features ``[n, d]`` and answers ``[n, classes]`` of these rows ``[n]``.

        Returns:
            Their pseudo-labels ``[n]``, made when a row comes again for the first time; `UNKNOWN` before.
        """
        if self.seen[rows].any():
            found = nearest(self.features, centroids(self.features, self.probs))
            self.labels.copy_(torch.where(self.probs.any(dim=1), found, UNKNOWN))
            self.seen.zero_()
        self.features[rows], self.probs[rows], self.seen[rows] = features, probs, True
        return self.labels[rows]


class Transfer:
    """SHOT's training on a target of ``rows`` rows; a site of several vectors a row is remembered by one of them."""

    def __init__(self, settings: SHOT, rows: int):
        self.settings, self.rows = settings, rows

    def parts(self, sites: Mapping[str, Width]) -> dict[str, nn.Module]:
        """One memory for each site that has answers."""
        return {f"memory_{name}": Memory(self.rows, width) for name, width in sites.items() if width.probs}

    def updates(self, step: Pass, batches: Mapping[str, Batch]) -> Iterator[Update]:
        """One update of the features."""
        batch, losses = batches["target"], {}
        for name, site in step.run(batch).sites.items():
            if site.probs is None:
                continue
            losses[f"entropy_{name}"] = entropy(site.probs)
            losses[f"diversity_{name}"] = -self.settings.diversity * diversity(site.probs)
            memory = step.parts[f"memory_{name}"]
            assert isinstance(memory, Memory) and batch.rows is not None
            rows = batch.rows[site.owner]
            labels = memory.keep(rows, site.values, site.probs) if step.share else memory.labels[rows]
            missed = F.nll_loss(site.probs.clamp_min(TINY).log(), labels, ignore_index=UNKNOWN, reduction="sum")
            losses[f"pseudo_{name}"] = self.settings.pseudo * missed / (labels != UNKNOWN).sum().clamp_min(1)
        yield Update(losses, ("features",))
