"""Whether explanations say what a model does: curves and random weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from acclimate.backbones.parts import of_numbers
from acclimate.trust.explain.attribute import attribute
from acclimate.trust.explain.explain import Explanation, faithfulness
from acclimate.trust.explain.faithful import curves, likeness, mean_interval, shuffled

N = 10


def rows(count: int = 20):
    """Rows of ten numbers, the score of which is a weighted sum, and weights of another model."""
    rng = np.random.default_rng(0)
    weight, other = torch.from_numpy(rng.normal(size=(2, N))).float()
    values = torch.from_numpy(rng.uniform(0.5, 1.5, size=(count, N))).float()
    names = [str(k) for k in range(N)]
    parts = [of_numbers("columns", names, names, v[None], torch.zeros(1, N), torch.arange(N)) for v in values]
    return parts, lambda x: x @ weight, lambda x: x @ other


def explained(parts, score, by) -> list[Explanation]:
    found = []
    for k, each in enumerate(parts):
        scores = attribute(by, each)
        found.append(
            Explanation("yes", "integrated_gradients", each, scores, 0.0, 0.0, curves(score, each, scores, seed=k))
        )
    return found


def test_curves_by_hand():
    """Parts worth 3, 2 and 1: leaving out the best first leaves 6, 3, 1, 0; putting in gives 0, 3, 5, 6."""
    names = ["a", "b", "c"]
    parts = of_numbers("columns", names, names, torch.tensor([[3.0, 1.0, 2.0]]), torch.zeros(1, 3), torch.arange(3))
    found = curves(lambda x: x.sum(1), parts, np.array([3.0, 1.0, 2.0]))
    assert found is not None
    assert found.share == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert found.deletion.tolist() == [6, 3, 1, 0]
    assert found.insertion.tolist() == [0, 3, 5, 6]
    area = (found.random_deletion[1] - 3 + found.random_deletion[2] - 1) / 3
    assert found.gains[0] == pytest.approx(area)


def test_explanations_of_the_model_itself_beat_random_order():
    parts, score, _ = rows()
    found = faithfulness(explained(parts, score, score))
    assert found["better_than_random"] == "yes"
    assert found["deletion"]["low"] > 0.5 and found["rows"] == 20
    assert found["curves"]["deletion"][0] == pytest.approx(found["curves"]["insertion"][-1], abs=1e-3)


def test_explanations_of_a_random_model_do_no_better_than_random_order():
    parts, score, other = rows()
    assert faithfulness(explained(parts, score, other))["better_than_random"] == "no"


def test_few_rows_are_told_as_such():
    parts, score, _ = rows(2)
    found = faithfulness(explained(parts, score, score))
    assert found["better_than_random"] == "unknown" and found["deletion"]["low"] is None


def test_likeness_is_spearmans():
    assert likeness(np.array([1.0, 2.0, 3.0]), np.array([1.0, 8.0, 9.0])) == pytest.approx(1)
    assert likeness(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])) == pytest.approx(-1)
    assert likeness(np.array([1.0, 1.0, 1.0]), np.array([3.0, 2.0, 1.0])) is None


def test_shuffled_weights_are_as_large_and_come_back():
    layer = nn.Linear(6, 2)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    with shuffled(layer, 0) as changed:
        assert changed
        assert not torch.equal(layer.weight, before["weight"])
        assert torch.equal(layer.weight.flatten().sort().values, before["weight"].flatten().sort().values)
        assert torch.equal(layer.bias, before["bias"])
    assert torch.equal(layer.weight, before["weight"])
    with shuffled(nn.Identity(), 0) as changed:
        assert not changed


def test_an_interval_holds_the_mean():
    found = mean_interval([1.0, 2.0, 3.0, 4.0])
    assert found["value"] == 2.5 and 1.0 <= found["low"] < 2.5 < found["high"] <= 4.0
