"""MLLS and BBSE on a model: estimate, calibrate, correct the head's bias."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

import acclimate as ac
from acclimate.methods import SourceOnly, registry
from acclimate.methods.data import Data
from acclimate.methods.label_shift.bbse import BBSE
from acclimate.methods.label_shift.mlls import MLLS
from acclimate.methods.label_shift.pieces import calibrate, correct, mlls, soften
from acclimate.tasks.classify import Classify

METHODS = [MLLS(), BBSE()]


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setitem(registry.METHODS, "mlls", "label_shift.mlls:MLLS")
    monkeypatch.setitem(registry.METHODS, "bbse", "label_shift.bbse:BBSE")


def rare(where: str, seed: int = 0, n: int = 600):
    """Two overlapping classes; "yes" is half of the source and a twentieth of the target."""
    rng = np.random.default_rng([seed, where == "source"])
    yes = rng.random(n) < (0.5 if where == "source" else 0.05)
    values = rng.normal(size=(n, 2)) + np.where(yes, 0.8, -0.8)[:, None] * [1, 0]
    return values.astype(np.float32), np.where(yes, "yes", "no")


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_shares_are_found_and_answers_corrected_for_them(train, right, method):
    source, target, test, held_out = rare("source"), rare("target"), rare("target", 1), rare("source", 2)
    options = {"network": nn.Identity(), "steps": 150, "learning_rate": 0.05, "validation": held_out}
    said: list = []
    before = train(SourceOnly(), source, target, **options)
    after = train(method, source, target, said=said, **options)
    assert right(before, test) < 0.85
    assert right(after, test) > 0.92
    assert said[0]["shares"]["yes"] == pytest.approx((target[1] == "yes").mean(), abs=0.03)
    assert sum(said[0]["shares"].values()) == pytest.approx(1)
    assert torch.equal(before.head.weight, after.head.weight)

    def logits(model, values):
        with torch.no_grad():
            return model.head(torch.from_numpy(values)).double().numpy()

    heat, bias = calibrate(logits(before, held_out[0]), (held_out[1] == "yes").astype(int))
    assert said[0]["temperature"] == pytest.approx(heat, rel=1e-4)
    answers = soften(logits(before, held_out[0]), heat, bias)
    s = answers.mean(axis=0) if method.name == "mlls" else np.array([(held_out[1] == k).mean() for k in ("no", "yes")])
    wanted = correct(soften(logits(before, test[0]), heat, bias), np.array([*said[0]["shares"].values()]) / s)
    np.testing.assert_allclose(soften(logits(after, test[0]), heat), wanted, atol=1e-4)
    if method.name == "mlls":
        found = mlls(soften(logits(before, target[0]), heat, bias), s)
        np.testing.assert_allclose([*said[0]["shares"].values()], found, atol=1e-4)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_without_shift_nothing_much_changes(train, right, method):
    source, same, held_out = rare("source"), rare("source", 3), rare("source", 2)
    options = {"network": nn.Identity(), "steps": 150, "learning_rate": 0.05, "validation": held_out}
    said: list = []
    after = train(method, source, same, said=said, **options)
    assert said[0]["shares"]["yes"] == pytest.approx(0.5, abs=0.06)
    assert right(after, same) > right(train(SourceOnly(), source, same, **options), same) - 0.01


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_held_out_source_rows_are_needed(method):
    task = Classify(("no", "yes"))
    source, target = ac.read(rare("source", n=20), label="label"), ac.read(rare("target", n=20)[0])
    why = registry.unfit(method, Data(source, None, target, None, None, task, task))
    assert why.startswith(f"method '{method.name}' calibrates answers on held-out ") and "--validation above 0" in why
    none = Data(source, source.select(np.arange(0)), target, None, None, task, task)
    assert "--validation above 0" in registry.unfit(SourceOnly() + method, none)


def test_frozen_features_end_to_end_alone_and_after_another_method(tmp_path, monkeypatch):
    monkeypatch.setitem(registry.METHODS, "shot", "source_free.shot:SHOT")
    source, target, test = rare("source"), rare("target"), rare("target", 1)
    domains = ac.read(source, label="label"), ac.read(target[0])
    options = {"backbone": "columns", "plain_baseline": False, "precision": "fp32"}
    run = ac.adapt(*domains, method="mlls", out=tmp_path / "mlls", **options)
    found = {name: run.arm(name).answers(ac.read(test[0])) for name in ("source_only", "mlls")}
    right = {name: (answers.prediction == test[1]).mean() for name, answers in found.items()}
    assert right["mlls"] > right["source_only"] + 0.05
    record = json.loads((run.folder / "arms" / "mlls" / "arm.json").read_text("utf-8"))
    assert [stage["stage"] for stage in record["stages"]] == ["source", "mlls"]
    assert record["temperature"] == record["stages"][1]["temperature"]
    assert found["mlls"].probabilities[:, 1].mean() == pytest.approx(record["stages"][1]["shares"]["yes"], abs=0.03)
    both = ac.adapt(*domains, method="shot+mlls", training={"steps": 5}, out=tmp_path / "both", **options)
    record = json.loads((both.folder / "arms" / "shot+mlls" / "arm.json").read_text("utf-8"))
    assert [stage["stage"] for stage in record["stages"]] == ["source", "shot", "mlls"]
