"""What is known of an arm without opening the seal."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from acclimate.domains.domain import Domain
from acclimate.files import writing
from acclimate.methods.data import Data
from acclimate.runs.rating import rate_together
from acclimate.selection import scores
from acclimate.selection.bootstrap import ArmScores, Difference, evaluate
from acclimate.selection.constant import constant_answer
from acclimate.selection.decision import VOTERS, Decision, decide
from acclimate.selection.evidence import ArmEvidence, Validation
from acclimate.selection.shares import SLACK, fit, match
from acclimate.selection.votes import Votes, votes
from acclimate.tasks.answers import Answers
from acclimate.tasks.base import Task
from acclimate.trust.certainty.calibrate import temperature

Outputs = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Evidence:
    """One arm's evidence.

    Attributes:
        temperature: by which logits are divided, from held-out labelled rows.
        offsets: of each class, so that the answers on the target fit stated shares; empty if none were stated.
        source: metrics on the source's validation rows with intervals, or None.
        target: the same on held-out target rows whose labels were permitted, or None.
        narrowed: as `source`, without the columns that the target lacks; None where it lacks none.
        arrays: ``probabilities`` (calibrated) or ``prediction`` on the target's rows, and what scores need.
    """

    temperature: float
    source: dict[str, Any] | None
    target: dict[str, Any] | None
    arrays: dict[str, np.ndarray]
    offsets: tuple[float, ...] = ()
    narrowed: dict[str, Any] | None = None

    def write(self, path: Path) -> None:
        """The arrays as NPZ; the rest belongs into the arm's record."""
        with writing(path, ".npz") as part:
            named: dict[str, Any] = dict(self.arrays)
            np.savez(part, **named)


def gather(
    task: Task,
    data: Data,
    outputs: Mapping[str, Outputs],
    heat: float | None = None,
    shares: np.ndarray | None = None,
) -> Evidence:
    """Evidence from an arm's outputs on "source" (validation), "narrowed" (the same rows without the columns
    that the target lacks), "target" and "labelled" (target validation).

    ``heat`` is the temperature where a method calibrated the model itself. Answers on the target are made to fit the
    stated ``shares`` of its classes; those on the source, whose shares are its own, are left as they are.
    """
    answers_source_task = task == data.source_task and "source" in outputs
    calibrate, heat = heat is None and task.kind != "labels", 1.0 if heat is None else heat
    for name, domain in (("labelled", data.labelled_target_validation), ("source", data.source_validation)):
        own = data.labelled_target is not None if name == "labelled" else answers_source_task
        if not (calibrate and own) or name not in outputs or domain is None or domain.labels is None:
            continue
        if (known := task.calibration(outputs[name], domain.labels)) is not None:
            heat = temperature(*known)
            break
    rows = {"source": data.source_validation, "target": data.target, "labelled": data.labelled_target_validation}
    inputs = {name: None if domain is None else domain.rows for name, domain in rows.items()}
    decoded = {name: task.decode(output, heat, rows=inputs.get(name)) for name, output in outputs.items()}
    offsets: tuple[float, ...] = ()
    if shares is not None and "target" in decoded and task == data.target_task:
        said = decoded["target"].probabilities
        assert said is not None
        offsets = tuple(match(said, shares, SLACK).tolist())
        for name in ("target", "labelled"):
            if name in outputs:
                decoded[name] = task.decode(outputs[name], heat, offsets)
    arrays: dict[str, np.ndarray] = {}
    if "target" in decoded:
        arrays |= _arrays(task, "target", decoded["target"])
    source = target = narrowed = None
    if answers_source_task and data.source_validation is not None:
        source = _validation(task, decoded["source"], data.source_validation)
        if "narrowed" in decoded:
            narrowed = _validation(task, decoded["narrowed"], data.source_validation)
        arrays |= _arrays(task, "source", decoded["source"])
        if task.kind == "class":
            assert data.source_validation.labels is not None
            arrays["source_labels"] = task.encode(data.source_validation.labels).numpy()
    if "labelled" in decoded and data.labelled_target_validation is not None:
        target = _validation(task, decoded["labelled"], data.labelled_target_validation)
        if data.labelled_target is None:  # they are there to choose by
            assert data.labelled_target_validation.labels is not None
            arrays |= _arrays(task, "labelled", decoded["labelled"])
            arrays["labelled_labels"] = task.encode(data.labelled_target_validation.labels).numpy()
    return Evidence(heat, source, target, arrays, offsets, narrowed)


def _arrays(task: Task, name: str, answers: Answers) -> dict[str, np.ndarray]:
    if answers.probabilities is not None and task.kind != "labels":  # those of several labels share nothing out
        return {f"{name}_probabilities": answers.probabilities.astype(np.float32)}
    return {f"{name}_prediction": answers.prediction.astype(str if answers.prediction.dtype == object else np.float64)}


def _validation(task: Task, answers: Answers, domain: Domain) -> dict[str, Any]:
    assert domain.labels is not None
    found = scored(evaluate(task, {"arm": answers}, domain.labels, domain.groups)["arm"])
    value = {**found, "n": len(domain), "constant": constant_answer(task, answers, domain.labels)}
    parts = () if domain.origin is None else np.unique(domain.origin)
    if len(parts) < 2:
        return value
    each = [evaluate_rows(task, answers, domain, domain.origin == part) for part in parts]
    return {**value, "by_source": each, "worst": min(each) if task.primary.higher_is_better else max(each)}


def evaluate_rows(task: Task, answers: Answers, domain: Domain, rows: np.ndarray) -> float:
    """The primary metric on some rows ``[n]`` bool."""
    assert domain.labels is not None
    return task.metrics(answers.of(rows), domain.labels[rows])[task.primary.name]


def scored(found: ArmScores) -> dict[str, Any]:
    """Metrics, intervals and differences as JSON values."""
    value: dict[str, Any] = {"metrics": found.metrics, "intervals": found.intervals}
    if found.differences:
        value["differences"] = {name: asdict(difference) for name, difference in found.differences.items()}
    return value


def weigh(
    task: Task,
    records: Mapping[str, Mapping[str, Any]],
    folders: Mapping[str, Path],
    data: Data,
    adapted: str,
    reference: str | None,
    seed: int,
    shares: np.ndarray | None = None,
    voters: Collection[str] = (),
) -> tuple[Decision, dict[str, dict[str, Any]]]:
    """The decision over all arms, and each arm's label-free scores; ``shares`` of the target are stated ones.

    ``voters`` are the arms that may be asked whether the adapted or the source model is right.
    """
    arrays = {name: arrays_of(folder) for name, folder in folders.items()}
    comparable = {name for name, record in records.items() if record["task"] == task.config()}
    key = "target_probabilities" if task.kind == "class" else "target_prediction"
    asked = {name for name in comparable if records[name]["role"] != "beside"}
    target = {name: arrays[name][key] for name in arrays if name in asked and key in arrays[name]}
    agreement = scores.agreement(target) if len(target) > 1 and task.kind in ("class", "number") else {}
    alone = {name: records[name]["validators"] for name in target}
    rated = rate_together({name: arrays[name] for name in target}, alone, seed) if task.kind == "class" else {}
    rated = {name: rated.get(name, records[name]["validators"]) for name in arrays}
    shown = {name: _label_free(task, arrays[name], data, agreement.get(name), rated[name], shares) for name in arrays}
    polled = _poll(target, voters, adapted, reference) if task.kind == "class" else None
    against = _against(task, arrays, data, adapted, reference)
    if polled:
        shown[adapted]["votes"] = asdict(polled)
    evidence = {
        name: ArmEvidence(
            source=_restored(record["source_validation"], task),
            target=_restored(record["target_validation"], task),
            narrowed=_restored(record["narrowed_validation"], task),
            worst=(record["source_validation"] or {}).get("worst"),
            infomax=shown[name].get("infomax"),
            agreement=shown[name].get("agreement"),
            atc=shown[name].get("atc"),
            shares_fit=shown[name].get("shares_fit"),
            votes=polled if name == adapted else None,
            against=against if name == adapted else None,
            collapse=tuple(shown[name].get("collapse", ())),
            vanished=shown[name].get("vanished", {}),
        )
        for name, record in records.items()
    }
    plain = [name for name, record in records.items() if record["role"] in ("plain", "beside")]
    return decide(task, evidence, adapted, reference, plain), shown


def _poll(
    answers: Mapping[str, np.ndarray], voters: Collection[str], adapted: str, reference: str | None
) -> Votes | None:
    """What the other arms say between the adapted and the source model, if they are enough."""
    others = [values for name, values in answers.items() if name in voters]
    if reference is None or reference == adapted or len(others) < VOTERS or not {adapted, reference} <= set(answers):
        return None
    return votes(answers[adapted], answers[reference], others)


def _against(
    task: Task, arrays: Mapping[str, Mapping[str, np.ndarray]], data: Data, adapted: str, reference: str | None
) -> Difference | None:
    """The adapted minus the source model on labelled rows of the target that were kept to choose by."""
    domain, pair = data.labelled_target_validation, [adapted, reference]
    if domain is None or reference in (None, adapted) or data.labelled_target is not None:
        return None
    answers = {}
    for name in pair:
        assert name is not None
        said = arrays[name]["labelled_probabilities"]
        classes = tuple(task.config()["classes"])
        answers[name] = Answers(
            np.array(classes, dtype=object)[said.argmax(axis=1)], probabilities=said, classes=classes
        )
    assert domain.labels is not None
    found = evaluate(task, answers, domain.labels, domain.groups, baseline=reference)
    return found[adapted].differences[task.primary.name]


def _restored(found: Mapping[str, Any] | None, task: Task) -> Validation | None:
    if found is None:
        return None
    interval = found["intervals"][task.primary.name]
    return Validation(found["metrics"], None if interval is None else (interval[0], interval[1]), found["constant"])


def arrays_of(folder: Path) -> dict[str, np.ndarray]:
    """The arrays of an arm's evidence, from its folder."""
    with np.load(folder / "evidence.npz", allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _label_free(
    task: Task,
    arrays: Mapping[str, np.ndarray],
    data: Data,
    agreement: float | None,
    validators: Mapping[str, float],
    shares: np.ndarray | None,
) -> dict[str, Any]:
    """Scores of one arm on the target that need no target labels."""
    found: dict[str, Any] = {"validators": dict(validators)}
    if agreement is not None:
        found["agreement"] = agreement
    trained = data.source if data.source is not None else data.labelled_target
    if trained is None or trained.labels is None:
        return found
    if task.kind not in ("class", "number", "numbers"):
        return found
    if "target_prediction" in arrays:
        known = task.values(trained.labels)
        return found | {"collapse": list(scores.collapse_of_numbers(arrays["target_prediction"], known))}
    if "target_probabilities" not in arrays:
        return found
    probabilities = arrays["target_probabilities"]
    found |= {"infomax": scores.infomax(probabilities), "entropy": scores.entropy(probabilities)}
    classes, whose = task.config()["classes"], "those of the source"
    if shares is not None and len(shares) == len(classes):
        found["shares_fit"], whose = fit(probabilities, shares), "those that were stated"
    elif set(classes) >= set(trained.labels):
        shares = np.array([(trained.labels == name).mean() for name in classes])
    if shares is not None and len(shares) == len(classes):
        found["collapse"] = list(scores.collapse(probabilities, shares, whose))
        found["vanished"] = dict(scores.vanished(probabilities, shares, classes))
    if "atc" in validators:
        found["atc"] = validators["atc"]
    return found
