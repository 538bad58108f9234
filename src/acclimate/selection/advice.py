"""What to try first: rules of thumb over what was found, each with its reason.

They come from what is known of the methods (their docstrings, docs/benchmarks.md) and are no result of trying anything
on the data at hand; `acclimate compare` tries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from acclimate.selection.kinds import Kind

SURE = 0.6
"""Below this confidence the kind of shift is not acted upon."""
WIDE = 1.0
"""A proxy A-distance from which frozen features are far apart."""
MATTERS = 0.02
"""Share of answers that must hinge on class shares before they are worth a correction."""
FEW = 100
"""Rows of a side below which nothing found here is firm."""


@dataclass(frozen=True)
class Advice:
    """What to try first.

    Attributes:
        options: for `acclimate adapt`.
        reasons: sentences, the deciding one first.
    """

    options: str
    reasons: tuple[str, ...]


def advise(
    kind: Kind,
    distance: float,
    works: Sequence[str],
    *,
    rows: int,
    shares_certain: bool,
    hinge: float,
    trainable_text: bool,
    dense: bool = False,
    labels: str = "COLUMN",
) -> Advice:
    """The first rule that applies.

    Args:
        kind: of the shift.
        distance: proxy A-distance on frozen features.
        works: methods that work with these data.
        rows: of the smaller side.
        shares_certain: nothing speaks against the estimated class shares.
        hinge: share of answers that hinge on the class shares.
        trainable_text: the inputs are texts and the backbone is a pretrained network that can be trained.
        dense: answers are of the places of each row, so that alignment acts on thousands of them.
        labels: what a user names to permit labels of the target.
    """
    several = _several(works, dense, labels)
    options, *reasons = _first(kind, distance, works, shares_certain, hinge, trainable_text, several, labels)
    if rows < FEW:
        reasons.append(f"{rows} rows on the smaller side are few: nothing here is firm, and a small shift is not seen")
    return Advice(options, tuple(reasons))


def _first(
    kind: Kind,
    distance: float,
    works: Sequence[str],
    shares_certain: bool,
    hinge: float,
    trainable_text: bool,
    several: Sequence[str],
    labels: str,
) -> tuple[str, ...]:
    options, why, *more = several
    if kind.confidence < SURE:
        return options, f"the kind of shift is not clear ({kind.name} {kind.confidence:.2f}): {why}", *more
    if kind.name == "concept":
        return (
            f"--method joint --target-label {labels}",
            "the same rows have other labels in the target: no method without target labels can follow that",
            "label more target rows, and train on both",
        )
    if kind.name == "none":
        return "--method source_only", "no gap is seen: there is nothing to adapt to, and adapting can only hurt"
    if kind.name == "new_classes":
        return (
            "--method source_only",
            f"about {kind.far or 0:.0%} of the target's rows look like no class of the source: methods that align the "
            "domains force them onto the known classes",
            "look at the most target-like rows, add the missing classes to the source or leave such rows out",
        )
    if kind.name == "label":
        return _for_label_shift(shares_certain, hinge)
    if trainable_text and distance >= WIDE:
        return (
            "--method source_only --tune full",
            "the texts look different and frozen features are far apart: in docs/benchmarks.md training the whole "
            "backbone on the source lifted such pairs more than adapting frozen features did",
            *(("--method auto on frozen features is the quick second try",) if "auto" in works else ()),
        )
    return options, f"the looks changed: {why}", *more


def _several(works: Sequence[str], dense: bool, labels: str) -> tuple[str, ...]:
    """What to try where no rule names a method, how that is meant, and what to know of it."""
    if "auto" in works:
        return "--method auto", "no single method is safe there, so several compete and the best are averaged"
    chosen = f"--method auto picks the best of several where --target-label {labels} permits some labels to judge by"
    if dense and "dann" in works:
        return (
            "--method dann --set method.strength=0.03",
            "dann moves features until the domains look alike in them, which may also spoil answers: look at some",
            "it acts on thousands of places in each image, which pulls harder than one vector a row: strengths of 0.01 "
            "to 0.1 are sensible, and the default of 1 destroys what was learned",
            "random colours in training, --set backbone.augment=crop_flip_color, see no target: for cells of another "
            "stain they did more than any method; on streets at night they helped in two seeds of three, in fog never "
            "(docs/scenes)",
            *(("fda, source images in the target's light and colours, is the second try",) if "fda" in works else ()),
            chosen,
        )
    if "coral" in works:
        return "--method coral", "coral aligns means and covariances, and little else", chosen
    return "--method source_only", "no method that moves features works with these data"


def _for_label_shift(shares_certain: bool, hinge: float) -> tuple[str, ...]:
    if hinge < MATTERS:
        return (
            "--method source_only",
            f"only class shares differ, and {hinge:.1%} of the answers hinge on them: too few to correct",
        )
    if shares_certain:
        return (
            "--method mlls",
            "only class shares differ: correct for them, and align nothing, for aligning breaks what is right",
            "better still, if you know the shares roughly: --target-shares CLASS=SHARE,...",
        )
    return (
        "--method source_only --target-shares CLASS=SHARE,...",
        f"only class shares differ, {hinge:.0%} of the answers hinge on them, and the estimate is too uncertain: "
        "state them roughly if you can",
        "without that, --method source_only as it is; aligning breaks what is right",
    )
