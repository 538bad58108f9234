"""The validators of `acclimate.selection.validators`, applied to the arms of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from acclimate.selection.validators import VALIDATORS, ArmPredictions, importance_weights, score
from acclimate.training.convex import PENALTIES
from acclimate.training.model import Model

SAMPLE = 2048
"""Rows of each side whose features are looked at; rows are in an order that depends on content alone."""
ALONE = tuple(name for name, validator in VALIDATORS.items() if not validator.joint)
JOINT = tuple(name for name, validator in VALIDATORS.items() if validator.joint)
DEEP = tuple(name for name in ALONE if {"target_features", "head", "predict", "fit"} & set(VALIDATORS[name].needs))


def rate(
    model: Model,
    evidence: Mapping[str, np.ndarray],
    features: Mapping[str, np.ndarray],
    seed: int,
    temperature: float = 1.0,
    offsets: Sequence[float] = (),
    weights: np.ndarray | None = None,
) -> dict[str, float]:
    """Scores of one arm by the validators that look at no other arm; higher is better.

    Circular validation trains a convex head back on the arm's own features, not the whole method: the cheap form,
    which says how easy the answers are to copy.

    Args:
        model: the trained arm.
        evidence: the arrays of `evidence.Evidence`.
        features: what the head reads of the first rows of "source" (validation) and "target", ``[n, d]``; empty
            where they are sparse.
        seed: of what is sampled.
        temperature: of the arm's calibration.
        offsets: of the classes, see `Task.decode`.
        weights: of the rows of ``features["source"]`` towards the target, where they are known already.

    Returns:
        By validator; those that lack something are absent, and all where answers are no probabilities.
    """
    if "target_probabilities" not in evidence or not all(np.isfinite(array).all() for array in evidence.values()):
        return {}
    whole = predictions(evidence)
    found = score({"arm": whole}, [name for name in ALONE if name not in DEEP], seed)
    if "target" in features:
        found |= score({"arm": _deep(model, whole, features, seed, temperature, offsets, weights)}, DEEP, seed)
    return {name: found[name]["arm"] for name in ALONE if found.get(name)}


def rate_together(
    evidence: Mapping[str, Mapping[str, np.ndarray]], alone: Mapping[str, Mapping[str, float]], seed: int
) -> dict[str, dict[str, float]]:
    """Scores by all validators, by arm, where ``alone`` has those of `rate`; arms must share classes and rows."""
    usable = {name: predictions(arrays) for name, arrays in evidence.items() if alone.get(name)}
    joint = score(usable, JOINT, seed) if usable else {}
    found = {
        name: {**alone[name], **{key: values[name] for key, values in joint.items() if name in values}}
        for name in usable
    }
    return {name: {key: scores[key] for key in VALIDATORS if key in scores} for name, scores in found.items()}


def predictions(evidence: Mapping[str, np.ndarray]) -> ArmPredictions:
    """An arm's answers as validators see them, without features."""
    return ArmPredictions(
        evidence["target_probabilities"].astype(np.float64),
        evidence["source_probabilities"].astype(np.float64) if "source_labels" in evidence else None,
        evidence.get("source_labels"),
    )


def _deep(
    model: Model,
    whole: ArmPredictions,
    features: Mapping[str, np.ndarray],
    seed: int,
    temperature: float,
    offsets: Sequence[float],
    weights: np.ndarray | None,
) -> ArmPredictions:
    """The first rows, with features and head."""
    task, target, source = model.task, features["target"], features.get("source")
    probabilities, labels = whole.source_probabilities, whole.source_labels
    if source is None or probabilities is None or labels is None:
        source = probabilities = labels = weights = None
    else:
        probabilities, labels = probabilities[: len(source)], labels[: len(source)]
        weights = importance_weights(source, target, seed) if weights is None else weights

    def answers(head: nn.Module, rows: np.ndarray, heat: float = 1.0, plus: Sequence[float] = ()) -> np.ndarray:
        place = next(iter(head.state_dict().values())).device
        with torch.inference_mode():
            said = task.outputs(head, torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32)).to(place))
        found = task.decode({name: value.cpu().numpy() for name, value in said.items()}, heat, plus).probabilities
        assert found is not None
        return found

    def fit(pseudo: np.ndarray) -> np.ndarray:
        mean, scale = target.mean(axis=0), target.std(axis=0)
        scale = np.where(scale > 1e-6, scale, 1.0)
        names = np.array(task.config()["classes"], dtype=object)
        middle = PENALTIES[task.kind][len(PENALTIES[task.kind]) // 2]
        return answers(task.solve((target - mean) / scale, names[pseudo], middle), (source - mean) / scale)

    return ArmPredictions(
        whole.target_probabilities[: len(target)],
        probabilities,
        labels,
        target,
        source,
        model.head.weight.detach().cpu().numpy() if isinstance(model.head, nn.Linear) else None,
        lambda rows: answers(model.head, rows, temperature, offsets),
        None if source is None else fit,
        weights,
    )
