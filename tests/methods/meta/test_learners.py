"""What every meta-learner must do: learn to learn, from support rows alone, the same way every time."""

from dataclasses import replace

import pytest
import torch

from acclimate.domains.batch import Batch
from acclimate.domains.episodes import Episodes
from acclimate.methods.meta.anil import ANIL
from acclimate.methods.meta.baseline_pp import BaselinePP
from acclimate.methods.meta.fomaml import FOMAML
from acclimate.methods.meta.inner import task_loss
from acclimate.methods.meta.maml import MAML, each, learning, loss_of
from acclimate.methods.meta.maml_pp import MAMLPP
from acclimate.methods.meta.matching_net import MatchingNet
from acclimate.methods.meta.meta_sgd import MetaSGD
from acclimate.methods.meta.pmf import PMF
from acclimate.methods.meta.proto_maml import ProtoMAML
from acclimate.methods.meta.protonet import ProtoNet
from acclimate.methods.meta.r2d2 import R2D2
from acclimate.methods.meta.relation_net import RelationNet
from acclimate.methods.meta.reptile import Reptile
from acclimate.training.episodes import EpisodeStream
from acclimate.training.loop import InterruptedRunError

LEARNERS = [
    MAML(rate=0.3),
    FOMAML(rate=0.3),
    ANIL(rate=0.3),
    MetaSGD(),
    MAMLPP(steps=3),
    Reptile(),
    ProtoMAML(steps=2),
    ProtoNet(),
    MatchingNet(),
    RelationNet(),
    R2D2(),
    BaselinePP(),
    PMF(),
]
FIRST = "backbone.network.0.weight"
by_name = pytest.mark.parametrize("learner", LEARNERS, ids=lambda learner: learner.name)


def tasks_of(model, domain, seed=1, count=60, shots=2):
    episodes = Episodes(domain, 3, shots, 5, seed=seed)
    return EpisodeStream("source", episodes, model.backbone, model.task, size=count, seed=0).batch(0)


def right(model, learner, parts, tasks):
    logits = learner.answers(model.eval(), parts, Batch(tasks.inputs, tasks.targets), tasks.views["query"].inputs)
    return (logits.argmax(-1) == tasks.views["query"].targets).float().mean().item()


@by_name
def test_it_learns_to_learn_classes_that_it_never_saw(learner, classes, make_model, teach):
    model = make_model()
    trainer = teach(model, learner, classes(0), steps=200)
    tasks = tasks_of(model, classes(1))
    before = right(model, learner, trainer.parts, tasks)
    trainer.train()
    after = right(model, learner, trainer.parts, tasks)
    assert after > max(before + 0.15, 0.6)


@by_name
def test_same_seed_same_bits(learner, classes, make_model, teach):
    states = []
    for _ in range(2):
        model = make_model(norm=True)
        teach(model, learner, classes(), steps=8).train()
        states.append(model.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    fresh = make_model(norm=True).state_dict()
    assert not torch.equal(states[0][FIRST], fresh[FIRST])


@by_name
def test_query_labels_change_no_answer(learner, classes, make_model):
    model = make_model()
    parts = learner.parts(model, 40)
    tasks = tasks_of(model, classes(), count=4)
    whole = replace(tasks, views={"query": replace(tasks.views["query"], targets=None)})
    first = learner.answers(model, parts, tasks, tasks.views["query"].inputs)
    second = learner.answers(model, parts, whole, tasks.views["query"].inputs)
    assert torch.equal(first, second)
    other = replace(tasks, targets=(tasks.targets + 1) % 3)
    assert not torch.allclose(first, learner.answers(model, parts, other, tasks.views["query"].inputs))


@by_name
def test_a_task_is_answered_alone_as_among_others(learner, classes, make_model):
    model = make_model().eval()
    parts = learner.parts(model, 40)
    tasks = tasks_of(model, classes(), count=4)
    together = learner.answers(model, parts, tasks, tasks.views["query"].inputs)
    alone = Batch(tasks.inputs[2:3], tasks.targets[2:3])
    single = learner.answers(model, parts, alone, tasks.views["query"].inputs[2:3])
    assert torch.allclose(together[2:3], single, atol=1e-5)


@by_name
def test_resumes_bit_for_bit(learner, classes, make_model, teach, tmp_path):
    whole = make_model(norm=True)
    teach(whole, learner, classes(), steps=9).train()
    first = teach(make_model(norm=True), learner, classes(), folder=tmp_path, steps=9, checkpoint_seconds=0)
    take = first.stepper.step

    def stopping(batches, number, progress):
        if number == 5:
            raise InterruptedRunError("stopped", 15)
        return take(batches, number, progress)

    first.stepper.step = stopping
    with pytest.raises(InterruptedRunError):
        first.train()
    again = make_model(norm=True)
    second = teach(again, learner, classes(), folder=tmp_path, steps=9)
    second.train()
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items())


@by_name
def test_answering_leaves_the_model_as_it_was(learner, classes, make_model):
    model = make_model(norm=True).eval()
    parts = learner.parts(model, 40)
    tasks = tasks_of(model, classes(), count=2, shots=4)
    held = [{name: value.clone() for name, value in part.state_dict().items()} for part in (model, *parts.values())]
    flags = [p.requires_grad for p in model.parameters()]
    learner.answers(model, parts, tasks, tasks.views["query"].inputs)
    for before, part in zip(held, (model, *parts.values()), strict=True):
        assert all(torch.equal(value, before[name]) for name, value in part.state_dict().items())
        assert all(p.grad is None for p in part.parameters())
    assert [p.requires_grad for p in model.parameters()] == flags
    assert not any(module.training for module in model.modules())


@by_name
def test_a_permutation_of_labels_and_of_rows_changes_nothing(learner, classes, make_model):
    """Answers permute with the labels; where there is a head, whose rows differ, these are permuted too."""
    model = make_model().eval()
    parts = learner.parts(model, 40)
    tasks = tasks_of(model, classes(), count=4)
    first = learner.answers(model, parts, tasks, tasks.views["query"].inputs)
    renamed, order = torch.tensor([2, 0, 1]), torch.tensor([4, 1, 5, 0, 3, 2])
    other = Batch(tasks.inputs[:, order], renamed[tasks.targets][:, order])
    with torch.no_grad():
        for value in (model.head.weight, model.head.bias):
            value[renamed] = value.clone()
    second = learner.answers(model, parts, other, tasks.views["query"].inputs)
    assert torch.allclose(first, second[..., renamed], atol=1e-5)


UPDATED = [
    *LEARNERS[:5],
    MAMLPP(steps=3, order_annealing=0.0),
    ProtoMAML(steps=2),
    ProtoMAML(steps=2, first_order=False),
    MAML(steps=2, rate=0.3, inner="infomax"),
]


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("learner", UPDATED, ids=repr)
def test_the_update_is_the_gradient_of_the_query_loss(learner, mapped, classes, make_model, teach):
    """One plain descent step against autograd through the whole inner loop, learned rates included."""
    learner, model = replace(learner, mapped=mapped), make_model(norm=True)
    plain = {"optimizer": "sgd", "schedule": "constant", "warmup": 0, "learning_rate": 0.1}
    trainer = teach(model, learner, classes(), steps=1, **plain)
    tasks = tasks_of(model, classes(), seed=0, count=4)
    model.train()
    weights = {name: value.detach().clone().requires_grad_() for name, value in learning(model).items()}
    rates = learner.rates(weights, trainer.parts, learner.steps)
    own = [p for part in trainer.parts.values() for p in part.parameters()]
    asked = [*weights.values(), *own]
    held = [p.detach().clone() for p in asked]
    model.backbone.network[1].track_running_stats = False
    losses = [
        task_loss(
            learner.support_loss(model, s),
            loss_of(model, q),
            learner.begin(model, weights, s),
            rates,
            **learner.form(0.0),
        )
        for s, q in each(tasks)
    ]
    slopes = torch.autograd.grad(torch.stack(losses).mean(), asked, materialize_grads=True)
    model.backbone.network[1].track_running_stats = True
    trainer.train()
    moved = [*learning(model, everything=True).values(), *own]
    for old, new, slope in zip(held, moved, slopes, strict=True):
        assert torch.allclose(old - 0.1 * slope, new, atol=1e-6)
    assert slopes[0].abs().max() > 1e-3


@pytest.mark.parametrize("learner", [one for one in LEARNERS if not one.headed], ids=lambda learner: learner.name)
def test_ways_and_shots_may_vary_without_a_head(learner, classes, make_model, teach):
    model, domain = make_model(norm=True), classes()
    episodes = Episodes(domain, (2, 6), (1, 5), 3)
    trainer = teach(model, learner, domain, steps=8, episodes=episodes)
    before = model.backbone.network[0].weight.detach().clone()
    trainer.train()
    assert not torch.equal(model.backbone.network[0].weight, before)
    assert all(value.isfinite().all() for value in model.state_dict().values())
    stream = EpisodeStream("source", episodes, model.backbone, model.task, size=4, seed=1)
    shapes = set()
    for step in range(3):
        tasks = stream.batch(step)
        logits = learner.answers(model, trainer.parts, tasks, tasks.views["query"].inputs)
        assert logits.isfinite().all()
        assert logits.shape[2] == tasks.targets.max() + 1
        shapes.add(logits.shape[2])
    assert len(shapes) > 1


def test_anil_adapts_the_head_alone(classes, make_model):
    model = make_model()
    rates = ANIL().rates(learning(model), {}, 2)
    assert [set(rate) for rate in rates] == [{"head.weight", "head.bias"}] * 2


def test_protonet_takes_any_number_of_ways(classes, make_model):
    model = make_model().eval()
    episodes = Episodes(classes(), 10, 4, 3)
    tasks = EpisodeStream("source", episodes, model.backbone, model.task, size=2, seed=0).batch(0)
    logits = ProtoNet().answers(model, {}, tasks, tasks.views["query"].inputs)
    assert logits.shape == (2, 30, 10)


def test_protonet_logits_by_hand():
    support = torch.tensor([[[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]]])
    logits = ProtoNet(scale=0.5).logits(support, torch.tensor([[0, 0, 1]]), torch.tensor([[[1.0, 1.0]]]))
    assert torch.allclose(logits, torch.tensor([[[-0.5, -5.0]]]))
