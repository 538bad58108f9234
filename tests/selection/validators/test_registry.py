"""All validators at once."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from acclimate.errors import DataError, SettingsError
from acclimate.selection import scores, validators
from acclimate.selection.validators import (
    VALIDATORS,
    ArmPredictions,
    atc,
    bnm,
    circular,
    combine,
    dev,
    doc,
    ensv,
    importance_weights,
    infomax,
    iwv,
    mixval,
    negative_entropy,
    rankme,
    score,
    snd,
    structure,
    transfer_score,
)
from acclimate.trust.certainty import overlap

EVEN_HANDED = set(VALIDATORS) - {"rankme", "iwv", "dev", "circular"}  # those do not see what differs here


def test_every_validator_rates_every_arm_as_its_plain_function_does(shift: Any) -> None:
    found = score(shift.arms, seed=4)
    assert list(found) == list(VALIDATORS)
    assert all(list(rated) == list(shift.arms) for rated in found.values())
    arm = shift.arms["aligned"]
    weights = importance_weights(arm.source_features, arm.target_features, 4)
    wrong = 1.0 - arm.source_right
    target = {name: other.target_probabilities for name, other in shift.arms.items()}
    plain = {
        "entropy": negative_entropy(arm.target_probabilities),
        "infomax": infomax(arm.target_probabilities),
        "bnm": bnm(arm.target_probabilities),
        "atc": atc(arm.source_probabilities, arm.source_right, arm.target_probabilities),
        "doc": doc(arm.source_probabilities, arm.source_right, arm.target_probabilities),
        "agreement": validators.agreement(target)["aligned"],
        "ensv": ensv(target)["aligned"],
        "dawid_skene": validators.dawid_skene(target)["aligned"],
        "iwv": iwv(wrong, weights),
        "dev": dev(wrong, weights),
        "snd": snd(arm.target_probabilities, 4),
        "rankme": rankme(arm.target_features),
        "mixval": mixval(arm.target_features, arm.predict, 4),
        "circular": circular(arm.target_probabilities, arm.source_labels, arm.fit),
        "transfer_score": transfer_score(arm.head, arm.target_features, arm.target_probabilities, 4),
        "ensv+infomax+atc": combine(found["ensv"], found["infomax"], found["atc"])["aligned"],
        "ensv+bnm+atc": combine(found["ensv"], found["bnm"], found["atc"])["aligned"],
        "dawid_skene+infomax": combine(found["dawid_skene"], found["infomax"])["aligned"],
    }
    assert {name: rated["aligned"] for name, rated in found.items()} == plain


@pytest.mark.parametrize("name", sorted(EVEN_HANDED))
def test_the_better_of_two_arms_is_preferred(name: str, shift: Any) -> None:
    arms = {key: shift.arms[key] for key in ("source_only", "aligned")}
    if VALIDATORS[name].joint:  # of two arms neither is the crowd
        arms["aligned too"] = arms["aligned"]
    rated = score(arms, [name])[name]
    assert rated["aligned"] > rated["source_only"]


def test_neither_row_order_nor_the_order_of_arms_matters(build_shift: Callable[..., Any], monkeypatch: Any) -> None:
    monkeypatch.setattr(structure, "NEIGHBOURS", 100)
    monkeypatch.setattr(validators.mixed, "MIXED", 100)
    monkeypatch.setattr(validators.transfer, "CLUSTERED", 100)
    monkeypatch.setattr(overlap, "LARGEST", 50)
    order = np.random.default_rng(1).permutation(240)
    arms = build_shift().arms
    there, again = score(arms), score(build_shift(order=order).arms)
    turned = score(dict(reversed(arms.items())))
    for name in VALIDATORS:
        assert again[name] == pytest.approx(there[name], abs=1e-9), name
        assert turned[name] == pytest.approx(there[name], abs=1e-9), name
    assert score(arms) == there  # bit for bit
    assert score(arms, ["snd"], seed=1)["snd"] != there["snd"]


def test_an_arm_is_left_out_where_it_lacks_something(shift: Any) -> None:
    bare = ArmPredictions(shift.arms["aligned"].target_probabilities)
    found = score({"bare": bare, **shift.arms})
    for name, validator in VALIDATORS.items():
        assert ("bare" in found[name]) == (not validator.needs), name
    assert {name for name, rated in score({"bare": bare}).items() if rated} == {"entropy", "infomax", "bnm", "snd"}


def test_needs_are_attributes_of_an_arm() -> None:
    known = {field.name for field in fields(ArmPredictions)}
    assert all(set(validator.needs) <= known for validator in VALIDATORS.values())


def test_unknown_validators_and_unlike_arms_are_refused(shift: Any) -> None:
    with pytest.raises(SettingsError, match="unknown validator 'infmax'; did you mean 'infomax'"):
        score(shift.arms, ["infmax"])
    with pytest.raises(DataError, match="arms differ in"):
        score({**shift.arms, "other": ArmPredictions(np.full((7, 3), 1 / 3))})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target_probabilities": np.full((240, 3), 0.5)}, "add up to 1"),
        ({"target_probabilities": np.full((240, 3), np.nan)}, "must be finite"),
        ({"target_probabilities": np.ones((240, 1))}, "at least 1 row and 2 classes"),
        ({"source_probabilities": np.full((240, 2), 0.5)}, "2 classes, target_probabilities 3"),
        ({"source_labels": np.full(240, 3)}, "class indices 0 to 2"),
        ({"source_labels": np.full(240, "a")}, "class indices 0 to 2"),
        ({"source_labels": np.zeros(9, dtype=int)}, "9 source_labels for 240"),
        ({"target_features": np.zeros((9, 2))}, r"target_features must be finite numbers \[240, d\]"),
        ({"source_features": np.full((240, 2), np.inf)}, "source_features must be finite"),
        ({"head": np.zeros((2, 4))}, r"head must be finite numbers \[3, d\]"),
    ],
)
def test_broken_predictions_are_refused(change: dict[str, Any], said: str, shift: Any) -> None:
    with pytest.raises(DataError, match=said):
        replace(shift.arms["aligned"], **change)


def test_the_scores_of_a_run_are_these_functions() -> None:
    assert scores.infomax is infomax and scores.atc is atc and scores.agreement is ensv
    assert scores.entropy(np.full((2, 2), 0.5)) == -negative_entropy(np.full((2, 2), 0.5))


def test_no_signature_asks_for_target_labels() -> None:
    names = {field.name for field in fields(ArmPredictions)}
    for module in pkgutil.iter_modules(validators.__path__, f"{validators.__name__}."):
        for _, function in inspect.getmembers(importlib.import_module(module.name), inspect.isfunction):
            names |= set(inspect.signature(function).parameters)
    assert "source_labels" in names
    assert not {name for name in names if "label" in name and name != "source_labels"}
    assert not {name for name in names if name in ("truth", "y", "target_y", "target_right")}
