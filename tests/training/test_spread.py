"""Work that is spread over threads gives the bits of one thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.func import functional_call

from acclimate.training.spread import spread


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def network(dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 32), nn.Dropout(dropout), nn.BatchNorm1d(32), nn.Tanh(), nn.Linear(32, 1))


def slopes(
    model: nn.Module, items: list[torch.Tensor], seen: set[str] | None = None, met: threading.Barrier | None = None
) -> list[torch.Tensor]:
    """Gradients of each item; a thread is ``seen``, and waits at the barrier when it first comes."""
    weights = {name: value.detach().requires_grad_() for name, value in model.named_parameters()}

    def one(own: nn.Module, values: torch.Tensor) -> torch.Tensor:
        if seen is not None and (name := threading.current_thread().name) not in seen:
            seen.add(name)
            if met is not None:
                met.wait(60)
        moved = {name: value * (1 + values.mean()) for name, value in weights.items()}
        loss = functional_call(own, moved, (values,)).square().mean()
        return torch.cat([slope.flatten() for slope in torch.autograd.grad(loss, list(weights.values()))])

    return spread(one, model, items)


def items() -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    return [torch.randn(64, 6, generator=draw) for _ in range(7)]


def test_two_threads_give_the_bits_of_one(two_threads):
    model, seen = network(), set()
    slopes(model, items())  # the first call finds out whether anything is drawn
    found = slopes(model, items(), seen, threading.Barrier(2))  # on a busy machine one could do it all before the other
    assert len(seen) == 2
    assert threading.current_thread().name not in seen
    torch.set_num_threads(1)
    for one, other in zip(found, slopes(model, items()), strict=True):
        assert torch.equal(one, other)
    assert found[0].abs().max() > 1e-3


def test_weights_are_those_that_are_passed(two_threads):
    """Replicas are made once; a step later the model has other weights."""
    model = network()
    for _ in range(2):
        slopes(model, items())
    with torch.no_grad():
        model[0].weight.add_(0.1)
    found = slopes(model, items())
    torch.set_num_threads(1)
    for one, other in zip(found, slopes(model, items()), strict=True):
        assert torch.equal(one, other)


def test_what_draws_stays_in_one_thread(two_threads):
    model = network(0.5)
    drawn = []
    for _ in range(3):
        torch.manual_seed(3)
        seen: set[str] = set()
        drawn.append(torch.stack(slopes(model, items(), seen)))
        assert seen == {threading.current_thread().name}
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])


def test_replicas_follow_the_mode(two_threads):
    model = network()
    for _ in range(2):
        trained = slopes(model, items())
    model.eval()
    found = slopes(model, items())
    torch.set_num_threads(1)
    assert torch.equal(found[0], slopes(model, items())[0])
    assert not torch.equal(found[0], trained[0])


def test_an_error_comes_through(two_threads):
    model = network()

    def fails(own: nn.Module, values: torch.Tensor) -> None:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            spread(fails, model, items())
    assert torch.get_num_threads() == 2
