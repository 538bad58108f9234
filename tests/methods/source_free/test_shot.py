"""The head stays, the features learn on the target."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from acclimate.domains.batch import Batch
from acclimate.errors import SettingsError
from acclimate.methods import SourceOnly
from acclimate.methods.source_free.pieces import centroids, nearest
from acclimate.methods.source_free.shot import SHOT, UNKNOWN, Memory, Transfer
from acclimate.tasks.sites import Site, Width
from acclimate.training.model import Step


class Fixed:
    """A pass whose features are what the batch holds, times a learnable matrix."""

    progress, share = 0.5, 1.0

    def __init__(self, parts):
        self.parts = parts
        generator = torch.Generator().manual_seed(0)
        self.matrix = torch.randn(3, 3, generator=generator, requires_grad=True)
        self.head = torch.randn(3, 2, generator=generator, requires_grad=True)

    def run(self, batch):
        values = batch.inputs @ self.matrix
        logits = values @ self.head
        return Step(
            {"logits": logits}, {"features": Site(values, torch.arange(len(values)), logits.softmax(1))}, None, batch
        )


def test_the_losses_are_the_papers_on_a_memory_of_every_row():
    training = Transfer(SHOT(pseudo=0.2, diversity=0.9), rows=6)
    parts = training.parts({"features": Width(3, 2)})
    step = Fixed(parts)
    rows, values = torch.arange(6), torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    memory = parts["memory_features"]
    for chosen in ([4, 1, 5], [0, 2]):
        batch = Batch(values[chosen], rows=rows[chosen])
        (update,) = training.updates(step, {"target": batch})
        site = step.run(batch).sites["features"]
        torch.testing.assert_close(memory.features[chosen], site.values.detach())
        torch.testing.assert_close(memory.probs[chosen], site.probs.detach())
        assert update.losses["pseudo_features"] == 0  # nothing has come twice
    assert memory.probs[3].sum() == 0  # not seen yet
    labels = nearest(memory.features, centroids(memory.features, memory.probs))
    batch = Batch(values[[4, 3, 1]], rows=rows[[4, 3, 1]])
    (update,) = training.updates(step, {"target": batch})
    assert memory.labels.tolist() == [*labels[:3], UNKNOWN, *labels[4:]]
    assert update.players == ("features",)
    p = step.run(batch).sites["features"].probs
    taught = F.nll_loss(p[[0, 2]].log(), labels[[4, 1]])
    wanted = -(p * p.log()).sum(1).mean() + 0.9 * (p.mean(0) * p.mean(0).log()).sum() + 0.2 * taught
    found = sum(update.losses.values())
    torch.testing.assert_close(found, wanted)
    (gradient,) = torch.autograd.grad(found, step.matrix, retain_graph=True)
    torch.testing.assert_close(gradient, torch.autograd.grad(wanted, step.matrix)[0])
    assert gradient.abs().max() > 1e-3


def test_labels_stay_for_an_epoch_while_the_features_move():
    memory, sides = Memory(4, Width(2, 2)), torch.eye(2)
    first, second, turned = torch.tensor([0, 2]), torch.tensor([1, 3]), sides.flip(0)
    assert memory.keep(first, sides, sides).tolist() == [UNKNOWN, UNKNOWN]
    assert memory.keep(second, sides, sides).tolist() == [UNKNOWN, UNKNOWN]
    assert memory.keep(first, turned, turned).tolist() == [0, 1]  # as before they turned
    assert memory.keep(second, turned, turned).tolist() == [0, 1]
    assert memory.keep(second, turned, turned).tolist() == [1, 0]  # of the epoch that has ended
    assert memory.labels[first].tolist() == [1, 0]


@pytest.mark.parametrize("settings", [{"pseudo": -1}, {"diversity": -0.1}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(SettingsError, match=next(iter(settings))):
        SHOT(**settings)


def test_shot_solves_a_shift_that_source_only_does_not_with_the_sources_head(train, right, points_of):
    source, target, test = points_of("source"), points_of("target"), points_of("target", seed=1)
    before, after = train(SourceOnly(), source, target), train(SHOT(), source, target)
    assert right(before, test) < 0.75
    assert right(after, test) > 0.9
    assert all(torch.equal(a, b) for a, b in zip(before.head.parameters(), after.head.parameters(), strict=True))
    assert isinstance(after.head, nn.Linear)
    assert not np.array_equal(*(m.backbone.network[0].weight.detach().numpy() for m in (before, after)))
