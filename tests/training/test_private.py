"""DP-SGD: what one row can move, what noise is added, and that nothing else is read."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from acclimate.errors import AcclimateError, SettingsError
from acclimate.methods import DANN, MCC, SourceOnly
from acclimate.training.device import place
from acclimate.training.private import Noise, PoissonStream, PrivateTrainer
from acclimate.training.settings import Training, Tune
from acclimate.training.stage import Loop
from acclimate.training.step import Now

PLAIN = {"optimizer": "sgd", "schedule": "constant", "learning_rate": 1.0, "warmup": 0.0, "weight_decay": 0.0}


@pytest.fixture
def private(make_model):
    """``private(streams, method, clip=, multiplier=, model=, folder=, tune=, **training)``."""

    def make(streams, method=None, *, clip=1.0, multiplier=0.0, model=None, folder=None, tune="full", **training):
        return PrivateTrainer(
            model or make_model(),
            Loop("loop", streams, method or SourceOnly()),
            tune=Tune(tune),
            training=Training(**{"steps": 1, "batch_size": 8, **PLAIN, **training}),
            place=place("cpu", "fp32"),
            seed=0,
            folder=folder,
            noise=Noise(clip, multiplier, seeded=True),
        )

    return make


def vector(trainer: PrivateTrainer) -> torch.Tensor:
    """All parameters of all players."""
    return torch.cat([p.detach().flatten() for p in trainer.private.holder.parameters()])


def moved(trainer: PrivateTrainer) -> torch.Tensor:
    before = vector(trainer).clone()
    trainer.train()
    return vector(trainer) - before


@pytest.mark.parametrize("method", [SourceOnly(), DANN()])
def test_without_noise_and_clip_it_is_the_usual_step(domain, private, make_trainer, method):
    """Of the same rows, half way: features are turned against the discriminator as they are without privacy."""
    streams = {"source": domain(8)}
    if isinstance(method, DANN):
        streams["target"] = domain(8, shift=1.0, labelled=False, seed=1)
    usual = make_trainer(streams, method, steps=1, clip=0.0, **PLAIN)
    ours = private(streams, method, clip=1e6)
    batches = {name: stream.batch(0) for name, stream in usual.streams.items()}
    before = vector(ours).clone()
    for trainer in (usual, ours):
        trainer.stepper.step(batches, 0, 0.5)
    assert float((vector(ours) - before).norm()) > 0.1
    pairs = [(ours.model, usual.model), *((ours.parts[name], usual.parts[name]) for name in ours.parts)]
    for mine, other in pairs:
        for (name, left), right in zip(mine.named_parameters(), other.parameters(), strict=True):
            assert torch.allclose(left, right, atol=1e-6), name


@pytest.mark.parametrize("multiplier", [0.0, 1.5])
def test_one_row_moves_a_step_by_the_clip_at_most(domain, private, multiplier):
    """Data sets that differ by a row, drawn whole: the difference is what the accountant takes for granted."""
    whole = domain(9)
    fewer = whole.select(np.delete(np.arange(9), int(whole.order[3])))
    clip, rate = 0.05, 1.0
    steps = []
    for source in (whole, fewer):
        trainer = private({"source": source}, clip=clip, multiplier=multiplier, batch_size=8)
        trainer.streams = {"source": _All("source", source, trainer.model.backbone, trainer.model.task, size=8, seed=0)}
        steps.append(moved(trainer) * 8 / rate)
    far = float((steps[0] - steps[1]).norm())
    assert 0.5 * clip < far <= clip * (1 + 1e-5)


class _All(PoissonStream):
    """Every row at every step."""

    def indices(self, step):
        return self.domain.order


def test_noise_has_the_deviation_that_was_asked_for(domain, private, make_model):
    wide = make_model(nn.Sequential(nn.Linear(2, 3000), nn.Tanh(), nn.Linear(3000, 4)))
    trainer = private({"source": domain(8)}, clip=0.1, multiplier=5.0, model=wide)
    step = moved(trainer)
    assert len(step) > 20_000
    assert float(step.std()) == pytest.approx(0.1 * 5.0 / 8, rel=0.03)
    assert abs(float(step.mean())) < 4 * 0.0625 / math.sqrt(len(step))


def test_rows_are_drawn_one_by_one(domain, private):
    stream = private({"source": domain(40)}).streams["source"]
    drawn = [stream.indices(step) for step in range(400)]
    sizes = np.array([len(rows) for rows in drawn])
    assert sizes.mean() == pytest.approx(8, abs=4 * math.sqrt(40 * 0.2 * 0.8 / 400))
    assert sizes.var() == pytest.approx(40 * 0.2 * 0.8, rel=0.3)  # binomial, as no shuffled epoch is
    counts = np.bincount(np.concatenate(drawn), minlength=40)
    assert counts.min() > 400 * 0.2 - 5 * math.sqrt(400 * 0.16)


def test_a_step_without_rows_is_noise(domain, private):
    trainer = private({"source": domain(8)}, multiplier=1.0)
    trainer.streams = {"source": _None("source", domain(8), trainer.model.backbone, trainer.model.task, size=8, seed=0)}
    before = vector(trainer).clone()
    losses = trainer.private.step({"source": trainer.streams["source"].batch(0)}, 0, 0.0)
    assert losses == {}
    assert float((vector(trainer) - before).std()) == pytest.approx(1 / 8, rel=0.4)


class _None(PoissonStream):
    def indices(self, step):
        return self.domain.order[:0]


def test_rows_together_and_one_by_one_are_the_same(domain, private):
    trainer = private({"source": domain(8), "target": domain(8, labelled=False, seed=2)}, DANN())
    stepper = trainer.private
    learning = dict(stepper.holder.named_parameters())
    for name, stream in trainer.streams.items():
        now = Now(stepper, 3, 0.5)
        together = stepper._together(learning, name, stream.batch(3), now)
        one_by_one = stepper._one_by_one(learning, name, stream.batch(3), now)
        assert torch.allclose(together[0], one_by_one[0], atol=1e-6)
        for parameter in learning:
            assert torch.allclose(together[1][parameter], one_by_one[1][parameter], atol=1e-6), parameter


class _Branching(nn.Module):
    """What `torch.func.vmap` refuses: a branch that depends on values."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 4)

    def forward(self, values):
        return self.linear(values) if float(values.sum()) > -1e9 else values


def test_a_network_that_cannot_be_batched_goes_row_by_row(domain, private, make_model):
    torch.manual_seed(0)
    odd = _Branching()
    plain = nn.Sequential(nn.Linear(2, 4))
    plain[0].load_state_dict(odd.linear.state_dict())
    one, other = (private({"source": domain(8)}, model=make_model(network)) for network in (odd, plain))
    assert torch.allclose(moved(one), moved(other), atol=1e-6)
    assert (one.private.batched, other.private.batched) == (False, True)


def test_the_key_is_the_systems_and_survives_a_resume(domain, private, make_model, tmp_path):
    options = {
        "tune": Tune("full"),
        "training": Training(steps=3, batch_size=8),
        "place": place("cpu", "fp32"),
        "seed": 0,
    }
    loop = Loop("loop", {"source": domain(16)}, SourceOnly())
    first, second = (PrivateTrainer(make_model(), loop, noise=Noise(1.0, 1.0), **options) for _ in range(2))
    assert first.private.key != second.private.key
    assert not torch.equal(moved(first), moved(second))
    second = PrivateTrainer(make_model(), loop, noise=Noise(1.0, 1.0), **options)
    second.load(first.state())
    assert second.private.key == first.private.key
    assert np.array_equal(second.streams["source"].indices(5), first.streams["source"].indices(5))


def test_the_same_seed_gives_the_same_bits(domain, private, same_bits):
    one, other = (private({"source": domain(16)}, multiplier=1.0, steps=4) for _ in range(2))
    one.train(), other.train()
    same_bits(one.model, other.model)


def test_what_only_noise_has_moved_is_refused(domain, private):
    class Deaf(SourceOnly):
        def each(self, step, name, batch):
            return 0.0 * super().each(step, name, batch)

    with pytest.raises(AcclimateError, match="no gradient reached the head in 2 steps"):
        private({"source": domain(8)}, Deaf(), multiplier=1.0, steps=2).train()


def test_a_loss_that_is_no_sum_over_rows_is_refused(domain, private):
    with pytest.raises(SettingsError, match="no sum over rows"):
        private({"source": domain(8), "target": domain(8, labelled=False)}, MCC())
