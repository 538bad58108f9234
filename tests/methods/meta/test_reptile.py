"""Reptile: where the weights go, against plain training by torch's own optimizer."""

from copy import deepcopy

import pytest
import torch

from acclimate.domains.batch import Batch
from acclimate.domains.episodes import Episodes
from acclimate.errors import SettingsError
from acclimate.methods.meta.maml import each
from acclimate.methods.meta.reptile import Reptile
from acclimate.training.episodes import EpisodeStream

PLAIN = {"optimizer": "sgd", "schedule": "constant", "warmup": 0, "learning_rate": 0.5, "steps": 1}


def trained(model, task, steps, rate):
    """The parameters after plain descent on all rows of a task."""
    model = deepcopy(model)
    support, query = task
    rows = Batch(torch.cat([support.inputs, query.inputs]), torch.cat([support.targets, query.targets]))
    descent = torch.optim.SGD(model.parameters(), lr=rate)
    for _ in range(steps):
        descent.zero_grad()
        model(rows).loss.mean().backward()
        descent.step()
    return [p.detach() for p in model.parameters()]


def test_weights_move_towards_the_mean_of_what_tasks_reach(classes, make_model, teach):
    model, domain = make_model(), classes()
    trainer = teach(model, Reptile(steps=3, rate=0.2, batch=100), domain, **PLAIN)
    before = [p.detach().clone() for p in model.parameters()]
    tasks = EpisodeStream("source", Episodes(domain, 3, 2, 5), model.backbone, model.task, size=4, seed=0).batch(0)
    reached = [trained(model, task, 3, 0.2) for task in each(tasks)]
    trainer.train()
    for start, ends, now in zip(before, zip(*reached, strict=True), model.parameters(), strict=True):
        assert torch.allclose(now, start + 0.5 * (torch.stack(ends).mean(0) - start), atol=1e-6)
        assert not torch.equal(now, start)


def test_minibatches_pass_over_every_row_once(classes, make_model, teach):
    """At a small rate the minibatches of one pass add up to one step of all rows, three times as long."""
    ends = []
    for learner in (Reptile(steps=3, rate=0.01, batch=7), Reptile(steps=1, rate=0.03, batch=100)):
        model = make_model()
        before = torch.cat([p.detach().flatten() for p in model.parameters()])
        teach(model, learner, classes(), **{**PLAIN, "learning_rate": 1.0}).train()
        ends.append(torch.cat([p.detach().flatten() for p in model.parameters()]) - before)
    assert (ends[0] - ends[1]).norm() < 0.05 * ends[1].norm()


def test_other_draws_of_minibatches_end_elsewhere(classes, make_model, teach):
    ends = []
    for batch in (7, 100):
        model = make_model()
        teach(model, Reptile(steps=3, rate=0.2, batch=batch), classes(), **PLAIN).train()
        ends.append(model.backbone.network[0].weight.detach())
    assert not torch.allclose(ends[0], ends[1], atol=1e-5)


def test_without_labels_there_is_nothing_to_learn_from():
    with pytest.raises(
        SettingsError, match="reptile: inner=infomax is not possible, for it learns from the inner loss"
    ):
        Reptile(inner="infomax")


def test_its_tasks_are_not_mapped():
    with pytest.raises(SettingsError, match="reptile: mapped=true is not possible"):
        Reptile(mapped=True)
