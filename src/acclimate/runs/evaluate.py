"""Opening the seal: labelled target rows, every arm's metrics with intervals, and the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from acclimate.digits import four
from acclimate.domains.domain import Domain
from acclimate.domains.labels import apply_label_map
from acclimate.domains.locator import named_label
from acclimate.errors import DataError
from acclimate.files import write_json
from acclimate.runs import fairness, result, seal
from acclimate.runs.evidence import scored
from acclimate.runs.layout import names_in
from acclimate.runs.predictor import Predictor
from acclimate.runs.reading import label_map
from acclimate.runs.recipe import Recipe, parse
from acclimate.runs.recipe import read as read_recipe
from acclimate.runs.recommend import baselines
from acclimate.runs.report import certainty
from acclimate.runs.report import make as report
from acclimate.runs.report.blocks import unchosen
from acclimate.selection.bootstrap import ArmScores, Difference, evaluate, verdict
from acclimate.tasks import registry as tasks
from acclimate.tasks.answers import Answers
from acclimate.tasks.base import Task
from acclimate.trust.fairness.thresholds import Thresholds

LISTED = 8
"""Names that a sentence lists."""


def open_seal(
    folder: Path,
    data: Any,
    load: Callable[[str], Predictor],
    *,
    label: str | None = None,
    input: str | list[str] | None = None,
    group: str | None = None,
    sensitive: Sequence[str] = (),
    force: bool = False,
) -> dict[str, Any]:
    """Evaluate every arm of a run on labelled target rows, and write into the run that labels were opened.

    Args:
        folder: of the run.
        data: labelled rows of the target.
        load: the model of an arm by the arm's name.
        label: their label column.
        input: input columns where they are named otherwise.
        group: column whose rows are resampled together; the recipe's, where the data have it.
        sensitive: columns of groups of people; the recipe's, where the data have them.
        force: evaluate also on rows that were trained on with labels.

    Returns:
        The `evaluate --json` object: metrics of the deployed model, and against source_only.

    Raises:
        DataError: no labels, rows that were trained on, ...
    """
    value = result.load(folder)
    recipe = parse(read_recipe(folder / "recipe.yaml"), str(folder / "recipe.yaml"))
    shapes = "" if recipe.task is None else tasks.find(recipe.task).shapes
    label = label or recipe.target_label or recipe.label or shapes or named_label(data)
    arms = {row["name"]: load(row["name"]) for row in value["arms"]}
    deployed = arms[value["model"]]
    sensitive = tuple(sensitive or recipe.sensitive)
    domain, notes = _read(deployed, data, recipe, input=input, label=label, group=group, sensitive=sensitive)
    if not set(sensitive) <= set(domain.sensitive):
        notes = [*notes, f"no table of groups: {domain.name} comes without {', '.join(sensitive)}"]
    if domain.labels is None:
        raise DataError(f"{domain.name}: no labels; name their column with --label")
    labels = apply_label_map(domain.labels, label_map(recipe))
    domain = replace(domain, labels=labels)
    task = tasks.restore(deployed._model.task.config())
    if task.kind == "vector":
        notes += _check_people(task, domain, force)
        domain = replace(domain, groups=domain.labels if domain.groups is None else domain.groups)
    task.check(domain, learned=False)
    names = _names(task, domain.name, labels)
    seen = seal.check_rows(folder, domain, force)
    domain = domain.select(domain.order)  # the order of the file must not change an interval
    assert domain.labels is not None
    seal.record(folder, value, domain, label, seen)

    comparable = {name: arm for name, arm in arms.items() if arm._model.task.config() == task.config()}
    answers = {name: arm.answers(domain, cached=True) for name, arm in comparable.items()}
    reference = value["reference"] if value["reference"] in answers else None
    found = evaluate(task, answers, domain.labels, domain.groups, baseline=reference)
    for row in value["arms"]:
        if row["name"] in found:
            row["target"] = {**scored(found[row["name"]]), "n": len(domain), "data": domain.name}
    value["transductive"] = bool(seen["seen_unlabelled"])
    value |= _regret(task, answers, found, value["model"], domain)
    value["verdict"] = _verdict(task, found, value["adapted"], reference)
    if value.get("certainty") is not None and deployed.certainty is not None and value["model"] in answers:
        said = answers[value["model"]]
        value["certainty"]["target"] = deployed.realised(value["certainty"], said, domain)
        certainty.write(folder, value["certainty"])
    if domain.sensitive:
        arms_of = {"model": value["model"], "adapted": value["adapted"], "reference": reference, "seed": recipe.seed}
        said_of = {name: each.prediction for name, each in answers.items()}
        before = value.get("fairness") or {"columns": list(domain.sensitive), "source": None}
        here = fairness.table(task, said_of, domain, **arms_of)
        if here is not None:
            apart = Thresholds.load(folder / "model")
            here["with_thresholds"] = fairness.with_thresholds(apart, answers[value["model"]], domain)
        value["fairness"] = {**before, "target": here}
        fairness.write(folder, value["fairness"])
    plain = {**task.baselines(domain.rows), **baselines(deployed._model, domain)}
    beside = evaluate(task, plain, domain.labels, domain.groups) if plain else {}
    value["baselines"] = {name: scored(each) for name, each in beside.items()}
    write_json(folder / "result.json", value)
    report.evaluated(folder, value, task, answers, domain)
    summary = _summary(task, value, domain, found, reference)
    summary |= {"unseen_labels": {name: names[name] for name in sorted(names) if name not in task.possible}}
    more = {difference.note for arm in found.values() for difference in arm.differences.values() if difference.note}
    summary |= {"curves": task.curves(answers[value["model"]], domain.labels)}
    notes = [*notes, *_absent(task, names), *more, *([UNCHOSEN] if unchosen(value) else [])]
    return {**summary, "notes": [*notes, *_plainer(task, found, beside, value["model"])]}


def _names(task: Task, where: str, labels: np.ndarray) -> Counter[str]:
    """In how many labels each name is, of a task whose answers hold names.

    Raises:
        DataError: none of them is one of the model's: every answer would be wrong, whatever the model is worth.
    """
    possible = task.possible
    counts = Counter(name for label in labels for name in task.named(label)) if possible else Counter()
    if counts and not counts.keys() & set(possible):
        raise DataError(
            f"{where}: no label is one that the model knows. Labels: {_listed(sorted(counts))}; the model knows "
            f"{_listed(possible)}. Give them the same names (NPZ: an array class_names; masks: a legend.json), or name "
            "another column with --label; the seal was not opened"
        )
    return counts


def _listed(names: Sequence[str]) -> str:
    """The first names, and how many there are beside them."""
    return f"{', '.join(names[:LISTED])}{f' and {len(names) - LISTED} more' if len(names) > LISTED else ''}"


def _absent(task: Task, names: Counter[str]) -> tuple[str, ...]:
    """A remark on names that the model knows and no row has: answers that hold them are wrong here."""
    missing = [name for name in task.possible if name not in names] if names else []
    return (f"no row here is of {_listed(missing)}, which the model knows",) if missing else ()


def _plainer(
    task: Task, found: Mapping[str, ArmScores], beside: Mapping[str, ArmScores], deployed: str
) -> Iterator[str]:
    """A note for each plain baseline that is better than the deployed model: a verdict speaks of arms alone."""
    if deployed not in found:
        return
    primary = task.primary
    own = found[deployed].metrics[primary.name]
    for name, scores in beside.items():
        other = scores.metrics[primary.name]
        if other > own if primary.higher_is_better else other < own:
            told = f"{primary.name} {four(other)} against {four(own)}"
            yield f"the plain baseline {name} is better than {deployed}: {told}"


def _read(
    model: Predictor,
    data: Any,
    recipe: Recipe,
    *,
    input: str | list[str] | None,
    label: str | None,
    group: str | None,
    sensitive: Sequence[str],
) -> tuple[Domain, list[str]]:
    """The rows, and a note where those of one of the recipe's groups are not known to belong together."""
    read = partial(model.read, data, input=input, label=label, sensitive=_there(data, sensitive, recipe))
    if recipe.hit is not None:
        read = partial(read, hit=recipe.hit)
    if group is not None or recipe.group is None:
        return read(group=group), []
    try:
        domain, why = read(group=recipe.group), "they come without it"
    except DataError as error:
        domain, why = read(), str(error)
    if domain.groups is not None:
        return domain, []
    return domain, [f"rows of one '{recipe.group}' are not kept together, so intervals may be too narrow: {why}"]


def _there(data: Any, asked: Sequence[str], recipe: Recipe) -> tuple[str, ...]:
    """The columns of groups to read: those asked for here must be there, those of the recipe need not."""
    known = names_in(data)
    lacking = known is not None and tuple(asked) == recipe.sensitive and not set(asked) <= set(known)
    return () if lacking else tuple(asked)


def _check_people(task: Task, domain: Domain, force: bool) -> list[str]:
    """A note where people of the rows were trained on, for ``force``.

    Raises:
        DataError: without it; or nobody has two rows.
    """
    people, counts = np.unique(np.asarray(domain.labels).astype(str), return_counts=True)
    if len(people) < 2 or counts.max() < 2:
        raise DataError(
            f"{domain.name}: {len(domain)} rows of {len(people)} people, at most {counts.max()} of one; verification "
            "needs pairs of one person and pairs of two"
        )
    seen = sorted(set(people) & set(task.config()["people"]))
    if not seen:
        return []
    said = f"{domain.name}: {len(seen)} of {len(people)} people were trained on ({', '.join(seen[:5])})"
    if not force:
        raise DataError(
            f"{said}; how well new people are told apart shows only on new people. Leave them out, give them other "
            "names if they are others, or --force"
        )
    return [f"{said}: what is measured on them flatters"]


UNCHOSEN = (
    "no candidate was chosen without labels: auto is source_only, and the verdict compares that model with itself; the "
    "candidates' own differences are in the table"
)


def _verdict(task: Task, found: Mapping[str, ArmScores], adapted: str, reference: str | None) -> str:
    if reference is None or adapted not in found or adapted == reference:
        return "no_evidence"
    return verdict(found[adapted].differences[task.primary.name], task.primary.higher_is_better)


def _regret(
    task: Task, answers: Mapping[str, Answers], found: Mapping[str, ArmScores], deployed: str, domain: Domain
) -> dict[str, Any]:
    """The best arm by these labels, and what the deployed one lacks to it; an equal arm is no better one."""
    primary = task.primary
    sign = 1.0 if primary.higher_is_better else -1.0
    oracle = max(found, key=lambda name: (sign * found[name].metrics[primary.name], name == deployed))
    difference = Difference(0.0, 0.0, 0.0)
    if oracle != deployed:
        assert domain.labels is not None
        pair = {name: answers[name] for name in (deployed, oracle)}
        held = evaluate(task, pair, domain.labels, domain.groups, baseline=deployed)
        difference = held[oracle].differences[primary.name]
    bounds = [sign * bound for bound in (difference.low, difference.high) if bound is not None]
    low, high = sorted(bounds) if bounds else (None, None)
    return {"oracle": oracle, "regret": {"value": sign * difference.value, "low": low, "high": high}}


def _summary(
    task: Task,
    value: Mapping[str, Any],
    domain: Domain,
    found: Mapping[str, ArmScores],
    reference: str | None,
) -> dict[str, Any]:
    mine, primary = found[value["model"]], task.primary.name
    against = None
    if reference is not None:
        same = Difference(0.0, 0.0, 0.0)
        differences = mine.differences or dict.fromkeys(mine.metrics, same)
        against = {
            "arm": reference,
            "metrics": found[reference].metrics,
            "difference": {name: asdict(difference) for name, difference in differences.items()},
        }
    return {
        "primary": primary,
        "higher_is_better": task.primary.higher_is_better,
        "metrics": mine.metrics,
        "n": len(domain),
        "interval": mine.intervals[primary],
        "against_source_only": against,
        "model": value["model"],
        "decision": value["decision"],
        "verdict": value["verdict"],
        "oracle": value["oracle"],
        "regret": value["regret"],
        "transductive": value["transductive"],
        "certainty": value.get("certainty"),
        "fairness": value.get("fairness") if domain.sensitive else None,
        "arms": {name: scored(arm) for name, arm in found.items()},
        "baselines": value["baselines"],
        "seal": value["seal"],
    }
