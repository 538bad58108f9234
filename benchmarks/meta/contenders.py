"""Training by everyone who is compared: second-order MAML and prototypical networks, the same arithmetic."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from acclimate.backbones.conv4 import Conv4
from acclimate.methods.meta.maml import MAML
from acclimate.methods.meta.protonet import ProtoNet
from acclimate.training.model import Model
from benchmarks.meta import peers
from benchmarks.meta.setup import RATE, WAYS, Given, episodes_of, network_of_the_papers, outer, with_head

Episode = tuple[Tensor, Tensor, Tensor, Tensor]
"""Support images and labels, query images and labels."""


class Contender(ABC):
    """Something that trains; the gradients of its last outer step stay with its parameters."""

    @abstractmethod
    def prepared(self, steps: int) -> Callable[[], Any]:
        """What takes so many outer steps, with all that need not be timed done before."""

    @abstractmethod
    def gradients(self) -> list[Tensor]:
        """Of the first outer step, computed in float64, in the order of our parameters."""


class Ours(Contender):
    """The training loop of `acclimate meta-train`, episodes, optimizer and bookkeeping included."""

    def __init__(self, given: Given):
        self.given, self.model = given, given.model()

    def prepared(self, steps: int) -> Callable[[], Any]:
        return self.given.trainer(self.model, steps).train

    def gradients(self) -> list[Tensor]:
        model = self.given.model()
        model.backbone.double().register_forward_pre_hook(_doubled)
        self.given.trainer(model, 1).train()
        return [value.grad for value in model.parameters() if value.grad is not None]


def _doubled(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return (inputs[0].double(), *inputs[1:])


class ByHand(Contender):
    """A loop over ready episodes, one backward pass a task."""

    def __init__(self, given: Given, task: Callable[[nn.Module, Episode], Tensor], network: nn.Module):
        self.task, self.network = task, network.train()
        batches = [episodes_of(batch) for batch in given.batches()]
        self.first, self.batches = batches[0], cycle(batches)
        self.optimizer = outer(list(network.parameters()))

    def prepared(self, steps: int) -> Callable[[], Any]:
        return lambda: self.take(steps)

    def take(self, steps: int) -> None:
        """So many outer steps."""
        for _ in range(steps):
            self.step(next(self.batches))

    def step(self, episodes: list[Episode]) -> None:
        """One outer step."""
        self.optimizer.zero_grad()
        for episode in episodes:
            (self.task(self.network, episode) / len(episodes)).backward()
        self.optimizer.step()

    def gradients(self) -> list[Tensor]:
        self.network.double()
        self.step([(s.double(), st, q.double(), qt) for s, st, q, qt in self.first])
        return [value.grad for value in self.network.parameters() if value.grad is not None]


@dataclass(frozen=True)
class ByLoop:
    """MAML as one writes it with torch alone."""

    steps: int

    def __call__(self, network: nn.Module, episode: Episode) -> Tensor:
        support, support_labels, query, query_labels = episode
        weights: Mapping[str, Tensor] = dict(network.named_parameters())
        for _ in range(self.steps):
            loss = F.cross_entropy(functional_call(network, dict(weights), (support,)), support_labels)
            slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
            weights = {name: value - RATE * s for (name, value), s in zip(weights.items(), slopes, strict=True)}
        return F.cross_entropy(functional_call(network, dict(weights), (query,)), query_labels)


class ByLearn2learn:
    """`learn2learn.algorithms.MAML`, as in its example of MAML on Omniglot."""

    def __init__(self, steps: int, network: nn.Module):
        self.steps = steps
        self.maml = peers.load("learn2learn").algorithms.MAML(network, lr=RATE, first_order=False)

    def __call__(self, network: nn.Module, episode: Episode) -> Tensor:
        support, support_labels, query, query_labels = episode
        learner = self.maml.clone()
        for _ in range(self.steps):
            learner.adapt(F.cross_entropy(learner(support), support_labels))
        return F.cross_entropy(learner(query), query_labels)


@dataclass(frozen=True)
class ByHigher:
    """`higher.innerloop_ctx`, as in its example of MAML on Omniglot."""

    steps: int

    def __call__(self, network: nn.Module, episode: Episode) -> Tensor:
        support, support_labels, query, query_labels = episode
        inner = torch.optim.SGD(network.parameters(), lr=RATE)
        with peers.load("higher").innerloop_ctx(network, inner, copy_initial_weights=False) as (learner, step):
            for _ in range(self.steps):
                step.step(F.cross_entropy(learner(support), support_labels))
            return F.cross_entropy(learner(query), query_labels)


class ByTorchopt:
    """`torchopt.MetaSGD`, as in its example of MAML on Omniglot."""

    def __init__(self, steps: int, network: nn.Module):
        self.steps, self.torchopt = steps, peers.load("torchopt")
        self.inner = self.torchopt.MetaSGD(network, lr=RATE)

    def __call__(self, network: nn.Module, episode: Episode) -> Tensor:
        support, support_labels, query, query_labels = episode
        kept = [self.torchopt.extract_state_dict(part, by="reference") for part in (network, self.inner)]
        for _ in range(self.steps):
            self.inner.step(F.cross_entropy(network(support), support_labels))
        loss = F.cross_entropy(network(query), query_labels)
        for part, state in zip((network, self.inner), kept, strict=True):
            self.torchopt.recover_state_dict(part, state)
        return loss


def together(network: nn.Module, episode: Episode) -> Tensor:
    """A prototypical network as one writes it: support and query pass together, a class's means, squared distances."""
    support, support_labels, query, query_labels = episode
    features = network(torch.cat([support, query]))
    return F.cross_entropy(
        -(torch.cdist(features[len(support) :], _means(features, support_labels)) ** 2), query_labels
    )


def apart(network: nn.Module, episode: Episode) -> Tensor:
    """The same, support and query normalised apart as easyfsl does it."""
    support, support_labels, query, query_labels = episode
    return F.cross_entropy(-(torch.cdist(network(query), _means(network(support), support_labels)) ** 2), query_labels)


def _means(features: Tensor, labels: Tensor) -> Tensor:
    return torch.stack([features[: len(labels)][labels == k].mean(0) for k in range(WAYS)])


def by_easyfsl(network: nn.Module, episode: Episode) -> Tensor:
    """`easyfsl.methods.PrototypicalNetworks`; it answers with minus the distance, which is squared here."""
    support, support_labels, query, query_labels = episode
    classifier = peers.load("easyfsl.methods").PrototypicalNetworks(network)
    classifier.process_support_set(support, support_labels)
    return F.cross_entropy(-(classifier(query) ** 2), query_labels)


def by_learn2learn(network: nn.Module, episode: Episode) -> Tensor:
    """`learn2learn.nn.PrototypicalClassifier` on one pass, as in its example of prototypical networks."""
    support, support_labels, query, query_labels = episode
    features = network(torch.cat([support, query]))
    classifier = peers.load("learn2learn").nn.PrototypicalClassifier(features[: len(support)], support_labels)
    return F.cross_entropy(classifier(features[len(support) :]), query_labels)


MAML_PEERS = {"learn2learn": ByLearn2learn, "higher": ByHigher, "torchopt": ByTorchopt}
PROTONET_PEERS = {"learn2learn": by_learn2learn, "easyfsl": by_easyfsl}


def maml(who: str, steps: int, tasks: int) -> Contender:
    """By one of `names`."""
    given = Given(MAML(steps=steps, rate=RATE), tasks)
    model = given.model()
    network = with_head(network_of_the_papers(model), model)
    if who == "ours":
        return Ours(given)
    if who == "loop":
        return ByHand(given, ByLoop(steps), network)
    if who == "loop, our network":
        return ByHand(given, ByLoop(steps), with_head(_Ours(model), model))
    make: Any = MAML_PEERS[who]
    return ByHand(given, make(steps) if who == "higher" else make(steps, network), network)


def protonet(who: str, tasks: int) -> Contender:
    """By one of `names`, or a loop that normalises support and query apart."""
    given = Given(ProtoNet(), tasks)
    model = given.model()
    if who == "ours":
        return Ours(given)
    if who == "loop, our network":
        return ByHand(given, together, _Ours(model))
    task = {"loop": together, "loop, apart": apart, **PROTONET_PEERS}[who]
    return ByHand(given, task, network_of_the_papers(model))


class _Ours(nn.Module):
    """Our backbone, as anybody's own loop may use it."""

    def __init__(self, model: Model):
        super().__init__()
        assert isinstance(model.backbone, Conv4)
        self.backbone = model.backbone

    def forward(self, images: Tensor) -> Tensor:
        return self.backbone.run(images)


def names(of_peers: Mapping[str, Any], found: Mapping[str, str]) -> Iterator[str]:
    """Everyone who can be measured."""
    yield from ("ours", "loop", "loop, our network")
    yield from (name for name in of_peers if not found[name].startswith("not installed"))
