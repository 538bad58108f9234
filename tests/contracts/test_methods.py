"""What every method has to keep, whatever is tuned."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import acclimate as ac
from acclimate.methods import registry
from acclimate.methods.base import Align
from acclimate.training.device import has_bf16

CASES = [
    "columns-frozen",
    "mlp-full",
    "small_cnn-full",
    "text-frozen",
    "text-lora",
    "text-l2sp",
    "text-gradual",
    "text-discriminative",
]
ALL_TUNES = ("source_only", "finetune", "dann")
"""Methods that are tried with every tune: what a tune does, it does to any method."""
SOME = ["columns-frozen", "small_cnn-full"]
ADAPTED = [*SOME, "text-lora"]
"""For methods that copy a model, freeze a part of it or train several: adapters are to survive that."""
CLOSED = ["columns-convex", *SOME]
OWN_CASES = {
    "target_only": ADAPTED,
    "joint": ADAPTED,
    "mcd": ADAPTED,
    "fixmatch": ADAPTED,
    "shot": ADAPTED,
    "groupdro": ADAPTED,
    "auto": ADAPTED,
    "coral": CLOSED,
    "importance_weighting": CLOSED,
    "mlls": CLOSED,
    "bbse": CLOSED,
    "adabn": ["columns-convex", "columns-frozen", "text-frozen"],
    "ot_mapping": ["columns-convex"],
    "forest": ["columns-convex"],
    "site_standardize": ["columns-convex", "columns-frozen"],
    "combat": ["columns-convex", "text-frozen"],
    "fda": ["small_cnn-full"],
    "mean_teacher": ["small_cnn-full"],
    "tent": ["text-l2sp", "text-gradual"],
}
LEAN: dict[str, dict[str, Any]] = {"auto": {"candidates": ["mcc", "coral"]}}
"""Settings that make a method quick enough to be tried often."""
COMPOSED = [
    ("dann+mcc", "small_cnn-full"),
    ("coral+adabn+mlls", "columns-convex"),
    ("mcd+shot+bbse", "text-frozen"),
    ("combat+dann+mlls", "columns-frozen"),
]
EAGER: dict[str, dict[str, Any]] = {
    "fixmatch": {"threshold": 0.0},
    "mean_teacher": {"threshold": 0.0, "burn_in": 0.0},
}
"""Settings with which a method moves something in the first few steps."""
ALIGNING = [name for name in registry.METHODS if issubclass(registry.find(name), Align)]


def tried() -> list[tuple[str, str]]:
    """Every method with the cases that it is tried on; those of users are in tests/runs/test_recommend.py, those of
    what is written, and of groups of people, in tests/methods.
    """
    usual = [
        name
        for name in registry.METHODS
        if not {"users", "writing", "pseudo_labels", "tokens", "sensitive"} & set(registry.find(name).needs)
    ]
    own = {name: OWN_CASES.get(name, CASES if name in ALL_TUNES else SOME) for name in usual}
    return [(name, case) for name, cases in own.items() for case in cases] + COMPOSED


def weights(run: ac.Run, arm: str) -> bytes:
    return (run.folder / "arms" / arm / "model" / "weights.safetensors").read_bytes()


def judged(run: ac.Run) -> list[Any]:
    """Everything that was concluded without target labels."""
    keys = ("name", "steps", "label_free", "source_validation", "target_validation")
    return [run.decision, run.reasons, *({key: row[key] for key in keys} for row in run.result["arms"])]


def needed(method: str) -> dict[str, Any]:
    """What this method is to be given beside the usual."""
    permitted = {"target_label": "label"} if "target_labels" in registry.create(method).needs else {}
    return permitted | ({"sources": 2} if method == "groupdro" else {})


@pytest.mark.parametrize("name", list(registry.METHODS))
def test_every_value_of_the_search_range_is_accepted_and_the_default_is_the_first(name):
    default = registry.create(name)
    for setting, values in default.search.items():
        assert values[0] == getattr(default, setting)
        assert len(set(values)) == len(values) > 1
        made = [registry.create(name, {setting: value}) for value in values]
        assert [getattr(method, setting) for method in made] == list(values)
    if hasattr(default, "strength"):
        strengths = sorted(default.search["strength"])
        assert min(b / a for a, b in pairwise(strengths)) >= 2, "a grid on a logarithmic scale"


@pytest.mark.parametrize(("method", "case"), tried())
def test_bits_depend_on_seed_and_content_alone(adapt, method, case):
    """Another seed is tried on the first case of each method."""
    given, asked = needed(method), {"name": method, **LEAN.get(method, {})}
    run = adapt(asked, case, **given)
    poisoned = adapt(asked, case, turned=True, flip="target_label" not in given, **given)
    assert weights(run, method) == weights(poisoned, method)
    assert judged(run) == judged(poisoned)
    answers_as_trained(run, method, case)
    if case == dict(reversed(tried()))[method]:
        other = adapt(asked, case, seed=1, **given)
        assert weights(run, method) != weights(other, method)


def answers_as_trained(run: ac.Run, method: str, case: str) -> None:
    """A saved model answers as the trained one did before it was saved."""
    target = ac.read(run_target(run), **columns(case))
    target = target.select(target.order)
    with np.load(run.folder / "arms" / method / "evidence.npz") as evidence:
        trained = evidence["target_probabilities"]
    answers = [run.arm(method).answers(target).probabilities.astype(np.float32) for _ in range(2)]
    assert np.array_equal(*answers)
    if "frozen" in case:  # features came from the cache, in batches of other rows
        np.testing.assert_allclose(answers[0], trained, rtol=1e-4, atol=1e-6)
    else:
        assert np.array_equal(answers[0], trained)


def run_target(run: ac.Run) -> Path:
    found = [p for p in (run.folder.parent / "target.csv", run.folder.parent / "target") if p.exists()]
    return found[0]


def columns(case: str) -> dict[str, Any]:
    if case.startswith("text"):
        return {"input": "text", "modality": "text"}
    return {"modality": "image"} if case.startswith("small") else {"input": ["x0", "x1"]}


@pytest.mark.parametrize(
    ("form", "case"), [*(("reversal", case) for case in CASES), *(("alternating", case) for case in ADAPTED)]
)
def test_dann_of_strength_0_is_source_only_bit_for_bit(adapt, case, form):
    run = adapt({"name": "dann", "strength": 0.0, "form": form, "hidden": 8}, case)
    assert weights(run, "dann") == weights(run, "source_only")
    moved = adapt({"name": "dann", "strength": 1.0, "form": form, "hidden": 8}, case)
    assert weights(moved, "dann") != weights(moved, "source_only")


@pytest.mark.parametrize("case", ["columns-frozen", "small_cnn-full"])
@pytest.mark.parametrize("method", ALIGNING)
def test_a_loss_of_strength_0_is_source_only_bit_for_bit(adapt, method, case):
    run = adapt({"name": method, "strength": 0.0}, case)
    assert weights(run, method) == weights(run, "source_only")
    moved = adapt({"name": method, **EAGER.get(method, {})}, case)
    assert weights(moved, method) != weights(moved, "source_only")


@pytest.mark.skipif(not has_bf16(torch.device("cpu")), reason="no bfloat16 here")
@pytest.mark.parametrize("case", ["mlp-full", "small_cnn-full", "text-lora", "text-l2sp"])
def test_dann_of_strength_0_is_source_only_in_bf16_too(adapt, case):
    run = adapt({"name": "dann", "strength": 0.0, "hidden": 8}, case, precision="bf16")
    assert weights(run, "dann") == weights(run, "source_only")


def test_accumulation_changes_no_more_than_rounding(adapt):
    whole = adapt("dann", "columns-frozen")
    for parts in (2, 3):
        run = adapt("dann", "columns-frozen", training={"steps": 6, "batch_size": 8, "accumulate": parts})
        for a, b in zip(tensors(whole), tensors(run), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def tensors(run: ac.Run) -> list[np.ndarray]:
    from safetensors.numpy import load_file

    return list(load_file(run.folder / "arms" / "dann" / "model" / "weights.safetensors").values())
