"""Importance weighting: source rows count as much as they look like the target."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.domains.batch import Batch
from acclimate.domains.ids import hash_array
from acclimate.methods.adversarial.pieces import discriminator, domain_loss
from acclimate.methods.base import Method
from acclimate.methods.data import Data, Need
from acclimate.tasks.sites import Site, Width
from acclimate.training.convex import effective_rows as effective_rows
from acclimate.training.stage import Convex, Loop, Pass, Stage, Update

LARGEST = 2000
"""Rows of a side from which the domain classifier learns; all source rows are weighed."""
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Inverse L2 penalties of the domain classifier (scikit-learn's C); held-out log-loss chooses."""
FOLDS = 5


def relative_weights(log_ratio: Tensor, relative: float = 0.5) -> Tensor:
    """Weights of mean 1 from log density ratios ``log p_target(x) / p_source(x)`` ``[n]``.

    ``w = r / (relative r + 1 - relative)``, the density of the target relative to a mixture of both, which is at
    most ``1 / relative`` (Yamada et al., Relative Density-Ratio Estimation, NIPS 2011, eq. 1). 0 gives plain ratios,
    1 gives ones.
    """
    if relative == 1:
        return torch.ones_like(log_ratio)
    log_weights = log_ratio
    if relative > 0:
        log_weights = F.logsigmoid(log_ratio + math.log(relative / (1 - relative)))
    weights = (log_weights - log_weights.max()).exp()  # where the domains do not overlap, all of them are tiny
    return weights / weights.mean()


def importance_weights(source: Any, target: Any, relative: float = 0.5) -> np.ndarray:
    """How much each source row should count for the target, by a domain classifier.

    Logistic regression tells target rows from source rows; its odds, corrected for the number of rows, are the
    density ratio (Bickel, Brückner & Scheffer, Discriminative Learning under Covariate Shift, JMLR 2009, section 4).
    The penalty is chosen by log-loss on held-out folds, since an overfitted classifier gives nearly all weight to a
    few rows. It learns from at most 2,000 rows a side, chosen by content; the order of the rows changes nothing.

    Args:
        source: features ``[n, d]``, array or sparse, of similar scale in every column.
        target: features ``[m, d]``.
        relative: see `relative_weights`.

    Returns:
        ``[n]`` float64 of mean 1.
    """
    from scipy import sparse
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    order = np.argsort(hash_array(source), kind="stable")  # of contents: sums round alike whatever the file's order
    source, target = source[order], target[np.argsort(hash_array(target), kind="stable")]
    sides = [side[:LARGEST] for side in (source, target)]
    rows = sparse.vstack(sides, format="csr") if sparse.issparse(source) else np.concatenate(sides)
    rows = rows.astype(np.float64)
    counts = [side.shape[0] for side in sides]
    domain = np.repeat([0, 1], counts)
    folds = min(FOLDS, *counts)

    def loss(inverse: float) -> float:
        model = LogisticRegression(C=inverse, max_iter=300)
        return -float(cross_val_score(model, rows, domain, cv=StratifiedKFold(folds), scoring="neg_log_loss").mean())

    chosen = min(PENALTIES, key=loss) if folds > 1 else PENALTIES[0]
    model = LogisticRegression(C=chosen, max_iter=1000).fit(rows, domain)
    log_ratio = model.decision_function(source.astype(np.float64)) - np.log(counts[1] / counts[0])
    weights = np.empty(len(order))
    weights[order] = relative_weights(torch.from_numpy(log_ratio), relative).numpy()
    return weights


@dataclass(frozen=True)
class ImportanceWeighting(Method):
    """Training on the source, each row weighted by how likely it is in the target: ``w(x) = p_t(x) / p_s(x)``.

    The weighted mean of the source's losses is an unbiased estimate of the target's (Shimodaira, J. Statistical
    Planning and Inference 2000). On frozen features a logistic regression gives the ratio (see `importance_weights`)
    and the convex head is solved with the weights; the record says how many rows they are worth
    (`effective_rows`). End to end a discriminator is trained beside the model, on features that its gradient does
    not reach, and weighs each batch; nothing is aligned.

    Helps under covariate shift (the same labels for the same inputs, other inputs being frequent) where the domains
    overlap and the model is too simple to be right everywhere. Hurts when they hardly overlap: a few rows carry all
    weight. Useless when the model is flexible enough to fit both regions, or when the same input is labelled otherwise
    in the target. Shifted class shares are better met by mlls and bbse.

    Bickel, Brückner & Scheffer, Discriminative Learning under Covariate Shift, JMLR 2009. Related: mlls, bbse (weights
    by class), groupdro (weights by source), dann (the same discriminator, its gradient reversed into the features).

    Attributes:
        relative: share of the target in the ratio's denominator, which bounds a weight by ``1 / relative`` (Yamada et
            al., NIPS 2011, tried 0, 0.5 and 0.95): 0 is the plain ratio, unbiased and wild; 1 is source_only. Search
            0 to 0.9.
        hidden: width of the discriminator's hidden layers, end to end; 0 is a linear one, the least able to tell the
            domains apart by heart. Search 0 to 256.
    """

    relative: float = 0.5
    hidden: int = 64

    name: ClassVar[str] = "importance_weighting"
    about: ClassVar[str] = "source rows weighted by a domain classifier (Bickel et al. 2009)"
    ranges: ClassVar[Mapping[str, str]] = {"relative": "[0, 1]", "hidden": "[0, inf)"}
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"relative": (0.5, 0.1, 0.9, 0.0), "hidden": (64, 0, 256)}
    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "target_inputs")
    same_columns: ClassVar[bool] = True  # columns of one domain alone tell the domains apart without fail

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """A weighted convex head, or a loop over labelled source and unlabelled target."""
        assert data.source is not None and data.target is not None
        if not convex:
            streams = {"source": data.source, "target": data.target}
            return [Loop(self.name, streams, self, validation=data.source_validation)]

        def carry(source: Any, labels: np.ndarray, target: Any) -> tuple[Any, np.ndarray]:
            return source, importance_weights(source, target, self.relative)

        return [Convex(self.name, data.source, data.source_validation, target=data.target, carry=carry)]

    def searched(self, convex: bool) -> Mapping[str, tuple[Any, ...]]:
        """The convex form's discriminator is linear."""
        return {name: values for name, values in self.search.items() if name != "hidden" or not convex}

    def parts(self, sites: Mapping[str, Width]) -> dict[str, nn.Module]:
        """A discriminator on the main site."""
        return {"discriminator": discriminator(next(iter(sites.values())).values, self.hidden)}

    def updates(self, step: Pass, batches: Mapping[str, Batch]) -> Iterator[Update]:
        """The weighted loss of the source, and the discriminator's on features held fixed."""
        source, target = step.run(batches["source"]), step.run(batches["target"])
        assert source.loss is not None
        ours, theirs = (next(iter(side.sites.values())) for side in (source, target))
        critic = step.parts["discriminator"]
        told = domain_loss(critic, ours.values.detach(), theirs.values.detach())
        with torch.no_grad():
            weights = relative_weights(_of_rows(critic(ours.values)[:, 0], ours, len(source.loss)), self.relative)
        yield Update({"task": (weights * source.loss).mean(), "domain": told}, ("model", *step.parts))


def _of_rows(values: Tensor, site: Site, n: int) -> Tensor:
    """The mean of a site's values over what belongs to each row ``[n]``."""
    total = torch.zeros(n, device=values.device).index_add(0, site.owner, values)
    return total / torch.bincount(site.owner, minlength=n).clamp_min(1)
