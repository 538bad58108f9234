"""What is known of an arm when it is decided whether to deploy it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from acclimate.selection.bootstrap import Difference, Interval
from acclimate.selection.votes import Votes


@dataclass(frozen=True)
class Validation:
    """How an arm does on labelled rows that it was not trained on.

    Attributes:
        metrics: by name.
        interval: of the primary metric, None where there are too few rows.
        constant: the primary metric of the best constant answer on the same rows (`constant.constant_answer`).
    """

    metrics: Mapping[str, float]
    interval: Interval | None
    constant: float


@dataclass(frozen=True)
class ArmEvidence:
    """What is known of an arm without opening the seal.

    Attributes:
        source: on the source's validation rows; None for an arm that cannot answer there.
        narrowed: `source` without the columns that the target lacks, None where it lacks none.
        worst: the primary metric on the worst of several sources.
        target: on target rows whose labels the user permitted; None while they are sealed.
        infomax: see `scores`, as are the next two; higher is better, None where not defined.
        agreement: with the mean of all arms.
        atc: average thresholded confidence.
        shares_fit: how well the likeliest classes fit stated shares of the target (`shares.fit`).
        votes: of the other arms between this one and the source model; None where they are too few (`decision.VOTERS`).
        against: this arm minus the source model on labelled target rows that were kept to choose by.
        collapse: sentences of `scores.collapse`, empty if the answers have not collapsed.
        vanished: sentences of `scores.vanished` by class.
    """

    source: Validation | None
    target: Validation | None = None
    narrowed: Validation | None = None
    worst: float | None = None
    infomax: float | None = None
    agreement: float | None = None
    atc: float | None = None
    shares_fit: float | None = None
    votes: Votes | None = None
    against: Difference | None = None
    collapse: tuple[str, ...] = ()
    vanished: Mapping[str, str] = field(default_factory=dict)
