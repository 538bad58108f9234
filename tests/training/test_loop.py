"""The loop: what it keeps, when it stops, and what it survives."""

from __future__ import annotations

import json
import math
import os
import signal
import time

import pytest
import torch
from torch import nn

from acclimate.errors import DivergedError, InterruptedRunError
from acclimate.methods import DANN
from acclimate.training import checkpoint, interrupt
from acclimate.training.keep import Watch
from acclimate.training.loop import Report
from acclimate.training.step import Now


def layers(*extra: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 4), *extra, nn.Tanh(), nn.Linear(4, 4))


def test_training_learns(domain, make_trainer):
    source = domain(64)
    trainer = make_trainer({"source": source}, steps=60, learning_rate=0.05)
    done = trainer.train()
    assert (done.step, done.total) == (60, 60)
    with torch.no_grad():
        values = torch.from_numpy(source.rows.values)
        said = trainer.model.head(trainer.model.backbone(values)["output"]).argmax(1)
    assert (said == trainer.streams["source"].targets).float().mean() > 0.8
    assert not trainer.model.training


def test_another_draw_is_another_dropout(domain, make_model, make_trainer):
    """Of one step and stream: each draw gives the same whenever it is asked."""
    trainer = make_trainer({"source": domain()}, model=make_model(nn.Dropout(0.5)))
    trainer.tuning.train()
    step, batch = Now(trainer.stepper, 3, 0.5), trainer.streams["source"].batch(3)
    first, other, again = (step.run(batch, draw).sites["features"].values for draw in ("", "second", ""))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_training_leaves_the_global_generator_as_it_was(domain, make_trainer):
    trainer = make_trainer({"source": domain()}, steps=3)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    trainer.train()
    assert torch.equal(state, torch.get_rng_state())


class Narrow(nn.Module):
    """Has memory for four rows in training."""

    def __init__(self):
        super().__init__()
        self.inner = layers()
        self.refused = []

    def forward(self, inputs):
        if self.training and len(inputs) > 4:
            self.refused.append(len(inputs))
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.inner(inputs)


@pytest.mark.parametrize("form", ["reversal", "alternating"])
def test_out_of_memory_halves_the_batch_and_goes_on(domain, make_model, make_trainer, same_bits, form):
    streams = {"source": domain(), "target": domain(shift=1, labelled=False)}
    method = DANN(hidden=4, form=form)
    network = Narrow()
    backed_off = make_trainer(streams, method, model=make_model(network), batch_size=16)
    done = backed_off.train()
    assert done.step == 8
    assert (backed_off.stepper.pieces, network.refused) == (4, [16, 8])
    accumulated = make_trainer(streams, method, model=make_model(Narrow()), batch_size=16, accumulate=4)
    accumulated.train()
    same_bits(backed_off.model, accumulated.model)
    same_bits(nn.ModuleDict(backed_off.parts), nn.ModuleDict(accumulated.parts))
    whole = make_trainer(streams, method, model=make_model(layers()), batch_size=16)
    whole.train()
    for a, b in zip(backed_off.model.parameters(), whole.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


class _Short(torch.autograd.Function):
    @staticmethod
    def forward(context, values, owner):
        context.owner = owner
        return values.view_as(values)

    @staticmethod
    def backward(context, gradient):
        context.owner.backwards += 1
        if context.owner.backwards == 1:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return gradient, None


class ShortOnce(nn.Module):
    """Memory runs out in the first backward pass through it."""

    def __init__(self):
        super().__init__()
        self.inner = layers(nn.BatchNorm1d(4))
        self.backwards = 0

    def forward(self, inputs):
        return _Short.apply(self.inner(inputs), self)


def test_an_update_made_before_memory_ran_out_is_not_made_twice(domain, make_model, make_trainer):
    streams = {"source": domain(), "target": domain(shift=1, labelled=False)}
    method = DANN(hidden=4, form="alternating")  # the discriminator has stepped when the features' gradient is taken
    short = make_trainer(streams, method, model=make_model(ShortOnce()), steps=1, warmup=0)
    short.train()
    assert short.stepper.pieces == 2
    once = make_trainer(streams, method, model=make_model(layers(nn.BatchNorm1d(4))), steps=1, warmup=0)
    once.train()
    for name, value in once.parts["discriminator_features"].state_dict().items():
        torch.testing.assert_close(short.parts["discriminator_features"].state_dict()[name], value)
    (statistics,) = [m for m in short.model.modules() if isinstance(m, nn.BatchNorm1d)]
    assert statistics.num_batches_tracked == 1  # nor does a row count twice


def test_a_row_that_does_not_fit_alone_is_an_error(domain, make_model, make_trainer):
    class Full(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = layers()

        def forward(self, inputs):
            if self.training:
                raise RuntimeError("out of memory")
            return self.inner(inputs)

    with pytest.raises(RuntimeError, match="out of memory"):
        make_trainer({"source": domain()}, model=make_model(Full())).train()


@pytest.mark.parametrize("parts", [2, 3, 8])
def test_accumulation_is_the_whole_batch_within_rounding(domain, make_trainer, parts):
    streams = {"source": domain(), "target": domain(shift=1, labelled=False)}
    for form in ("reversal", "alternating"):
        whole, cut = (
            make_trainer(streams, DANN(hidden=4, form=form), batch_size=8, optimizer="sgd", accumulate=k)
            for k in (1, parts)
        )
        whole.train()
        cut.train()
        for a, b in zip(whole.model.parameters(), cut.model.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


class Breaks(nn.Module):
    """Its k-th training pass gives NaN."""

    def __init__(self, k: int, *extra: nn.Module):
        super().__init__()
        self.inner, self.k, self.calls = layers(*extra), k, 0

    def forward(self, inputs):
        if self.training:
            self.calls += 1
            inputs = inputs * (math.nan if self.calls == self.k else 1.0)
        return self.inner(inputs)


def test_a_loss_that_is_not_finite_keeps_the_last_good_state(domain, make_model, make_trainer, tmp_path, same_bits):
    trainer = make_trainer({"source": domain()}, model=make_model(Breaks(5)), folder=tmp_path, schedule="constant")
    with pytest.raises(DivergedError, match=r"task loss nan at step 5 is not finite; the state before it is kept in"):
        trainer.train()
    assert [path.name for path in checkpoint.saved(tmp_path)] == ["000000004"]
    kept = make_trainer({"source": domain()}, model=make_model(Breaks(99)), schedule="constant")
    kept.load(checkpoint.load(tmp_path))
    four = make_trainer({"source": domain()}, model=make_model(Breaks(99)), schedule="constant")
    four.tuning.train()
    for step in range(4):
        four.stepper.step({"source": four.streams["source"].batch(step)}, step, step / 8)
    same_bits(kept.model, four.model)


def test_statistics_that_are_not_finite_are_not_saved(domain, make_model, make_trainer, tmp_path):
    network = Breaks(5, nn.BatchNorm1d(4))
    trainer = make_trainer({"source": domain()}, model=make_model(network), folder=tmp_path, checkpoint_seconds=0)
    with pytest.raises(DivergedError, match="kept in"):
        trainer.train()
    tensors, _ = checkpoint.flatten(checkpoint.load(tmp_path))
    assert all(value.isfinite().all() for value in tensors.values())
    assert checkpoint.saved(tmp_path)[-1].name == "000000004"


@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_a_gradient_that_is_not_finite_changes_nothing(domain, make_model, make_trainer, clip):
    class Edge(nn.Module):
        """The root of zero: a finite value, an infinite gradient."""

        def __init__(self):
            super().__init__()
            self.inner = layers()

        def forward(self, inputs):
            return (self.inner(inputs) * 0).sqrt()

    trainer = make_trainer({"source": domain()}, model=make_model(Edge()), clip=clip)
    before = [p.detach().clone() for p in trainer.model.parameters()]
    with pytest.raises(DivergedError, match="gradient at step 1"):
        trainer.train()
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_a_new_sitting_goes_on(domain, make_trainer, tmp_path, same_bits, number, code):
    def kill(step, total, losses):
        if step == 10:
            os.kill(os.getpid(), number)

    trainer = make_trainer({"source": domain()}, folder=tmp_path, steps=30, report=Report(progress=kill))
    with interrupt.graceful(), pytest.raises(InterruptedRunError) as stopped:
        trainer.train()
    assert stopped.value.exit_code == code
    assert [path.name for path in checkpoint.saved(tmp_path)] == ["000000010"]
    again = make_trainer({"source": domain()}, folder=tmp_path, steps=30)
    assert again.train().step == 30
    unbroken = make_trainer({"source": domain()}, steps=30)
    unbroken.train()
    same_bits(again.model, unbroken.model)


def test_time_that_is_up_ends_the_training(domain, make_trainer):
    trainer = make_trainer({"source": domain()}, steps=500, deadline=time.monotonic() - 1)
    done = trainer.train()
    assert (done.step, done.total, trainer.planned) == (1, 1, 500)


def test_a_budget_is_turned_into_steps(domain, make_model, make_trainer):
    class Slow(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = layers()

        def forward(self, inputs):
            time.sleep(0.01)
            return self.inner(inputs)

    rows = []
    trainer = make_trainer(
        {"source": domain()}, model=make_model(Slow()), steps=100_000, deadline=time.monotonic() + 0.5,
        report=Report(log=rows.append), watch=Watch(lambda model: 0.0, looks=5, keep=False),
    )  # fmt: skip
    done = trainer.train()
    assert 10 <= done.step == done.total < 60
    assert rows[-1]["step"] == done.step
    assert 1 < sum("score" in row for row in rows) < 7, "looks are spread over what the budget leaves"
    assert make_trainer({"source": domain()}, steps=12, deadline=time.monotonic() + 600).train().step == 12


def test_the_best_epoch_is_kept_and_patience_ends_the_rest(domain, make_trainer):
    scores, states = [0.1, 0.9, 0.5, 0.9, 0.4, 0.3], []

    def score(model):
        states.append({name: value.clone() for name, value in model.state_dict().items()})
        return scores[len(states) - 1]

    trainer = make_trainer({"source": domain(32)}, steps=400, watch=Watch(score, patience=2))
    done = trainer.train()
    assert trainer.epoch == 4
    assert (done.step, trainer.best.score, trainer.best.step, len(states)) == (16, 0.9, 8, 4)
    kept = trainer.model.state_dict()
    assert all(torch.equal(kept[name], states[1][name]) for name in kept)
    assert not all(torch.equal(states[3][name], states[1][name]) for name in kept)


def test_losses_are_logged_as_json(domain, make_trainer):
    rows = []
    streams = {"source": domain(), "target": domain(shift=1, labelled=False)}
    make_trainer(streams, DANN(hidden=4), steps=25, report=Report(log=rows.append)).train()
    assert [row["step"] for row in rows] == [1, 10, 20, 25]
    assert all(set(row["losses"]) == {"task", "domain_features"} for row in rows)
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
