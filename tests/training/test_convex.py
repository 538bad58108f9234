"""The convex head: the optimum, and what validation chooses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

import acclimate as ac
from acclimate.backbones import registry
from acclimate.domains.domain import ArrayRows
from acclimate.errors import DataError
from acclimate.tasks.classify import Classify
from acclimate.tasks.regress import Regress
from acclimate.training.convex import PENALTIES, fit_convex
from acclimate.training.model import Model


@pytest.fixture
def columns():
    def make(data, task, standardize=True):
        backbone = registry.create("columns", "array", {"standardize": False})
        backbone.fit(data)
        return Model(backbone, task, standardize=standardize)

    return make


def test_it_is_scikit_learns_optimum(domain, columns):
    data = domain(60, shift=5)
    model = columns(data, Classify(("no", "yes")))
    chosen = fit_convex(model, {"columns": data}, None, ("columns",))
    assert chosen.penalty == 1.0
    scaled = StandardScaler().fit_transform(data.rows.values)
    expected = LogisticRegression(C=1.0, max_iter=1000).fit(scaled, data.labels).predict_proba(scaled)
    with torch.no_grad():
        said = model.head(model.neck(torch.from_numpy(data.rows.values))).softmax(1)
    np.testing.assert_allclose(said.numpy(), expected, atol=1e-4)


def test_validation_chooses_penalty_and_layer(domain, columns):
    data, held_out = domain(60), domain(40, seed=1)
    rng = np.random.default_rng(0)
    noise = {"train": rng.normal(size=(60, 2)), "held": rng.normal(size=(40, 2))}
    worse = replace(data, rows=ArrayRows(noise["train"].astype(np.float32)))
    worse_held = replace(held_out, rows=ArrayRows(noise["held"].astype(np.float32)))
    model = columns(data, Classify(("no", "yes")))
    model.backbone.spec = replace(model.backbone.spec, layers={"columns": 2, "noise": 2})
    chosen = fit_convex(
        model, {"columns": data, "noise": worse}, {"columns": held_out, "noise": worse_held}, ("columns", "noise")
    )
    assert chosen.layer == model.layer == "columns"
    scores = {float(key.split()[1]): value for key, value in chosen.scores.items() if key.startswith("columns")}
    assert set(scores) == set(PENALTIES["class"])
    assert scores[chosen.penalty] == max(scores.values())


def test_a_tie_goes_to_the_lower_loss_and_not_to_the_strongest_penalty(domain, columns):
    data, held_out = domain(200), domain(100, seed=1)
    for part in (data, held_out):
        part.rows.values[:, 0] += np.where(part.labels == "yes", 9, -9)  # every penalty gets all rows right
    chosen = fit_convex(columns(data, Classify(("no", "yes"))), {"columns": data}, {"columns": held_out}, ("columns",))
    assert set(chosen.scores.values()) == {1.0}
    assert chosen.penalty == min(PENALTIES["class"])


def test_a_class_without_rows_is_never_the_answer(domain, columns):
    data = domain(40)
    model = columns(data, Classify(("maybe", "no", "yes")))
    fit_convex(model, {"columns": data}, None, ("columns",))
    with torch.no_grad():
        said = model.head(model.neck(torch.from_numpy(data.rows.values))).softmax(1)
    assert said[:, 0].max() < 1e-9
    expected = LogisticRegression(max_iter=1000)
    scaled = StandardScaler().fit_transform(data.rows.values)
    np.testing.assert_allclose(said[:, 1:].numpy(), expected.fit(scaled, data.labels).predict_proba(scaled), atol=1e-4)


def test_one_class_alone_cannot_be_learned(domain, columns):
    data = domain(40)
    data = data.select(np.flatnonzero(data.labels == "yes"))
    with pytest.raises(DataError, match="only one class \\('yes'\\) in 20"):
        fit_convex(columns(data, Classify(("no", "yes"))), {"columns": data}, None, ("columns",))


def test_numbers_are_solved_by_ridge(columns):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 3)).astype(np.float32)
    amounts = np.round(100 + values @ [1.0, -2.0, 0.5], 3)
    data = ac.read((values, amounts), label="label")
    model = columns(data, Regress.from_domain(data), standardize=False)
    chosen = fit_convex(model, {"columns": data}, {"columns": data}, ("columns",))
    assert chosen.penalty == 0.1
    with torch.no_grad():
        said = model.task.decode({"value": model.head(torch.from_numpy(values)).squeeze(1).numpy()}).prediction
    expected = Ridge(alpha=0.1).fit(values, amounts).predict(values)
    np.testing.assert_allclose(said, expected, atol=1e-2)


def test_another_task_gets_a_head_of_its_own(domain, columns):
    data = domain(40)
    model = columns(data, Classify(("cat", "dog", "cow")))
    fit_convex(model, {"columns": data}, None, ("columns",), Classify(("no", "yes")))
    assert model.task.classes == ("no", "yes")
    assert model.head.weight.shape == (2, 2)
