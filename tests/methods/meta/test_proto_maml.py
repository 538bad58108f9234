"""Proto-MAML: it begins as a prototypical network, whatever the number of ways."""

import pytest
import torch

from acclimate.domains.episodes import Episodes
from acclimate.errors import SettingsError
from acclimate.methods.meta.proto_maml import ProtoMAML, prototype_head
from acclimate.methods.meta.protonet import ProtoNet
from acclimate.training.episodes import EpisodeStream


def test_head_by_hand():
    weight, bias = prototype_head(torch.tensor([[1.0, 0.0], [3.0, 2.0], [0.0, 4.0]]), torch.tensor([0, 0, 1]))
    assert torch.equal(weight, torch.tensor([[4.0, 2.0], [0.0, 8.0]]))
    assert torch.equal(bias, torch.tensor([-5.0, -16.0]))


@pytest.mark.parametrize("ways", [2, 10])
def test_before_any_step_it_answers_as_a_prototypical_network(ways, classes, make_model):
    model = make_model().eval()
    stream = EpisodeStream("source", Episodes(classes(), ways, 4, 3), model.backbone, model.task, size=3, seed=0)
    tasks = stream.batch(0)
    query = tasks.views["query"].inputs
    before = ProtoMAML(test_steps=0).answers(model, {}, tasks, query).softmax(-1)
    assert torch.allclose(before, ProtoNet().answers(model, {}, tasks, query).softmax(-1), atol=1e-5)
    after = ProtoMAML(test_steps=5).answers(model, {}, tasks, query).softmax(-1)
    assert not torch.allclose(before, after, atol=1e-3)


def test_inner_steps_fit_the_support(classes, make_model):
    model = make_model().eval()
    tasks = EpisodeStream("source", Episodes(classes(), 5, 4, 3), model.backbone, model.task, size=8, seed=0).batch(0)
    losses = []
    for steps in (0, 5, 20):
        logits = ProtoMAML(test_steps=steps, rate=0.05).answers(model, {}, tasks, tasks.inputs)
        losses.append(torch.nn.functional.cross_entropy(logits.flatten(0, 1), tasks.targets.flatten()).item())
    assert losses[0] > losses[1] > losses[2]


def test_the_unused_head_stays(classes, make_model, teach):
    model = make_model()
    before = model.head.weight.detach().clone()
    teach(model, ProtoMAML(), classes(), steps=3, weight_decay=0.1).train()
    assert torch.equal(model.head.weight, before)


def test_prototypes_need_labels():
    with pytest.raises(SettingsError, match="proto_maml: inner=infomax is not possible, for prototypes need labels"):
        ProtoMAML(inner="infomax")
