"""The decision: adapt, keep the source model, or do not deploy, made without opening the seal.

A simple rule, in this order:

1. *do not deploy*: the better of the adapted and the source model is not shown to beat the best constant
   answer on the source's validation rows, or on these without the columns that the target lacks, or the answers of
   both collapse on the target, or those of the source
   model collapse and the adapted ones lose a class that it answers with;
2. *keep the source model*: nothing was adapted; or the adapted answers collapse, or lose a class that the
   source model answers with; or the adapted model forgot more than 5 points (and more than its interval)
   on the source; or it does not win more of the label-free scores (calibrated InfoMax, agreement with the
   mean of all arms, average thresholded confidence, and where the target's class shares were stated the fit to
   them) by more than 0.005 than it loses against the source model. Where at least five other arms were trained, and
   more than twice as many as `auto` averages, these vote instead (those averaged among them): on the rows where
   the adapted and the source model differ, more of them must side with the adapted one; what it forgot of the source
   is then not asked, for the target is what counts;
3. *adapt* otherwise, and also where only the answers of the source model collapse.

If the user permitted target labels (the inductive setting), the target's own validation rows decide:
they are compared with the constant answer and with the source model, and the rest is not asked. Where such rows were
kept to choose by alone (method auto), they decide if the paired difference between the two models excludes zero, and
forbid both if the better one is shown to be worse than the constant answer; if they are too few for that, the rule
above stands. Labels that one constant answer gets all right decide nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from acclimate.digits import four
from acclimate.selection.evidence import ArmEvidence, Validation
from acclimate.selection.votes import Votes

if TYPE_CHECKING:
    from acclimate.tasks.answers import Metric
    from acclimate.tasks.base import Task

Place = Literal["source", "narrowed", "target"]
Choice = Literal["adapt", "keep_source", "do_not_deploy"]

FORGETTING = 0.05
"""Points of the source's metric (or share of the constant answer's error) that adapting may cost."""
MARGIN = 0.005
"""A label-free score must differ by more than this (nats, or half a point of the rows) to count."""
ALIKE = "the labels of the target rows to judge by are all the same: they decide nothing"
VOTERS = 5
"""Other arms that make a vote; fewer say too little."""
VALIDATION = "'s validation rows"
SCORES = {
    "infomax": "InfoMax",
    "agreement": "agreement with the mean of all arms",
    "atc": "average thresholded confidence",
    "shares_fit": "fit to the stated class shares",
}


@dataclass(frozen=True)
class Decision:
    """What to do, and why.

    Attributes:
        choice: adapt, keep_source or do_not_deploy.
        arm: the arm that answers; with do_not_deploy, the one that would.
        reasons: sentences with their figures, the deciding one first.
    """

    choice: Choice
    arm: str
    reasons: tuple[str, ...]


def decide(
    task: Task, arms: Mapping[str, ArmEvidence], adapted: str, source_only: str | None, plain: Sequence[str] = ()
) -> Decision:
    """The decision by the rule above.

    Args:
        task: names the primary metric.
        arms: evidence of every arm.
        adapted: the arm of the method that was asked for.
        source_only: the arm of the same backbone without the target; None if there is none, or
            ``adapted`` itself if nothing was adapted.
        plain: the modality's plain baselines; they are mentioned where they are better, and never chosen.
    """
    known = arms[adapted].target
    permitted, alike = known is not None, known is not None and known.constant == task.primary.best
    rule = _by_target_labels if permitted and not alike else _without_target_labels
    if arms[adapted].against is not None and not alike:
        rule = _by_few_target_labels
    decision = rule(task.primary, arms, adapted, source_only)
    remarks: tuple[str, ...] = (ALIKE,) if alike else ()
    for name in plain:
        remarks += _plain_is_better(task.primary, arms, decision.arm, name, "target" if permitted else "source")
    return replace(decision, reasons=decision.reasons + remarks)


def _without_target_labels(
    metric: Metric, arms: Mapping[str, ArmEvidence], adapted: str, source_only: str | None
) -> Decision:
    rivals = [adapted, *([source_only] if source_only not in (None, adapted) else [])]
    useless = _no_better_than_constant(metric, arms, rivals, "source") or _no_better_than_constant(
        metric, arms, rivals, "narrowed"
    )
    if useless:
        return Decision("do_not_deploy", rivals[-1], useless)
    if all(arms[name].collapse for name in rivals):
        return Decision("do_not_deploy", rivals[-1], _collapses(arms, rivals))
    if source_only == adapted:
        return Decision("keep_source", adapted, ("nothing was adapted: the method is the source model",))
    if source_only is None:
        return Decision("adapt", adapted, ("there is no source model to compare with",))
    if arms[adapted].collapse:
        return Decision("keep_source", source_only, _collapses(arms, [adapted]))
    gone = [why for name, why in arms[adapted].vanished.items() if name not in arms[source_only].vanished]
    lost = tuple(f"{adapted} lost a class: {why}" for why in gone)
    if lost and arms[source_only].collapse:
        return Decision("do_not_deploy", source_only, (*_collapses(arms, [source_only]), *lost))
    if lost:
        return Decision("keep_source", source_only, lost)
    voted = arms[adapted].votes
    forgot = () if voted else _forgot(metric, arms, adapted, source_only)
    if forgot:
        return Decision("keep_source", source_only, forgot)
    if arms[source_only].collapse:
        return Decision("adapt", adapted, _collapses(arms, [source_only]))
    return _poll(voted, adapted, source_only) if voted else _contest(arms, adapted, source_only)


def _by_target_labels(
    metric: Metric, arms: Mapping[str, ArmEvidence], adapted: str, source_only: str | None
) -> Decision:
    permission = "the target labels that were permitted decide, on rows that no arm was trained on"
    rivals = [name for name in dict.fromkeys((adapted, source_only)) if name is not None and arms[name].target]
    useless = _no_better_than_constant(metric, arms, rivals, "target")
    if useless:
        return Decision("do_not_deploy", rivals[-1], (*useless, permission))
    if source_only == adapted:
        return Decision("keep_source", adapted, ("nothing was adapted: the method is the source model",))
    mine = _score(metric, arms[adapted].target)
    other = _score(metric, arms[source_only].target) if source_only else None
    if mine is None or other is None or source_only is None:
        return Decision("adapt", adapted, ("no source model answers with the target's labels", permission))
    better = _gain(metric, mine, other) > 0
    said = "is better than" if better else "is no better than"
    reason = f"on the target {adapted} {said} {source_only}: {metric.name} {four(mine)} against {four(other)}"
    return Decision("adapt" if better else "keep_source", adapted if better else source_only, (reason, permission))


def _by_few_target_labels(
    metric: Metric, arms: Mapping[str, ArmEvidence], adapted: str, source_only: str | None
) -> Decision:
    """Few labels overrule the label-free decision between the two models only where they are enough to tell."""
    free = _without_target_labels(metric, arms, adapted, source_only)
    difference = arms[adapted].against
    assert difference is not None and source_only is not None
    sign = 1 if metric.higher_is_better else -1
    bounds = sorted(sign * end for end in (difference.low, difference.high) if end is not None)
    told = "" if not bounds else f" (95 % interval {difference.low:+.3g} to {difference.high:+.3g})"
    permitted = "the target labels that were permitted decide (they weighed the average too, which flatters it)"
    said = (
        f"on the labelled target rows {metric.name} of {adapted} minus {source_only} is {difference.value:+.3g}{told}"
    )
    worse = _worse_than_constant(metric, arms, (adapted, source_only))
    if worse:
        return Decision("do_not_deploy", source_only, (*worse, permitted))
    if not bounds or bounds[0] <= 0 <= bounds[1]:
        return replace(free, reasons=(*free.reasons, f"{said}: too few to overrule that"))
    if bounds[0] > 0:
        return Decision("adapt", adapted, (said, permitted))
    return Decision("keep_source", source_only, (said, permitted))


def _no_better_than_constant(
    metric: Metric, arms: Mapping[str, ArmEvidence], names: Sequence[str], place: Place
) -> tuple[str, ...]:
    """A reason if the best of the arms has an interval that reaches the constant answer's score."""
    known = [(name, found) for name in names if (found := _validation(arms[name], place)) is not None]
    if not known:
        return ()
    name, best = max(known, key=lambda pair: _gain(metric, pair[1].metrics[metric.name], pair[1].constant))
    score = best.metrics[metric.name]
    worst = score if best.interval is None else best.interval[0 if metric.higher_is_better else 1]
    if _gain(metric, worst, best.constant) > 0:
        return ()
    bounds = "" if best.interval is None else f" (95 % interval {four(best.interval[0])} to {four(best.interval[1])})"
    rows = "source's validation rows without the columns that the target lacks"
    return (
        f"{name} is not shown to beat a constant answer on the {rows if place == 'narrowed' else place + VALIDATION}: "
        f"{metric.name} {four(score)}{bounds} against {four(best.constant)}",
    )


def _worse_than_constant(metric: Metric, arms: Mapping[str, ArmEvidence], names: Sequence[str]) -> tuple[str, ...]:
    """A reason if on labelled target rows even the better arm's interval does not reach the constant answer's score."""
    known = [(name, found) for name in names if (found := arms[name].target) is not None and found.interval]
    if not known:
        return ()
    name, best = max(known, key=lambda pair: _gain(metric, pair[1].metrics[metric.name], pair[1].constant))
    assert best.interval is not None
    if _gain(metric, best.interval[1 if metric.higher_is_better else 0], best.constant) >= 0:
        return ()
    score, (low, high) = best.metrics[metric.name], best.interval
    return (
        f"{name} is worse than a constant answer on the labelled target rows: "
        f"{metric.name} {four(score)} (95 % interval {four(low)} to {four(high)}) against {four(best.constant)}",
    )


def _forgot(metric: Metric, arms: Mapping[str, ArmEvidence], adapted: str, source_only: str) -> tuple[str, ...]:
    """A reason if adapting cost more than 5 points, and more than the interval, on the source."""
    after, before = arms[adapted].source, arms[source_only].source
    if after is None or before is None:
        return ()
    new, old = after.metrics[metric.name], before.metrics[metric.name]
    allowed = FORGETTING if metric.higher_is_better else FORGETTING * before.constant
    best = new if after.interval is None else after.interval[1 if metric.higher_is_better else 0]
    if -_gain(metric, new, old) <= allowed or _gain(metric, best, old) >= 0:
        return ()
    few = "; the rows are too few for an interval" if after.interval is None else ""
    values = f"{metric.name} {four(new)} on its validation rows, {source_only} {four(old)}"
    return (f"{adapted} forgot the source: {values}{few}",)


def _poll(votes: Votes, adapted: str, source_only: str) -> Decision:
    """The vote of the other arms."""
    if not votes.rows:
        return Decision("keep_source", source_only, (f"{adapted} and {source_only} answer alike on every row",))
    said = (
        f"on the {votes.rows} rows where the two differ, {votes.adapted:.0%} of the answers of {votes.voters} other "
        f"arms are those of {adapted}, {votes.source_only:.0%} those of {source_only}"
    )
    if votes.margin > 0:
        return Decision("adapt", adapted, (f"the other arms side with {adapted}", said))
    return Decision("keep_source", source_only, (f"the other arms do not side with {adapted}", said))


def _contest(arms: Mapping[str, ArmEvidence], adapted: str, source_only: str) -> Decision:
    """The label-free scores of the two arms, each a vote; without a target there are none: the worst source tells."""
    votes, lines = _won(arms, adapted, source_only)
    if not lines:
        return _by_worst_source(arms, adapted, source_only)
    if votes > 0:
        return Decision("adapt", adapted, (f"{adapted} wins more label-free scores than it loses", *lines))
    return Decision("keep_source", source_only, (f"{adapted} wins no more label-free scores than it loses", *lines))


def _by_worst_source(arms: Mapping[str, ArmEvidence], adapted: str, source_only: str) -> Decision:
    new, old = arms[adapted].worst, arms[source_only].worst
    if new is None or old is None:
        return Decision("keep_source", source_only, ("nothing tells the two apart without labels of the target",))
    said = f"on the worst of the sources {adapted} has {four(new)}, {source_only} {four(old)}; there is no target"
    return Decision("adapt", adapted, (said,)) if new > old else Decision("keep_source", source_only, (said,))


def _won(arms: Mapping[str, ArmEvidence], adapted: str, source_only: str) -> tuple[int, list[str]]:
    """How many more label-free scores the first arm wins than it loses, and the scores."""
    votes, lines = 0, []
    for key, name in SCORES.items():
        new, old = getattr(arms[adapted], key), getattr(arms[source_only], key)
        if new is not None and old is not None:
            votes += int(np.sign(new - old)) if abs(new - old) > MARGIN else 0
            lines.append(f"{name}: {adapted} {four(new)}, {source_only} {four(old)}")
    return votes, lines


def _plain_is_better(
    metric: Metric, arms: Mapping[str, ArmEvidence], chosen: str, plain: str, place: Place
) -> tuple[str, ...]:
    """A remark if the plain baseline scores better where labels are known, or as well and better where none are."""
    mine, other = (_score(metric, _validation(arms[name], place)) for name in (chosen, plain))
    if mine is None or other is None or _gain(metric, other, mine) < 0:
        return ()
    won, scores = _won(arms, plain, chosen)
    said = f"on the {place}{VALIDATION}: {metric.name} {four(other)}, {chosen} {four(mine)}"
    if _gain(metric, other, mine) > 0:
        return (f"the plain baseline {plain} is better {said}; its model is in arms/{plain}",)
    if won <= 0:
        return ()
    return (
        f"the plain baseline {plain} is as good {said}, and wins label-free scores ({'; '.join(scores)}); its model is "
        f"in arms/{plain}",
    )


def _collapses(arms: Mapping[str, ArmEvidence], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{name} collapses on the target: {why}" for name in names for why in arms[name].collapse)


def _validation(arm: ArmEvidence, place: Place) -> Validation | None:
    return {"source": arm.source, "narrowed": arm.narrowed, "target": arm.target}[place]


def _score(metric: Metric, found: Validation | None) -> float | None:
    return None if found is None else found.metrics[metric.name]


def _gain(metric: Metric, new: float, old: float) -> float:
    """How much better the new score is, in the unit of the metric."""
    return new - old if metric.higher_is_better else old - new
