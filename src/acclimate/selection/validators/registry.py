"""All validators by name, what each needs, and one function that applies them to all arms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from acclimate.errors import DataError, SettingsError, unknown
from acclimate.selection.validators.accuracy import atc, doc
from acclimate.selection.validators.certainty import bnm, infomax, negative_entropy
from acclimate.selection.validators.circular import circular
from acclimate.selection.validators.combine import combine
from acclimate.selection.validators.consensus import agreement, dawid_skene, ensv
from acclimate.selection.validators.mixed import mixval
from acclimate.selection.validators.predictions import ArmPredictions
from acclimate.selection.validators.structure import rankme, snd
from acclimate.selection.validators.transfer import transfer_score
from acclimate.selection.validators.weighted import dev, importance_weights, iwv

Arms = Mapping[str, ArmPredictions]
Rate = Callable[[Arms, int], dict[str, float]]
SOURCE = ("source_probabilities", "source_labels")
FEATURES = ("source_features", "target_features")


@dataclass(frozen=True)
class Validator:
    """A score for arms that needs no target labels; higher is better.

    Attributes:
        about: what it asks, in a line.
        rate: arms that have all it needs, and a seed, to their scores.
        needs: attributes of `ArmPredictions`; ``target_probabilities`` are always there.
        joint: whether arms are held against each other, so that at least two are needed.
    """

    about: str
    rate: Rate
    needs: tuple[str, ...] = ()
    joint: bool = False


def score(arms: Arms, validators: Iterable[str] | None = None, seed: int = 0) -> dict[str, dict[str, float]]:
    """Label-free scores of all arms, by validator and arm; higher is better.

    Args:
        arms: what is known of each, all on the same target rows and classes.
        validators: names of `VALIDATORS`; None for all.
        seed: of what is sampled. Samples do not depend on the order of the rows.

    Returns:
        For every validator, the arms that have what it needs; possibly none.

    Raises:
        SettingsError: an unknown validator.
        DataError: arms that differ in rows or classes.
    """
    names = tuple(VALIDATORS if validators is None else validators)
    for name in names:
        if name not in VALIDATORS:
            raise SettingsError(unknown("validator", name, VALIDATORS))
    shapes = {arm.target_probabilities.shape for arm in arms.values()}
    if len(shapes) > 1:
        raise DataError(f"arms differ in [target rows, classes]: {', '.join(map(str, sorted(shapes)))}")
    found: dict[str, dict[str, float]] = {}
    for name in names:
        validator = VALIDATORS[name]
        able = {
            key: arm for key, arm in arms.items() if all(getattr(arm, need) is not None for need in validator.needs)
        }
        found[name] = validator.rate(able, seed) if len(able) >= (2 if validator.joint else 1) else {}
    return found


def _each(function: Callable[[Any, int], float]) -> Rate:
    return lambda arms, seed: {name: function(arm, seed) for name, arm in arms.items()}


def _together(
    function: Callable[[Mapping[str, np.ndarray]], dict[str, float]],
) -> Rate:
    return lambda arms, _: function({name: arm.target_probabilities for name, arm in arms.items()})


def _weighted(function: Callable[[np.ndarray, np.ndarray], float]) -> Rate:
    def rate(arms: Arms, seed: int) -> dict[str, float]:
        known: dict[tuple[int, int], np.ndarray] = {}  # arms on one frozen backbone share their weights
        found = {}
        for name, arm in arms.items():
            key = id(arm.source_features), id(arm.target_features)
            if arm.weights is None and key not in known:
                assert arm.source_features is not None and arm.target_features is not None
                known[key] = importance_weights(arm.source_features, arm.target_features, seed)
            weights = known[key] if arm.weights is None else arm.weights
            found[name] = function((~arm.source_right).astype(float), weights)
        return found

    return rate


def _ranked(*parts: str) -> Validator:
    needs = tuple(dict.fromkeys(need for part in parts for need in VALIDATORS[part].needs))
    return Validator(
        f"mean rank by {', '.join(parts)}",
        lambda arms, seed: combine(*(VALIDATORS[part].rate(arms, seed) for part in parts)),
        needs,
        any(VALIDATORS[part].joint for part in parts),
    )


VALIDATORS: dict[str, Validator] = {
    "entropy": Validator("certain on each row", _each(lambda arm, _: negative_entropy(arm.target_probabilities))),
    "infomax": Validator(
        "certain on each row, diverse over all", _each(lambda arm, _: infomax(arm.target_probabilities))
    ),
    "bnm": Validator("nuclear norm of the probabilities", _each(lambda arm, _: bnm(arm.target_probabilities))),
    "atc": Validator(
        "accuracy from the share of confident rows",
        _each(lambda arm, _: atc(arm.source_probabilities, arm.source_right, arm.target_probabilities)),
        SOURCE,
    ),
    "doc": Validator(
        "accuracy from the loss of confidence",
        _each(lambda arm, _: doc(arm.source_probabilities, arm.source_right, arm.target_probabilities)),
        SOURCE,
    ),
    "agreement": Validator("same answers as the other arms", _together(agreement), joint=True),
    "ensv": Validator("same answers as the mean of all arms", _together(ensv), joint=True),
    "dawid_skene": Validator("accuracy if the arms err independently", _together(dawid_skene), joint=True),
    "iwv": Validator("source errors weighted like the target", _weighted(iwv), SOURCE + FEATURES),
    "dev": Validator("the same with a control variate", _weighted(dev), SOURCE + FEATURES),
    "snd": Validator("rows have many near neighbours", _each(lambda arm, seed: snd(arm.target_probabilities, seed))),
    "rankme": Validator(
        "features use many dimensions", _each(lambda arm, _: rankme(arm.target_features)), ("target_features",)
    ),
    "mixval": Validator(
        "stands by its answers on mixtures",
        _each(lambda arm, seed: mixval(arm.target_features, arm.predict, seed)),
        ("target_features", "predict"),
    ),
    "circular": Validator(
        "trained back from its own answers, it finds the source's labels",
        _each(lambda arm, _: circular(arm.target_probabilities, arm.source_labels, arm.fit)),
        ("source_labels", "fit"),
    ),
    "transfer_score": Validator(
        "even head, clustered features, certain and diverse answers",
        _each(lambda arm, seed: transfer_score(arm.head, arm.target_features, arm.target_probabilities, seed)),
        ("head", "target_features"),
    ),
}
"""What there is; combinations by rank are added below."""

VALIDATORS["ensv+infomax+atc"] = _ranked("ensv", "infomax", "atc")
VALIDATORS["ensv+bnm+atc"] = _ranked("ensv", "bnm", "atc")
VALIDATORS["dawid_skene+infomax"] = _ranked("dawid_skene", "infomax")
