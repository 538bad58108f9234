"""P>M>F: a pretrained backbone, meta-trained prototypes, and fine-tuning on each new task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from acclimate.domains.batch import Batch
from acclimate.errors import SettingsError
from acclimate.methods.meta.inner import Weights
from acclimate.methods.meta.on_features import NONE, OnFeatures, means, members
from acclimate.training.model import Model
from acclimate.training.stream import changed


class Temperature(nn.Module):
    """The learned scale of the cosines."""

    def __init__(self, scale: float):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, cosines: Tensor) -> Tensor:
        return self.scale * cosines


@dataclass(frozen=True)
class PMF(OnFeatures):
    """Pre-train, meta-train, fine-tune: `p(class k of x) = softmax_k(scale * cos(f(x), c_k))`, c_k the class' mean.

    Meta-training moves a pretrained backbone (which is the user's to name) and the scale. To answer a task, a copy of
    the backbone takes Adam steps on the support rows, at the one of ``rates`` whose held-out support rows are answered
    best; 0 is among them, and then nothing is tuned. Where the paper makes pseudo-queries of the support rows by
    augmentation, rows here are already what the backbone reads: each row is asked against prototypes made without it
    (leave-one-out). To choose the rate, rows are held out in up to ``folds`` parts, at least one row of each class
    staying; what cannot be held out or asked, as at one and two shots, chooses nothing, and the rate is 0.

    Helps most of all where the backbone is good and the new domain is another one: 83.1 on Meta-Dataset where
    fo-Proto-MAML from scratch has 63.4. **Hurts** in time: hundreds of steps a task; at one shot it is cosine
    prototypes.

    Hu, Li, Stuehmer, Kim and Hospedales, Pushing the Limits of Simple Pipelines for Few-Shot Learning, CVPR 2022,
    section 3.

    Attributes:
        scale: where the scale begins.
        steps: of fine-tuning.
        rates: learning rates to choose from, 0 among them.
        folds: parts of the support rows that are held out in turn to choose.
    """

    scale: float = 10.0
    steps: int = 20
    rates: tuple[float, ...] = (0.0, 1e-4, 1e-3, 1e-2)
    folds: int = 3

    name: ClassVar[str] = "pmf"
    about: ClassVar[str] = "pretrained, meta-trained prototypes, fine-tuned on each task (Hu et al. 2022)"
    ranges: ClassVar[Mapping[str, str]] = {"scale": "(0, inf)", "steps": "[0, inf)", "folds": "[2, inf)"}

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 not in self.rates or min(self.rates) < 0:
            raise SettingsError(f"pmf.rates must have 0 among them and nothing below, found {list(self.rates)}")

    def parts(self, model: Model, classes: int) -> dict[str, nn.Module]:
        """The scale."""
        return {"temperature": Temperature(self.scale)}

    def logits(self, support: Tensor, targets: Tensor, query: Tensor, parts: Mapping[str, nn.Module] = NONE) -> Tensor:
        """Scaled cosines to the means."""
        centres = means(support, members(targets, support))
        return parts["temperature"](F.normalize(query, dim=-1) @ F.normalize(centres, dim=-1).mT)

    def answers(self, model: Model, parts: Mapping[str, nn.Module], support: Batch, query: Any) -> Tensor:
        """Fine-tune a copy for each task in turn, then answer its queries."""
        assert support.targets is not None, "support rows have targets"
        found = []
        for k, targets in enumerate(support.targets):
            rows = Tuned(self, model, parts, changed(support.inputs, itemgetter(k)), targets)
            weights = rows.tuned(rows.rate(), torch.ones_like(targets, dtype=torch.bool))
            with torch.no_grad():
                known, asked = (
                    rows.features(weights, inputs) for inputs in (rows.inputs, changed(query, itemgetter(k)))
                )
                found.append(self.logits(known[None], targets[None], asked[None], parts)[0])
        return torch.stack(found)


class Tuned:
    """The support rows of one task, and what fine-tuning on them gives; the model stays as it is."""

    def __init__(self, learner: PMF, model: Model, parts: Mapping[str, nn.Module], inputs: Any, targets: Tensor):
        self.learner, self.model, self.inputs, self.targets = learner, model, inputs, targets
        self.weights = {name: value.detach() for name, value in model.named_parameters() if value.is_floating_point()}
        self.scale = parts["temperature"].get_parameter("scale").detach()
        member = F.one_hot(targets)
        self.rank = (member.cumsum(0) * member).sum(1) - 1  # among the rows of its class
        self.shots = member.sum(0)[targets]

    def features(self, weights: Weights, inputs: Any) -> Tensor:
        """``[n, d]``."""
        return next(iter(functional_call(self.model, dict(weights), (Batch(inputs),)).sites.values())).values

    def rate(self) -> float:
        """The rate whose held-out rows are answered best, by cross-entropy; of equal ones the least."""
        folds = min(self.learner.folds, int(self.shots.max()))
        held = [(self.rank % folds == k) & (self.shots > 1) for k in range(folds)]
        held = [out for out in held if out.any() and self._asked(~out).any()]
        if not held:
            return 0.0
        losses = {rate: sum(self._held_out(rate, out) for out in held) for rate in sorted(self.learner.rates)}
        return min(losses, key=lambda rate: losses[rate])

    def tuned(self, rate: float, used: Tensor) -> Weights:
        """The weights after fine-tuning on the used rows ``[n]``."""
        asked = self._asked(used)
        if not rate or not asked.any():
            return self.weights
        here = {name: value.clone().requires_grad_() for name, value in self.weights.items()}
        descent = torch.optim.Adam(list(here.values()), lr=rate)
        with torch.enable_grad():
            for _ in range(self.learner.steps):
                descent.zero_grad()
                features = self.features(here, changed(self.inputs, itemgetter(used)))
                logits = self.scale * left_out_cosines(features, self.targets[used])
                F.cross_entropy(logits[asked[used]], self.targets[used][asked[used]]).backward()
                descent.step()
        return {name: value.detach() for name, value in here.items()}

    def _asked(self, used: Tensor) -> Tensor:
        """Which of the used rows have another one of their class beside them."""
        return used & (F.one_hot(self.targets)[used].sum(0)[self.targets] > 1)

    def _held_out(self, rate: float, out: Tensor) -> float:
        weights = self.tuned(rate, ~out)
        with torch.no_grad():
            features = self.features(weights, self.inputs)
            member = members(self.targets, features)[~out]
            centres = F.normalize(means(features[~out][None], member[None])[0], dim=-1)
            logits = self.scale * F.normalize(features[out], dim=-1) @ centres.T
            return F.cross_entropy(logits, self.targets[out], reduction="sum").item()


def left_out_cosines(features: Tensor, targets: Tensor) -> Tensor:
    """Cosines ``[n, ways]`` of rows ``[n, d]`` to the class means, that of a row's own class without the row.

    A row that is alone in its class has 0 there.
    """
    member = members(targets, features)
    sums = (member.T @ features).expand(len(features), -1, -1) - member.unsqueeze(-1) * features.unsqueeze(1)
    return (F.normalize(sums, dim=-1) @ F.normalize(features, dim=-1).unsqueeze(-1)).squeeze(-1)
