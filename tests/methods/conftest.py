from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import acclimate as ac
from acclimate.backbones.module import from_module
from acclimate.domains.batch import Batch
from acclimate.domains.domain import Domain
from acclimate.methods import SourceOnly
from acclimate.methods.base import Align, Method
from acclimate.methods.data import Data
from acclimate.tasks.classify import Classify
from acclimate.training.device import place
from acclimate.training.infer import infer
from acclimate.training.loop import Trainer
from acclimate.training.model import Model, Step
from acclimate.training.settings import Training, Tune
from acclimate.training.stage import Adjust, Loop
from acclimate.training.step import Stepper
from acclimate.training.stream import move
from acclimate.training.tune import Tuning

Pair = tuple[np.ndarray, np.ndarray]
CPU = place("cpu", "fp32")
RATE = 0.1


@pytest.fixture(autouse=True)
def _cache(own_cache):
    pass


@pytest.fixture
def moved() -> Callable[..., None]:
    """``moved(method, term)``: one step of plain descent moves backbone and head by the gradient of task + term.

    ``term`` is given the two domains' forward passes, and says by hand what the method adds.
    """

    def check(method: Align, term: Callable[[Step, Step], Tensor]) -> None:
        torch.manual_seed(0)
        model = made(nn.Sequential(nn.Linear(3, 4), nn.Tanh()), 3)
        source = Batch(torch.randn(6, 3), torch.tensor([0, 1, 0, 1, 0, 1]), "source")
        strong = Batch(torch.randn(6, 3) + 1, None, "target")
        target = Batch(torch.randn(6, 3) + 1, None, "target", rows=torch.arange(6), views={"strong": strong})
        parameters = [*model.backbone.parameters(), *model.head.parameters()]
        passes = model(source), model(target)
        added = torch.autograd.grad(term(*passes), parameters, retain_graph=True, allow_unused=True)
        assert passes[0].loss is not None
        task = torch.autograd.grad(passes[0].loss.mean(), parameters)
        assert added[0] is not None and added[0].abs().max() > 1e-4  # the features are moved at all
        wanted = [t if a is None else t + a for t, a in zip(task, added, strict=True)]
        training = Training(
            batch_size=6, optimizer="sgd", schedule="constant", learning_rate=RATE, warmup=0, clip=0, weight_decay=0
        )
        tuning = Tuning(model, Tune("full"), training)
        stepper = Stepper(model, method, method.parts(model.sites), tuning=tuning, training=training, place=CPU, seed=0)
        before = [p.detach().clone() for p in parameters]
        stepper.step({"source": source, "target": target}, 0, 0.5)
        for p, old, gradient in zip(parameters, before, wanted, strict=True):
            torch.testing.assert_close((old - p.detach()) / RATE, gradient, rtol=1e-4, atol=1e-6)

    return check


def made(network: nn.Module, width: int, classes: tuple[str, ...] = ("no", "yes"), **options: Any) -> Model:
    """A model around a network of ``width`` inputs."""
    backbone = from_module(network, "array", example=np.zeros((1, width), np.float32), pretrained=False)
    return Model(backbone, Classify(classes), **options)


class Reads:
    """What an `Adjust` may ask, of a model whose backbone trains."""

    def __init__(self, model: Model):
        self.model = model

    def outputs(self, domain: Domain) -> dict[str, np.ndarray]:
        return infer(self.model, domain, CPU)

    def batches(self, domain: Domain, size: int = 256) -> Iterator[Batch]:
        for start in range(0, len(domain), size):
            rows = domain.rows.take(np.arange(start, min(start + size, len(domain))))
            yield move(Batch(self.model.backbone.collate(rows)), CPU.device)


@pytest.fixture
def train() -> Callable[..., Model]:
    """``train(method, source, target, network=, validation=, **training)``: a model after the method's stages.

    Domains are pairs ``(values [n, d], labels [n])``; the target's labels are not shown.
    """

    def make(
        method: Method,
        source: Pair,
        target: Pair,
        *,
        network: nn.Module | None = None,
        validation: Pair | None = None,
        said: list[dict[str, Any]] | None = None,
        **training: Any,
    ) -> Model:
        width = source[0].shape[1]
        torch.manual_seed(0)
        network = network or nn.Sequential(nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
        classes = tuple(sorted(set(source[1])))
        model = made(network, width, classes)
        task = Classify(classes)
        held_out = None if validation is None else ac.read(validation, label="label")
        data = Data(ac.read(source, label="label"), held_out, ac.read(target[0]), None, None, task, task)
        settings = Training(**{"steps": 300, "learning_rate": 3e-3, **training})
        for stage in method.stages(data, False):
            if isinstance(stage, Loop):
                Trainer(model, stage, tune=Tune("full"), training=settings, place=CPU, seed=0).train()
            else:
                assert isinstance(stage, Adjust)
                record = stage.change(model, Reads(model))
                if said is not None:
                    said.append(record)
        return model

    return make


@pytest.fixture
def right() -> Callable[[Model, Pair], float]:
    """``right(model, (values, labels))``: accuracy."""

    def judge(model: Model, test: Pair) -> float:
        answers = model.task.decode(infer(model, ac.read(test[0]), CPU))
        return float((answers.prediction == test[1]).mean())

    return judge


@pytest.fixture
def solves(train, right) -> Callable[..., None]:
    """``solves(method, domain)``: above 0.9 on a target where source_only stays below 0.75.

    ``domain(where, seed)`` gives the pairs.
    """

    def check(method: Method, domain: Callable[..., Pair], **training: Any) -> None:
        source, target, test = domain("source"), domain("target"), domain("target", seed=1)
        assert right(train(SourceOnly(), source, target, **training), test) < 0.75
        assert right(train(method, source, target, **training), test) > 0.9

    return check


@pytest.fixture
def same_as_source_only(train) -> Callable[[Method], None]:
    """A method at strength 0 leaves the weights of source_only, bit for bit, with dropout and batch norm."""

    def check(method: Method) -> None:
        rng = np.random.default_rng(0)
        source = rng.normal(size=(64, 2)).astype(np.float32), np.array(["no", "yes"])[np.arange(64) % 2]
        target = rng.normal(2, 3, size=(64, 2)).astype(np.float32), source[1]

        def weights(kind: Method) -> dict[str, Tensor]:
            torch.manual_seed(0)
            layers = nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 8)
            return train(kind, source, target, network=nn.Sequential(*layers), steps=8, batch_size=16).state_dict()

        plain, same = weights(SourceOnly()), weights(method)
        assert [name for name, value in plain.items() if not torch.equal(value, same[name])] == []

    return check


@pytest.fixture
def points_of() -> Callable[..., Pair]:
    """`points` as arrays: ``points_of(where, seed)``. In the target ``x1`` says "yes" of every row."""

    def make(where: str, seed: int = 0, n: int = 400) -> Pair:
        rng = np.random.default_rng([seed, where == "source"])
        sign = np.where(np.arange(n) % 2, 1.0, -1.0)
        x0 = sign + rng.normal(0, 0.4, n)
        x1 = (sign if where == "source" else 1.75) + rng.normal(0, 0.5, n)
        return np.stack([x0, x1], axis=1).astype(np.float32), np.where(sign < 0, "no", "yes")

    return make
