"""OT mapping: source rows carried onto the target by optimal transport, on frozen features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from acclimate.domains.ids import hash_array
from acclimate.errors import SettingsError
from acclimate.methods.base import Method
from acclimate.methods.data import Data, Need
from acclimate.methods.discrepancy.transport import sinkhorn_plan
from acclimate.training.stage import Convex, Stage

LARGEST = 2000
"""Rows of a side among which the plan is found; the others move with their nearest."""
ROUNDS = 10
"""Rounds of majorisation for the class term (as in POT), each from where the last one ended."""
STEPS = 100
"""Sinkhorn steps of a round."""
SMALLEST_SHARE = 1e-3
"""Added to a class' share before its root is taken, whose slope at 0 is infinite (as in POT)."""


def class_regularised_plan(
    cost: np.ndarray, labels: np.ndarray | None, classes: float, entropy: float, marginal: float | None = None
) -> np.ndarray:
    """The plan that moves each target row's mass from few classes.

    ``argmin_G <G, C> + entropy KL(G | a b^T) + classes sum_j b_j sum_c (G(c, j) / b_j)^(1/2)``, where ``G(c, j)`` is
    the mass that target row j gets from class c: the root makes a share of two classes dearer than the whole of one.
    Majorisation and minimisation: the root's tangent at the last plan is a cost for each pair (Courty, Flamary, Tuia,
    Rakotomamonjy, Optimal Transport for Domain Adaptation, TPAMI 2017, section 5.1; POT's ``sinkhorn_lpl1_mm``). Shares
    instead of masses, so that ``classes`` means the same however many rows there are.

    Args:
        cost: ``[n, m]`` of source and target rows.
        labels: ``[n]`` classes of the source rows; None: no class term.
        classes: weight of the class term, in the unit of ``cost``.
        entropy: weight of the blur, above 0, in the unit of ``cost``.
        marginal: see `sinkhorn_plan`.

    Returns:
        ``[n, m]`` float64 of the sum 1, or less with a ``marginal``.
    """
    n, m = cost.shape
    mass = np.full(n, m / n), np.ones(m)
    plan, start = sinkhorn_plan(cost, entropy, marginal, mass, steps=STEPS)
    if labels is not None and classes > 0:
        names, owner = np.unique(labels, return_inverse=True)
        member = np.eye(len(names))[owner]
        for _ in range(ROUNDS - 1):
            shares = member.T @ plan
            slope = 0.5 * (shares + SMALLEST_SHARE) ** -0.5
            dearer = cost + classes * slope[owner]
            plan, start = sinkhorn_plan(dearer, entropy, marginal, mass, start, STEPS)
    return plan / m


def barycentric_map(plan: np.ndarray, source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each source row at the mean of the target rows that it is sent to.

    Args:
        plan: ``[n, m]``.
        source: ``[n, d]``; where a row without mass stays.
        target: ``[m, d]``.

    Returns:
        The moved rows ``[n, d]``, and how much mass each one sends ``[n]``, 1 on average.
    """
    mass = plan.sum(axis=1)
    sent = mass > 1e-12 * mass.max()
    moved = source.astype(np.float64)
    moved[sent] = plan[sent] @ target / mass[sent, None]
    return moved, mass / mass.mean()


@dataclass(frozen=True)
class OTMapping(Method):
    """The labelled source rows move onto the target, and the head is fitted to where they arrive.

    The plan of least squared distance between the domains' frozen features, blurred by entropy and kept from mixing
    classes in one target row, sends each source row to the mean of its target rows. Distances are divided by their
    mean. Of more than 2,000 rows of a side, 2,000 are chosen by a hash of their content; the other source rows move
    as the nearest chosen one of their class does (Ferradans et al., SIAM J. Imaging Sciences 2014).

    Helps when the domain moves or bends all features alike (another camera, another sensor) and class shares are
    alike. Hurts when class shares differ: the plan must use every row, and sends what one class has too many onto
    another class (skada-bench, target shift: source_only 85.0, OT mapping 63.4). ``marginal`` allows rows to be left
    out; those count less in the head's loss. Hurts too where a class lies nearer to another class of the target.

    Courty, Flamary, Tuia & Rakotomamonjy, Optimal Transport for Domain Adaptation, TPAMI 2017, eq. 7, 14 and section
    5.1; unbalanced: Chizat et al., Math. of Computation 2018. Related: coral (moments only), deepjdot (end to end).

    Attributes:
        entropy: blur of the plan, in units of the mean distance. Large values draw all rows to the target's mean,
            small ones follow single rows. Search 0.01 to 0.2 (the paper searched 0.001 to 1000, unscaled).
        classes: weight against mixing classes in a target row, same unit; 0 ignores labels, and so do numbers as
            labels. Search 0 to 1 (paper: 0.001 to 1000).
        marginal: None: every row is used up. Else the price of leaving rows out, same unit, for other class shares.
            Search 0.1 to 10.
    """

    entropy: float = 0.05
    classes: float = 0.1
    marginal: float | None = None

    name: ClassVar[str] = "ot_mapping"
    about: ClassVar[str] = "source features carried onto the target by optimal transport (Courty et al. 2017)"
    ranges: ClassVar[Mapping[str, str]] = {"entropy": "[0.001, inf)", "classes": "[0, inf)", "marginal": "(0, inf)"}
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "entropy": (0.05, 0.02, 0.1, 0.01, 0.2),
        "classes": (0.1, 0.3, 0.0, 1.0),
        "marginal": (None, 1.0, 0.1, 10.0),
    }
    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "target_inputs")

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """The head, on the moved rows.

        Raises:
            SettingsError: features are not frozen, or pass a bottleneck.
        """
        if not convex:
            raise SettingsError(
                "method 'ot_mapping' moves frozen features in closed form, and these are trained; "
                "use --tune frozen without a bottleneck, or method deepjdot"
            )
        assert data.source is not None
        by_class = data.has["classes"]

        def carry(source: Any, labels: np.ndarray, target: Any) -> tuple[np.ndarray, np.ndarray | None]:
            return self.carry(source, labels if by_class else None, target)

        return [Convex(self.name, data.source, data.source_validation, target=data.target, carry=carry)]

    def carry(
        self, source: np.ndarray, labels: np.ndarray | None, target: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Source rows ``[n, d]`` moved onto target rows ``[m, d]``; weights ``[n]`` where mass may be left out.

        The order of the rows changes nothing.

        Raises:
            SettingsError: sparse features, whose means are not sparse.
        """
        from sklearn.metrics.pairwise import euclidean_distances

        if not (isinstance(source, np.ndarray) and isinstance(target, np.ndarray)):
            raise SettingsError(
                "method 'ot_mapping' needs dense features, and this backbone's are sparse; take another"
            )
        kept = _by_content(source, labels)[:LARGEST]
        few, goal = source[kept], target[_by_content(target)[:LARGEST]]
        names = None if labels is None else labels[kept]
        cost = euclidean_distances(few.astype(np.float64), goal.astype(np.float64), squared=True)
        plan = class_regularised_plan(cost / max(cost.mean(), 1e-12), names, self.classes, self.entropy, self.marginal)
        moved, weight = barycentric_map(plan, few, goal)
        guide = _guides(source, labels, kept)
        carried = source + (moved - few)[guide]
        return carried.astype(source.dtype), None if self.marginal is None else weight[guide]


def _by_content(features: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """The rows in the order of their contents' hashes, equal ones by label: the first k are a random sample."""
    ids = hash_array(features)
    return np.lexsort((ids,) if labels is None else (labels.astype(str), ids))


def _guides(features: np.ndarray, labels: np.ndarray | None, kept: np.ndarray) -> np.ndarray:
    """For each row, which of the kept rows it moves with ``[n]``: itself, or the nearest of its class."""
    from sklearn.metrics import pairwise_distances_argmin

    guide = np.full(len(features), -1)
    guide[kept] = np.arange(len(kept))
    classes = np.zeros(len(features)) if labels is None else labels.astype(str)
    for name in np.unique(classes[guide < 0]):
        rows = np.flatnonzero((guide < 0) & (classes == name))
        own = np.flatnonzero(classes[kept] == name)
        among = own if len(own) else np.arange(len(kept))
        guide[rows] = among[pairwise_distances_argmin(features[rows], features[kept[among]])]
    return guide
