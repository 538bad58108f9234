"""The guard: it changes nothing, is silent on healthy trainings, and each symptom is provoked for real."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from acclimate.methods import CDAN, DANN, MCC, MCD
from acclimate.methods.label_shift.pieces import mlls
from acclimate.training.guard import Guard
from acclimate.training.loop import Report
from acclimate.training.symptoms import Look, Symptoms, separable

HALVES = np.array([0.5, 0.5])


def watching(validate=None, rows=0):
    return Guard(Symptoms(("no", "yes"), HALVES, mlls, rows=max(1, rows)), validate, rows)


@pytest.fixture
def watched(domain, make_trainer):
    """``watched(method, shift, guard, **options)``: a trainer with a guard, and what it reported."""

    def make(method, shift=0.0, guard=None, seed=0, **options):
        streams = {"source": domain(200), "target": domain(200, shift, labelled=False, seed=seed)}
        rows, said = [], []
        report = Report(rows.append, warn=said.append)
        trainer = make_trainer(streams, method, report=report, **{"steps": 160, "batch_size": 16, **options})
        trainer.guard = guard or watching()
        trainer.guard.begin(method)
        return trainer, rows, said

    return make


def measured(rows, name):
    return [row["measured"][name] for row in rows if name in row.get("measured", {})]


@pytest.mark.parametrize(
    "method",
    [DANN(hidden=8), DANN(hidden=8, form="alternating"), CDAN(hidden=8), MCD(), (DANN(hidden=8) + MCC()).trainer],
    ids=lambda method: method.name,
)
def test_a_guard_changes_no_bit(watched, domain, make_trainer, same_bits, method):
    trainer, rows, _ = watched(method, 1.0, watching(lambda model: float(model.training), 8), steps=60)
    trainer.train()
    assert len(measured(rows, "largest_share")) == 2
    assert measured(rows, "source_accuracy") == [1.0, 1.0], "the model is in the mode that it was in"
    streams = {"source": domain(200), "target": domain(200, 1.0, labelled=False)}
    alone = make_trainer(streams, method, steps=60, batch_size=16)
    alone.train()
    same_bits(trainer.model, alone.model)
    same_bits(torch.nn.ModuleDict(trainer.parts), torch.nn.ModuleDict(alone.parts))
    assert trainer.counters.step == alone.counters.step


def test_a_stopped_training_sees_what_an_unbroken_one_sees(watched, tmp_path):
    method = DANN(hidden=8)
    whole, rows, _ = watched(method, 1.0)
    whole.train()
    expected = [row for row in rows if "measured" in row]
    first, rows, _ = watched(method, 1.0, folder=tmp_path)
    seen = first.guard.look

    def stop(*args):
        found = seen(*args)
        if args[2] == 48:  # inside the rows of the second look
            first._save()
            raise KeyboardInterrupt
        return found

    first.guard.look = stop
    with pytest.raises(KeyboardInterrupt):
        first.train()
    second, later, _ = watched(method, 1.0, folder=tmp_path)
    second.train()
    assert [row for row in rows + later if "measured" in row] == expected
    assert second.guard.symptoms.state() == whole.guard.symptoms.state()


def test_a_healthy_training_is_not_remarked(watched):
    trainer, rows, said = watched(DANN(hidden=16), 0.3, steps=300, learning_rate=0.02)
    trainer.train()
    assert said == [] and trainer.guard.symptoms.warnings == []
    assert all(0.4 < share < 0.7 for share in measured(rows, "largest_share"))
    assert measured(rows, "domain_accuracy")[-1] < 0.7


def test_aligned_domains_are_no_dead_discriminator(watched):
    trainer, rows, said = watched(DANN(hidden=16), 0.0, seed=1, steps=300, learning_rate=0.02)
    trainer.train()
    assert max(measured(rows, "domain_accuracy")) < 0.65
    assert said == []


def test_a_discriminator_that_is_always_right(watched):
    trainer, rows, said = watched(DANN(hidden=16, strength=1e-6), 12.0, steps=300, learning_rate=0.02)
    trainer.train()
    assert measured(rows, "domain_accuracy")[-1] == 1.0
    (sentence,) = [sentence for sentence in said if "always right" in sentence]
    assert "1.00" in sentence and "method.form=alternating" in sentence
    assert {"step": 200, "warning": sentence} in rows, "5 looks after three tenths of the way"


@dataclass(frozen=True)
class Deaf(DANN):
    """Its discriminator cannot learn."""

    def parts(self, sites):
        found = super().parts(sites)
        for part in found.values():
            part.requires_grad_(False)
        return found


def test_a_discriminator_that_does_not_learn(watched):
    trainer, rows, said = watched(Deaf(hidden=16, strength=0.1), 3.0, steps=200)
    trainer.train()
    assert max(measured(rows, "domain_accuracy")) <= 0.6
    (sentence,) = [sentence for sentence in said if "guesses" in sentence]
    assert "does not learn" in sentence and "training.learning_rate" in sentence


@dataclass(frozen=True)
class Sure(DANN):
    """Also minimises the entropy of the target's mean answer: all rows of one class."""

    def terms(self, step, source, target):
        mean = target.sites["features"].probs.mean(dim=0)
        return {"same": -self.strength * (mean * mean.clamp_min(1e-9).log()).sum()}


def test_answers_that_collapse(watched):
    trainer, rows, said = watched(Sure(hidden=4, strength=100.0), 0.5, steps=300, learning_rate=0.05)
    trainer.train()
    shares = measured(rows, "largest_share")
    assert shares[-1] > 0.95
    (sentence,) = [sentence for sentence in said if "collapsed" in sentence]
    assert "50% of the source" in sentence and "smaller method.strength" in sentence


@dataclass(frozen=True)
class Unlearn(DANN):
    """After two fifths of the way it maximises the loss on the source."""

    def terms(self, step, source, target):
        return {"unlearn": -self.strength * source.loss.mean().clamp_max(5) * (step.progress > 0.4)}


def test_a_source_that_is_forgotten(watched, domain):
    held = domain(64, seed=2)
    truth = torch.arange(64) % 2

    def validate(model):
        with torch.no_grad():
            said = model.head(model.neck(model.backbone(torch.from_numpy(held.rows.values))["output"]))
        return float((said.argmax(1) == truth).float().mean())

    guard = Guard(Symptoms(("no", "yes"), HALVES, rows=64), validate, 32)
    trainer, rows, said = watched(Unlearn(hidden=4, strength=3.0), 0.0, guard, steps=300, learning_rate=0.02)
    trainer.train()
    found = measured(rows, "source_accuracy")
    assert max(found) > 0.8 and found[-1] < 0.6
    (sentence,) = [sentence for sentence in said if "forgotten" in sentence]
    assert f"{max(found):.2f} were at step" in sentence and "training.keep=source" in sentence


def test_a_loss_of_accuracy_that_chance_explains_is_not_forgetting():
    def told(rows):
        symptoms = Symptoms(("no", "yes"), HALVES, rows=rows)
        looks = [Look(k, 8, validated=value) for k, value in enumerate([0.9, 0.9, 0.88, 0.75, 0.75, 0.75, 0.75])]
        return [sentence for look in looks for sentence in symptoms.judge(look)[1]]

    assert told(16) == []
    assert len(told(256)) == 1


def test_held_out_rows_are_read_no_more_often_than_the_budget_allows(watched):
    calls = []
    trainer, rows, _ = watched(DANN(hidden=4), 0.0, watching(lambda model: calls.append(1) or 1.0, 32), steps=200)
    trainer.train()
    assert len(calls) == len(measured(rows, "source_accuracy")) == 2
    assert len(calls) * 32 <= 0.004 * 3 * 200 * 32


def answers(share, n=128):
    yes = np.arange(n) < share * n
    return np.where(yes[:, None], [0.05, 0.95], [0.95, 0.05])


def judge(symptoms, shares, **more):
    found = []
    for k, share in enumerate(shares):
        found += symptoms.judge(Look(25 * (k + 1), 25 * len(shares), answers=answers(share), **more))[1]
    return found


def test_class_shares_that_run_away_from_the_estimate():
    symptoms = Symptoms(("no", "yes"), np.array([0.2, 0.8]), mlls)
    symptoms.begin(DANN())
    (sentence,) = judge(symptoms, [0.8, 0.8, 0.7, 0.5, 0.4, 0.35, 0.3, 0.3], learned=0.95)
    assert "'no' is 70%" in sentence and "20% of the source" in sentence and "since step 125" in sentence
    near = Symptoms(("no", "yes"), np.array([0.2, 0.8]), mlls)
    assert judge(near, [0.8, 0.8, 0.7, 0.6, 0.6, 0.65, 0.7, 0.7], learned=0.95) == []


def test_shares_that_come_to_the_source_s_or_were_estimated_by_an_ignorant_model_are_not_remarked():
    symptoms = Symptoms(("no", "yes"), HALVES, mlls)
    assert judge(symptoms, [0.9, 0.8, 0.7, 0.5, 0.5, 0.5, 0.5, 0.5], learned=0.95) == []
    ignorant = Symptoms(("no", "yes"), np.array([0.2, 0.8]), mlls)
    assert judge(ignorant, [0.8, 0.8, 0.7, 0.5, 0.4, 0.35, 0.3, 0.3], learned=0.7) == []


def test_the_last_estimate_of_the_first_quarter_counts():
    symptoms = Symptoms(("no", "yes"), np.array([0.2, 0.8]), mlls)
    judge(symptoms, [0.9, 0.4, 0.35, 0.3, 0.3, 0.3, 0.3, 0.3], learned=0.95)
    expected = mlls(answers(0.4), np.array([0.2, 0.8]))
    np.testing.assert_allclose(symptoms.expected, expected)


def test_stated_shares_are_what_answers_are_held_against():
    symptoms = Symptoms(("no", "yes"), HALVES, mlls, stated=np.array([0.9, 0.1]))
    (sentence,) = judge(symptoms, [0.2, 0.3, 0.5, 0.6, 0.6, 0.6])
    assert "10% of what was stated" in sentence
    assert judge(Symptoms(("no", "yes"), HALVES, mlls, stated=np.array([0.9, 0.1])), [0.1] * 8) == []


def test_one_class_from_the_beginning_is_told_after_half_of_the_way():
    found = []
    symptoms = Symptoms(("no", "yes"), HALVES)
    for k in range(8):
        new = symptoms.judge(Look(25 * (k + 1), 200, answers=answers(0.99)))[1]
        found += [(k, sentence) for sentence in new]
    ((k, sentence),) = found
    assert k == 6 and "since step 125" in sentence


def test_separable_is_judged_on_rows_that_it_has_not_seen():
    rng = np.random.default_rng(0)
    same = separable(rng.normal(size=(128, 200)), rng.normal(size=(128, 200)))
    assert 0.35 < same < 0.65, "with more columns than rows any labels can be learned by heart"
    shifted = separable(rng.normal(size=(128, 20)), rng.normal(size=(128, 20)) + 1.5)
    assert shifted > 0.95
