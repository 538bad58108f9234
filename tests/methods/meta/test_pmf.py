"""P>M>F: fine-tuning helps where it can, chooses itself by held-out rows, and leaves the model alone."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from acclimate.backbones.module import from_module
from acclimate.domains.batch import Batch
from acclimate.errors import SettingsError
from acclimate.methods.meta.pmf import PMF, Tuned, left_out_cosines
from acclimate.tasks.classify import Classify
from acclimate.training.model import Model

SIZE = 6


@pytest.fixture
def model():
    """Features are the inputs themselves, until they are tuned."""
    network = nn.Linear(SIZE, SIZE)
    with torch.no_grad():
        network.weight.copy_(torch.eye(SIZE))
        network.bias.zero_()
    backbone = from_module(network, "array", example=np.zeros((1, SIZE), np.float32), pretrained=True)
    return Model(backbone, Classify(("a", "b"))).eval()


def rows(seed, shots, loud=3.0):
    """Two classes: the first of six numbers tells them apart, the others are as loud as this."""
    draw = torch.Generator().manual_seed(seed)
    targets = torch.arange(2).repeat_interleave(shots)
    values = torch.randn(2 * shots, SIZE, generator=draw)
    values[:, 0] = 2.0 * targets - 1 + 0.3 * values[:, 0]
    values[:, 1:] *= loud
    return values, targets


def chosen(model, shots):
    learner = PMF(rates=(0.0, 0.01, 0.03))
    values, targets = rows(0, shots)
    return Tuned(learner, model, learner.parts(model, 2), values, targets).rate()


def test_left_out_cosines_by_hand():
    features = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0], [5.0, 0.0]])
    found = left_out_cosines(features, torch.tensor([0, 0, 0, 1]))
    half = 0.5**0.5
    expected = [
        [3 / 34**0.5, 1.0],  # of (0, 2) + (3, 3)
        [3 / 25**0.5, 0.0],  # of (1, 0) + (3, 3)
        [half * (1 + 2) / 5**0.5, half],
        [4 / 41**0.5, 0.0],  # alone in its class
    ]
    assert torch.allclose(found, torch.tensor(expected), atol=1e-6)


def test_tuning_helps_in_a_domain_where_the_features_are_loud(model):
    support, query = rows(0, 15), rows(1, 100)
    tasks = Batch(support[0][None], support[1][None])

    def right(learner):
        logits = learner.answers(model, learner.parts(model, 2), tasks, query[0][None])
        return (logits[0].argmax(-1) == query[1]).float().mean().item()

    untuned = right(PMF(rates=(0.0,)))
    assert right(PMF(rates=(0.0, 0.01, 0.03))) > untuned + 0.1
    assert chosen(model, 15) > 0


def test_a_rate_that_would_hurt_is_not_chosen(model):
    learner, (values, targets), (asked, known) = PMF(rates=(0.0, 10.0)), rows(0, 15, 0.3), rows(1, 100, 0.3)
    task = Tuned(learner, model, learner.parts(model, 2), values, targets)
    losses = []
    for rate in learner.rates:
        weights = task.tuned(rate, torch.ones_like(targets, dtype=torch.bool))
        features, query = (task.features(weights, inputs)[None] for inputs in (values, asked))
        logits = learner.logits(features, targets[None], query, learner.parts(model, 2))[0]
        losses.append(F.cross_entropy(logits, known).item())
    assert losses[1] > losses[0]
    assert task.rate() == 0.0


@pytest.mark.parametrize("shots", [1, 2])
def test_nothing_is_tuned_where_nothing_can_be_held_out(model, shots):
    assert chosen(model, shots) == 0.0
    learner, (values, targets) = PMF(steps=3), rows(0, shots)
    tasks, query = Batch(values[None], targets[None]), rows(1, 5)[0][None]
    parts = learner.parts(model, 2)
    plain = learner.logits(values[None], targets[None], query, parts)
    assert torch.equal(learner.answers(model, parts, tasks, query), plain)


def test_classes_of_one_row_are_no_obstacle(model):
    values, targets = rows(0, 8)
    kept = torch.arange(9)  # eight rows of the one class, one of the other
    learner = PMF(rates=(0.0, 0.01), steps=3)
    tasks = Batch(values[kept][None], targets[kept][None])
    logits = learner.answers(model, learner.parts(model, 2), tasks, values[None])
    assert logits.isfinite().all()


def test_rates_without_0_are_refused():
    with pytest.raises(SettingsError, match=r"pmf.rates must have 0 among them and nothing below, found \[0.1\]"):
        PMF(rates=(0.1,))
