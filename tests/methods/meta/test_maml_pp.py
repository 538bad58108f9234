"""MAML++: how loss and order anneal, and that rates of each layer and step are learned."""

import pytest
import torch

from acclimate.methods.meta.maml import MAML, learning
from acclimate.methods.meta.maml_pp import MAMLPP


@pytest.mark.parametrize(
    ("progress", "shares"),
    [
        (0.0, [0.2, 0.2, 0.2, 0.2, 0.2]),
        (0.25, [0.1, 0.1, 0.1, 0.1, 0.6]),
        (0.499, [0.006, 0.006, 0.006, 0.006, 0.976]),
        (0.5, [0.0, 0.0, 0.0, 0.0, 1.0]),
        (1.0, [0.0, 0.0, 0.0, 0.0, 1.0]),
    ],
)
def test_shares_move_to_the_last_step(progress, shares):
    assert MAMLPP(steps=5, loss_annealing=0.5).shares(progress) == pytest.approx(shares)


def test_shares_without_annealing_are_those_of_maml():
    assert MAMLPP(steps=3, loss_annealing=0.0).shares(0.0) == [0.0, 0.0, 1.0]
    assert MAMLPP(steps=1).shares(0.0) == [1.0]


def test_order_grows_once():
    learner = MAMLPP(order_annealing=0.3)
    assert [learner.form(progress)["first_order"] for progress in (0.0, 0.29, 0.3, 1.0)] == [True, True, False, False]


def test_with_everything_off_it_is_maml(classes, make_model, teach):
    """But for the rates, which learn: the first step is the same, the second is not."""
    ends = []
    for steps in (1, 2):
        for learner in (MAML(steps=2, rate=0.3), MAMLPP(steps=2, rate=0.3, loss_annealing=0, order_annealing=0)):
            model = make_model()
            teach(model, learner, classes(), steps=steps, warmup=0).train()
            ends.append(model.head.weight.detach())
    assert torch.allclose(ends[0], ends[1], atol=1e-6)
    assert not torch.allclose(ends[2], ends[3], atol=1e-6)


def test_every_step_learns_its_own_rates(classes, make_model, teach):
    model = make_model()
    trainer = teach(model, MAMLPP(steps=3), classes(), steps=30)
    trainer.train()
    rates = dict(trainer.parts["rates"].named_parameters())
    assert {name.replace("/", ".") for name in rates} == set(learning(model))
    head = rates["head/weight"].detach()
    assert (head - 0.1).abs().min() > 1e-3
    assert head.unique().numel() == 3


def test_steps_beyond_those_of_training_take_the_last_rate(make_model):
    model = make_model()
    learner = MAMLPP(steps=2)
    parts = learner.parts(model, 0)
    with torch.no_grad():
        parts["rates"]["head/bias"].copy_(torch.tensor([0.5, 0.25]))
    taken = learner.rates(learning(model), parts, 4)
    assert [rate["head.bias"].item() for rate in taken] == [0.5, 0.25, 0.25, 0.25]
