"""What every method has to keep, whatever is tuned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import acclimate as ac
from acclimate.methods import registry
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


def weights(run: ac.Run, arm: str) -> bytes:
    return (run.folder / "arms" / arm / "model" / "weights.safetensors").read_bytes()


def judged(run: ac.Run) -> list[Any]:
    """Everything that was concluded without target labels."""
    keys = ("name", "steps", "label_free", "source_validation", "target_validation")
    return [run.decision, run.reasons, *({key: row[key] for key in keys} for row in run.result["arms"])]


def permission(method: str) -> dict[str, str]:
    return {"target_label": "label"} if "target_labels" in registry.find(method).needs else {}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("method", list(registry.METHODS))
def test_bits_depend_on_seed_and_content_alone(adapt, method, case):
    allowed = permission(method)
    run = adapt(method, case, **allowed)
    poisoned = adapt(method, case, turned=True, flip=not allowed, **allowed)
    assert weights(run, method) == weights(poisoned, method)
    assert judged(run) == judged(poisoned)
    other = adapt(method, case, seed=1, **allowed)
    assert weights(run, method) != weights(other, method)
    answers_as_trained(other, method, case)


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


@pytest.mark.parametrize("form", ["reversal", "alternating"])
@pytest.mark.parametrize("case", CASES)
def test_dann_of_strength_0_is_source_only_bit_for_bit(adapt, case, form):
    run = adapt({"name": "dann", "strength": 0.0, "form": form, "hidden": 8}, case)
    assert weights(run, "dann") == weights(run, "source_only")
    moved = adapt({"name": "dann", "strength": 1.0, "form": form, "hidden": 8}, case)
    assert weights(moved, "dann") != weights(moved, "source_only")


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
