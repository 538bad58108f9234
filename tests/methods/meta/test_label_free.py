"""The label-free inner loss: a model adapts to a new domain from a handful of rows that nobody labelled."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import acclimate as ac
from acclimate.backbones.module import from_module
from acclimate.domains.batch import Batch
from acclimate.domains.episodes import Episodes
from acclimate.errors import SettingsError
from acclimate.methods import SourceOnly
from acclimate.methods.meta.anil import ANIL
from acclimate.methods.meta.base import Learning
from acclimate.methods.meta.fomaml import FOMAML
from acclimate.methods.meta.maml import MAML, infomax_of
from acclimate.methods.meta.maml_pp import MAMLPP
from acclimate.methods.meta.meta_sgd import MetaSGD
from acclimate.tasks.classify import Classify
from acclimate.tasks.regress import Regress
from acclimate.training.device import place
from acclimate.training.episodes import EpisodeStream
from acclimate.training.loop import Trainer
from acclimate.training.model import Model
from acclimate.training.settings import Training, Tune
from acclimate.training.stage import Loop

LEARNERS = [kind(steps=3, rate=0.3, inner="infomax") for kind in (MAML, FOMAML, ANIL, MetaSGD, MAMLPP)]


def domains(count, seed):
    """Each moves its two classes, 2 apart, by up to 3 to either side: where it lies decides what a row means."""
    rng = np.random.default_rng(seed)
    label = np.tile([0, 1], 20 * count)
    values = rng.normal(size=(40 * count, 2)) * 0.3
    values[:, 0] += 2 * label - 1 + np.repeat(rng.uniform(-3, 3, count), 40)
    made = ac.read((values.astype(np.float32), np.where(label, "yes", "no")), label=True)
    return replace(made, groups=np.repeat([f"domain {k}" for k in range(count)], 40).astype(object))


def made_model(task=None):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU())
    backbone = from_module(network, "array", example=np.zeros((1, 2), np.float32), pretrained=False)
    return Model(backbone, task or Classify(("no", "yes")))


def trainer_of(model, loop, steps=100, size=8):
    training = Training(batch_size=size, steps=steps, learning_rate=1e-2, weight_decay=0)
    return Trainer(model, loop, tune=Tune(kind="full"), training=training, place=place("cpu", "fp32"), seed=0)


def tasks_of(model, domain, count):
    episodes = Episodes(domain, 2, 10, 10, groups="tasks")
    return EpisodeStream("source", episodes, model.backbone, model.task, size=count, seed=0).batch(0)


def test_loss_by_hand():
    """Two rows, of answers 0.5, 0.5 and 0.8, 0.2: mean entropy less that of 0.65, 0.35."""
    model = made_model().eval()
    with torch.no_grad():
        model.backbone.network[2].weight.zero_()
        model.backbone.network[2].bias.zero_()
        model.head.bias.zero_()
    rows, weights = Batch(torch.randn(4, 2)), dict(model.named_parameters())
    assert infomax_of(model, rows)(weights).item() == pytest.approx(0.0, abs=1e-6)
    first = model.backbone.network[0]
    with torch.no_grad():
        first.weight.zero_()
        first.weight[0, 0] = 1.0
        model.backbone.network[2].weight[0, 0] = 1.0
        model.head.weight.zero_()
        model.head.weight[0, 0] = float(np.log(4))
        first.bias.zero_()
    rows = Batch(torch.tensor([[0.0, 5.0], [1.0, 5.0]]))
    shares = [np.array([0.5, 0.5]), np.array([0.8, 0.2]), np.array([0.65, 0.35])]
    first, second, mean = (-(p * np.log(p)).sum() for p in shares)
    assert infomax_of(model, rows)(weights).item() == pytest.approx((first + second) / 2 - mean, abs=1e-6)


@pytest.mark.parametrize("learner", LEARNERS[:3], ids=lambda learner: learner.name)
def test_it_adapts_to_new_domains_from_unlabelled_rows(learner):
    learner = replace(learner, mapped=True)  # faster for a network as small
    model, train = made_model(), domains(60, 0)
    episodes = Episodes(train, 2, 10, 10, groups="tasks")
    trainer = trainer_of(model, Loop("meta", {}, Learning(learner, model, episodes.classes), episodes=episodes))
    trainer.train()
    tasks = tasks_of(model, domains(40, 1), 60)
    query = tasks.views["query"]

    def right(learner):
        logits = learner.answers(model, trainer.parts, Batch(tasks.inputs), query.inputs)
        return (logits.argmax(-1) == query.targets).float().mean().item()

    unadapted = right(replace(learner, test_steps=0))
    assert unadapted < 0.75
    assert right(learner) > max(unadapted + 0.15, 0.8)


def test_plain_training_on_all_domains_does_not():
    model = made_model()
    trainer_of(model, Loop("joint", {"source": domains(60, 0)}, SourceOnly()), steps=300, size=64).train()
    query = tasks_of(model, domains(40, 1), 60).views["query"]
    with torch.no_grad():
        logits = model(Batch(query.inputs.flatten(0, 1))).outputs["logits"]
    assert (logits.argmax(-1) == query.targets.flatten()).float().mean() < 0.75


@pytest.mark.parametrize("learner", LEARNERS, ids=lambda learner: learner.name)
def test_support_labels_play_no_part(learner):
    """Poisoned while training and when it answers: the same bits."""
    ends, answers = [], []
    for poisoned in (False, True):
        model = made_model()
        tasks = tasks_of(model, domains(20, 0), 8)
        if poisoned:
            tasks = replace(tasks, targets=1 - tasks.targets)
        episodes = Episodes(domains(20, 0), 2, 10, 10, groups="tasks")
        trainer = trainer_of(model, Loop("meta", {}, Learning(learner, model, episodes.classes), episodes=episodes))
        trainer.tuning.train()
        for step in range(3):
            trainer.stepper.step({"source": tasks}, step, 0.5)
        ends.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
        answers.append(learner.answers(model.eval(), trainer.parts, tasks, tasks.views["query"].inputs))
    assert torch.equal(*ends)
    assert torch.equal(*answers)


def test_numbers_have_no_entropy():
    model = made_model(Regress())
    with pytest.raises(SettingsError, match="inner=infomax goes by class probabilities, and the labels are numbers"):
        Learning(MAML(inner="infomax"), model, 1).parts(model.sites)
