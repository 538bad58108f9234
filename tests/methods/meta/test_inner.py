"""The gradient through the inner loop, against finite differences in float64 and in all its forms."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, grad_and_value, vmap
from torch.nn import functional as F

from acclimate.methods.meta.inner import (
    Weights,
    adapt,
    batch_statistics,
    batched_gradient,
    gradient,
    mappable,
    task_loss,
)
from acclimate.methods.meta.maml import Sums
from acclimate.methods.meta.maml_pp import MAMLPP
from acclimate.methods.meta.meta_sgd import rate_key
from acclimate.methods.meta.proto_maml import gradient_through, prototype_head
from acclimate.methods.source_free.pieces import diversity, entropy

WAYS = 3


class Dropped(nn.Module):
    """Dropout whose mask is drawn once, so that a loss is a function of the weights."""

    def __init__(self, most_rows: int, size: int):
        super().__init__()
        self.kept = torch.rand(most_rows, size, generator=torch.Generator().manual_seed(7)) > 0.3

    def forward(self, values: Tensor) -> Tensor:
        return values * self.kept[: len(values)] / 0.7


def made_network(dropout: bool) -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten()]
    made = nn.Sequential(*layers, Dropped(9, 16) if dropout else nn.Identity(), nn.Linear(16, WAYS)).double()
    with torch.no_grad():
        made[1].weight.uniform_(0.5, 1.5)
        made[1].bias.uniform_(-0.5, 0.5)
    return made


@pytest.fixture(params=[False, True], ids=["no dropout", "dropout"])
def network(request: pytest.FixtureRequest) -> Iterator[nn.Module]:
    made = made_network(request.param)
    with batch_statistics(made):
        yield made


@pytest.fixture
def tasks() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Three tasks: support ``[3, 6, 1, 4, 4]``, query ``[3, 9, 1, 4, 4]``."""
    draw = torch.Generator().manual_seed(1)
    x, z = (torch.randn(3, n, 1, 4, 4, generator=draw, dtype=torch.float64) for n in (6, 9))
    y, t = (torch.stack([torch.randperm(n, generator=draw) % WAYS for _ in range(3)]) for n in (6, 9))
    return x, y, z, t


def loss_of(network: nn.Module, inputs: Tensor, targets: Tensor) -> Callable[[dict[str, Tensor]], Tensor]:
    return lambda weights: F.cross_entropy(functional_call(network, dict(weights), (inputs,)), targets)


def outer(network: nn.Module, weights, rates, x, y, z, t, **how) -> Tensor:
    return task_loss(loss_of(network, x, y), loss_of(network, z, t), weights, rates, **how)


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in network.named_parameters()}


def rates_of(steps: int) -> list[Tensor]:
    return [torch.tensor(0.4 + 0.1 * k, dtype=torch.float64) for k in range(steps)]


def finite_differences(
    function: Callable[[dict[str, Tensor]], Tensor], weights: dict[str, Tensor]
) -> dict[str, Tensor]:
    """The gradient by central differences with one step of Richardson's extrapolation."""

    def slope(name: str, place: int, width: float) -> Tensor:
        values = []
        for sign in (1, -1):
            moved = {**weights, name: weights[name].clone()}
            moved[name].view(-1)[place] += sign * width
            values.append(function(moved))
        return (values[0] - values[1]) / (2 * width)

    found = {}
    for name, value in weights.items():
        each = [(4 * slope(name, k, 5e-4) - slope(name, k, 1e-3)) / 3 for k in range(value.numel())]
        found[name] = torch.stack(each).view_as(value)
    return found


def furthest(first, second) -> float:
    return max((first[name] - second[name]).abs().max().item() for name in first)


@pytest.mark.parametrize("steps", [1, 5])
def test_second_order_gradient_is_that_of_finite_differences(network, tasks, steps):
    x, y, z, t = (part[0] for part in tasks)
    weights, rates = weights_of(network), rates_of(steps)
    value, (found, _) = gradient(loss_of(network, x, y), loss_of(network, z, t), weights, rates)
    function = partial(outer, network, rates=rates, x=x, y=y, z=z, t=t)
    expected = finite_differences(lambda moved: function(weights=moved).detach(), weights)
    assert value == pytest.approx(function(weights=weights).item(), abs=1e-12)
    assert furthest(found, expected) < 1e-8


@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("shares", [(), "all"], ids=["last step", "every step"])
def test_three_forms_agree(network, tasks, steps, first_order, shares):
    weights, rates = weights_of(network), rates_of(steps)
    how = {"first_order": first_order, "shares": [(k + 1) / steps for k in range(steps)] if shares else ()}
    loss = partial(outer, network, **how)
    walked = [
        gradient(loss_of(network, x, y), loss_of(network, z, t), weights, rates, **how)
        for x, y, z, t in zip(*tasks, strict=True)
    ]
    value = sum(one for one, _ in walked) / 3
    by_weight = {name: sum(both[0][name] for _, both in walked) / 3 for name in weights}
    by_rate = [sum(slopes.sum() for _, both in walked for slopes in both[1][k].values()) / 3 for k in range(steps)]
    with mappable(network):
        mean, (mapped, mapped_rates) = batched_gradient(loss, weights, rates, *tasks)
        _, (chunked, _) = batched_gradient(loss, weights, rates, *tasks, chunk=2)
    looped = [grad_and_value(loss, argnums=(0, 1))(weights, rates, *task) for task in zip(*tasks, strict=True)]
    reference = {name: sum(found[0][name] for found, _ in looped) / 3 for name in weights}
    assert furthest(by_weight, reference) < 1e-13
    assert furthest(mapped, reference) < 1e-13
    assert furthest(chunked, reference) < 1e-13
    assert value == pytest.approx(mean.item(), abs=1e-13)
    for k in range(steps):
        assert by_rate[k] == pytest.approx(mapped_rates[k].item(), abs=1e-13)


def test_order_matters(network, tasks):
    x, y, z, t = (part[0] for part in tasks)
    both = [
        gradient(loss_of(network, x, y), loss_of(network, z, t), weights_of(network), rates_of(1), first_order=order)
        for order in (False, True)
    ]
    assert furthest(both[0][1][0], both[1][1][0]) > 1e-2


def test_stock_batch_norm_under_vmap_is_wrong_and_ours_is_right(network, tasks):
    """The gradient of a loss mapped over tasks: torch 2.13 is wrong without an error; if this fails, it was mended."""
    weights, rates = weights_of(network), rates_of(1)
    loss = partial(outer, network)

    def mean(moved: Weights) -> Tensor:
        return vmap(loss, in_dims=(None, None, 0, 0, 0, 0))(moved, rates, *tasks).mean()

    def looped(moved: Weights) -> Tensor:
        return torch.stack([loss(moved, rates, *task).detach() for task in zip(*tasks, strict=True)]).mean()

    expected, stock = finite_differences(looped, weights), grad(mean)(weights)
    with mappable(network):
        ours = grad(mean)(weights)
        _, (mapped, _) = batched_gradient(loss, weights, rates, *tasks)
    assert furthest(ours, expected) < 1e-8
    assert furthest(mapped, expected) < 1e-8
    assert furthest(stock, expected) > 1e-5


def test_weights_without_a_rate_stay(network, tasks):
    """ANIL: only the head moves in the inner loop, and the body learns through it."""
    x, y, z, t = (part[0] for part in tasks)
    weights, rates = weights_of(network), [{"6.weight": 0.5, "6.bias": 0.5}] * 2
    _, (found, by_rate) = gradient(loss_of(network, x, y), loss_of(network, z, t), weights, rates)
    expected = finite_differences(lambda moved: outer(network, moved, rates, x, y, z, t).detach(), weights)
    assert furthest(found, expected) < 1e-8
    assert set(by_rate[0]) == {"6.weight", "6.bias"}
    assert found["0.weight"].abs().max() > 1e-3


def test_learned_rates_of_every_layer_and_step_under_a_multi_step_loss(tasks):
    """MAML++: rates through `Sums`, as the optimizer gets them, against finite differences."""
    network = made_network(dropout=False)
    x, y, z, t = (part[0] for part in tasks)
    learner, weights = MAMLPP(steps=3, loss_annealing=0.5), weights_of(network)
    made = {
        rate_key(name): nn.Parameter(torch.linspace(0.2, 0.5, 3, dtype=torch.float64) + 0.01 * k)
        for k, name in enumerate(weights)
    }
    parts = {"rates": nn.ParameterDict(made)}
    shares = learner.form(0.25)["shares"]
    assert shares == pytest.approx([1 / 6, 1 / 6, 2 / 3])
    rates = learner.rates(weights, parts, 3)
    sums = Sums(weights, rates)
    with batch_statistics(network):
        value, found = gradient(loss_of(network, x, y), loss_of(network, z, t), weights, rates, shares=shares)
    sums.add(*found)
    sums.known(value, 1).backward()

    def function(numbers: dict[str, Tensor]) -> Tensor:
        by_step = [{name: numbers[rate_key(name)][k] for name in weights} for k in range(3)]
        with batch_statistics(network):
            return outer(network, weights, by_step, x, y, z, t, shares=shares).detach()

    expected = finite_differences(function, {name: value.detach() for name, value in made.items()})
    assert furthest({name: value.grad for name, value in made.items()}, expected) < 1e-8
    assert (expected["6/weight"].abs() > 1e-6).all()


def test_a_rate_for_every_single_weight(network, tasks):
    """Meta-SGD: elementwise rates through `Sums`, against finite differences."""
    x, y, z, t = (part[0] for part in tasks)
    weights = weights_of(network)
    draw = torch.Generator().manual_seed(3)
    made = {
        name: (0.2 + 0.3 * torch.rand(weights[name].shape, generator=draw, dtype=torch.float64)).requires_grad_()
        for name in ("1.weight", "6.bias")
    }
    sums = Sums(weights, [made, made])
    value, found = gradient(loss_of(network, x, y), loss_of(network, z, t), weights, [made, made])
    sums.add(*found)
    sums.known(value, 1).backward()
    expected = finite_differences(
        lambda moved: outer(network, weights, [moved, moved], x, y, z, t).detach(),
        {name: value.detach() for name, value in made.items()},
    )
    assert furthest({name: value.grad for name, value in made.items()}, expected) < 1e-8


@pytest.mark.parametrize("steps", [1, 5])
def test_a_label_free_inner_loss_is_differentiated_through(network, tasks, steps):
    x, _, z, t = (part[0] for part in tasks)
    weights, rates = weights_of(network), rates_of(steps)

    def unlabelled(weights: Weights) -> Tensor:
        probs = functional_call(network, dict(weights), (x,)).softmax(-1)
        return entropy(probs) - diversity(probs)

    value, (found, _) = gradient(unlabelled, loss_of(network, z, t), weights, rates)
    some = {name: weights[name] for name in ("0.bias", "1.weight", "1.bias", "6.bias")}
    expected = finite_differences(
        lambda moved: task_loss(unlabelled, loss_of(network, z, t), {**weights, **moved}, rates).detach(), some
    )
    assert value == pytest.approx(task_loss(unlabelled, loss_of(network, z, t), weights, rates).item(), abs=1e-12)
    assert furthest(expected, found) < 1e-8
    assert expected["1.weight"].abs().max() > 1e-3


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_gradient_goes_back_through_the_beginning_from_prototypes(network, tasks, steps):
    """Proto-MAML: the head is a function of the body."""
    x, y, z, t = (part[0] for part in tasks)
    weights = {name: value for name, value in weights_of(network).items() if not name.startswith("6.")}
    rates = [0.05] * steps
    losses = loss_of(network, x, y), loss_of(network, z, t)

    def begin(here: Weights) -> Weights:
        weight, bias = prototype_head(functional_call(network[:6], dict(here), (x,)), y)
        return {**here, "6.weight": weight, "6.bias": bias}

    value, (found, _) = gradient_through(begin, *losses, weights, rates)
    expected = finite_differences(lambda moved: task_loss(*losses, begin(moved), rates).detach(), weights)
    assert value == pytest.approx(task_loss(*losses, begin(weights), rates).item(), abs=1e-12)
    assert set(found) == set(weights)
    assert furthest(found, expected) < 1e-8
    first, (approximate, _) = gradient_through(begin, *losses, weights, rates, first_order=True)
    assert first == pytest.approx(value.item(), abs=1e-12)
    assert (furthest(approximate, expected) > 1e-3) == (steps > 0)


def test_no_step_is_the_plain_gradient(network, tasks):
    x, y, z, t = (part[0] for part in tasks)
    weights = weights_of(network)
    value, (found, by_rate) = gradient(loss_of(network, x, y), loss_of(network, z, t), weights, [])
    expected, plain = grad_and_value(loss_of(network, z, t))(weights)
    assert (value, by_rate) == (plain, [])
    assert furthest(found, expected) < 1e-15


def test_query_rows_never_reach_the_adaptation(network, tasks):
    """Other query labels: another loss, the same adapted weights."""
    x, y, z, t = (part[0] for part in tasks)
    weights, rates = weights_of(network), rates_of(3)
    reached = list(adapt(loss_of(network, x, y), weights, rates))[-1]
    losses = [gradient(loss_of(network, x, y), loss_of(network, z, q), weights, rates)[0] for q in (t, (t + 1) % WAYS)]
    for value, labels in zip(losses, (t, (t + 1) % WAYS), strict=True):
        assert value == pytest.approx(loss_of(network, z, labels)(reached).item(), abs=1e-12)
    assert losses[0] != losses[1]


def test_running_statistics_stay(tasks):
    network = made_network(dropout=False)
    before = {name: value.clone() for name, value in network.named_buffers()}
    x, y = tasks[0][0], tasks[1][0]
    for block in (mappable, batch_statistics):
        with block(network):
            loss_of(network, x, y)(weights_of(network))
        for name, value in network.named_buffers():
            assert torch.equal(value, before[name])
    assert network[1].training
    assert network[1].track_running_stats
    assert "forward" not in vars(network[1])
