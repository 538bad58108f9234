"""All tasks of a step at once: the same update as one after the other."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from acclimate.methods.meta import together
from acclimate.methods.meta.anil import ANIL
from acclimate.methods.meta.fomaml import FOMAML
from acclimate.methods.meta.maml import MAML
from acclimate.methods.meta.maml_pp import MAMLPP
from acclimate.methods.meta.meta_sgd import MetaSGD
from acclimate.methods.meta.proto_maml import ProtoMAML

LEARNERS = [
    MAML(rate=0.3, steps=2),
    FOMAML(rate=0.3, steps=2),
    ANIL(rate=0.3),
    MetaSGD(steps=2),
    MAMLPP(steps=2, order_annealing=0),
    ProtoMAML(steps=2, first_order=False),
    MAML(inner="infomax"),
]
PLAIN = {"optimizer": "sgd", "schedule": "constant", "warmup": 0, "learning_rate": 0.1}


def trained(learner, classes, make_model, teach, steps=2):
    model = make_model(norm=True)
    trainer = teach(model, learner, classes(), steps=steps, **PLAIN)
    trainer.train()
    own = {f"{name}.{key}": v for name, part in trainer.parts.items() for key, v in part.state_dict().items()}
    return {**model.state_dict(), **own}


@pytest.mark.parametrize("learner", LEARNERS, ids=lambda learner: f"{learner.name}-{learner.inner}")
def test_the_update_is_that_of_one_task_after_the_other(learner, classes, make_model, teach):
    states = [trained(replace(learner, mapped=mapped), classes, make_model, teach) for mapped in (True, False)]
    fresh = make_model(norm=True).state_dict()
    for name, value in states[0].items():
        assert torch.allclose(value, states[1][name], atol=2e-6), name
    assert not torch.allclose(states[0]["backbone.network.0.weight"], fresh["backbone.network.0.weight"], atol=1e-3)


def test_when_memory_runs_out_fewer_tasks_go_together(classes, make_model, teach, monkeypatch):
    whole = trained(MAML(mapped=True), classes, make_model, teach)
    seen, given = [], together.batched_gradient

    def small(*args, chunk, **more):
        seen.append(chunk)
        if chunk > 1:
            raise torch.OutOfMemoryError("no more than one task fits")
        return given(*args, chunk=chunk, **more)

    monkeypatch.setattr(together, "batched_gradient", small)
    cut = trained(MAML(mapped=True), classes, make_model, teach)
    assert seen == [4, 2, 1, 1]  # found in the first step, remembered in the second
    for name, value in whole.items():
        assert torch.allclose(value, cut[name], atol=2e-6), name
