"""Baseline++: it learns all training classes, and a head for each task without touching the features."""

from dataclasses import replace

import torch
from torch.nn import functional as F

from acclimate.domains.episodes import Episodes
from acclimate.methods.meta.baseline_pp import BaselinePP
from acclimate.training.episodes import EpisodeStream


def tasks_of(model, domain, **more):
    return EpisodeStream("source", Episodes(domain, 3, 2, 5), model.backbone, model.task, size=4, seed=0, **more).batch(
        0
    )


def test_logits_are_scaled_cosines():
    features, heads = torch.tensor([[[3.0, 4.0]]]), torch.tensor([[[2.0, 0.0], [0.0, -1.0]]])
    assert torch.allclose(BaselinePP(scale=10.0).logits(features, heads), torch.tensor([[[6.0, -8.0]]]))


def test_it_learns_which_of_all_classes_a_row_is_of(classes, make_model, teach):
    model, domain = make_model(), classes()
    trainer = teach(model, BaselinePP(), domain, steps=200)
    learned = trainer.parts["classes"].weight
    assert learned.shape == (40, 8)

    def right():
        tasks = tasks_of(model, domain)
        with torch.no_grad():
            features = model.eval().features(tasks.inputs.flatten(0, 1))
            found = BaselinePP().logits(features[None], learned)[0].argmax(-1)
        return (found == tasks.origin.flatten()).float().mean()

    before = right()
    trainer.train()
    assert before < 0.06
    assert right() > 0.15  # of 40 classes in two dimensions among louder noise


def test_training_goes_by_the_class_among_all_and_not_by_the_place_in_the_episode(classes, make_model, teach):
    ends = []
    for change in (None, "targets", "origin"):
        model = make_model()
        trainer = teach(model, BaselinePP(), classes())
        tasks = tasks_of(model, classes())
        if change:
            tasks = replace(tasks, **{change: getattr(tasks, change).flip(1)})
        trainer.tuning.train()
        trainer.stepper.step({"source": tasks}, 0, 0.5)
        ends.append(model.backbone.network[0].weight.detach().clone())
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


def test_head_learns_from_the_support(classes, make_model):
    model = make_model().eval()
    tasks = tasks_of(model, classes())
    losses = []
    for steps in (0, 10, 100):
        logits = BaselinePP(steps=steps, rate=0.1).answers(model, {}, tasks, tasks.inputs)
        losses.append(F.cross_entropy(logits.flatten(0, 1), tasks.targets.flatten()).item())
    assert losses[0] > losses[1] > losses[2]
