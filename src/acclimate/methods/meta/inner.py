"""The inner loop of gradient-based meta-learning, and the gradient through it, in three forms that agree.

A task's weights start at ``w_0`` and take K steps down the support loss S, ``w_{k+1} = w_k - a_k * grad S(w_k)``; the
outer loss is that of the query rows at the weights that were reached (Finn et al., Model-Agnostic Meta-Learning, ICML
2017, eq. 1). Its gradient goes back through the steps:

    v_K = grad Q(w_K),    v_k = v_{k+1} - H_k (a_k * v_{k+1}) + m_k grad Q(w_k),    da_k = -v_{k+1} * grad S(w_k)

with H_k the Hessian of S at ``w_k`` and m_k the weight that a multi-step loss gives to step k (0 in MAML). The
first-order form leaves H_k out.

- `task_loss` is a plain function of the weights: any torch transform differentiates it, and it is the reference.
- `batched_gradient` maps it over tasks at once (`torch.func.vmap`): for accelerators, whose time goes into launches.
- `gradient` walks back step by step with Hessian-vector products, one task in memory: for CPUs.

Example:
    >>> losses, (weights, rates) = gradient(support, query, dict(net.named_parameters()), [0.1] * 5)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import grad, grad_and_value, vmap
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_map

Weights = Mapping[str, Tensor]
Loss = Callable[[Weights], Tensor]
Rates = Sequence[Any]
"""For each inner step a number, or a mapping from a weight's name to a number or a tensor of the weight's shape; what a
mapping does not name stays as it is."""
Both = tuple[dict[str, Tensor], list[dict[str, Tensor]]]
"""Gradients by weights and, for each step, by rates (the elementwise one, to be summed to a rate's own shape)."""


def adapt(loss: Loss, weights: Weights, rates: Rates, first_order: bool = False) -> Iterator[Weights]:
    """The weights after each inner step, as differentiable functions of ``weights`` (for `torch.func` transforms).

    Args:
        loss: of the support rows.
        weights: ``w_0``, name -> tensor.
        rates: one entry a step.
        first_order: take the steps' gradients as constants.
    """
    for rate in rates:
        slopes = grad(loss)(weights)
        if first_order:
            slopes = {name: slope.detach() for name, slope in slopes.items()}
        weights = {name: _stepped(value, slopes[name], _rate(rate, name)) for name, value in weights.items()}
        yield weights


def task_loss(
    support: Loss,
    query: Loss,
    weights: Weights,
    rates: Rates,
    *,
    first_order: bool = False,
    shares: Sequence[float] = (),
) -> Tensor:
    """The outer loss of one task: that of the query rows after the last step, or over steps by ``shares [K]``."""
    shares = shares or _last(rates)
    total = None
    for share, reached in zip(shares, adapt(support, weights, rates, first_order), strict=True):
        if share:
            total = share * query(reached) + (0 if total is None else total)
    return query(weights) if total is None else total


def gradient(
    support: Loss,
    query: Loss,
    weights: Weights,
    rates: Rates,
    *,
    first_order: bool = False,
    shares: Sequence[float] = (),
) -> tuple[Tensor, Both]:
    """The outer loss of one task and its gradients, by Hessian-vector products: exact, and never differentiated again.

    Only one step's graph is walked at a time, and the query loss needs no second derivative.

    Args:
        support: loss of the support rows as a function of weights.
        query: the same of the query rows.
        weights: ``w_0``.
        rates: one entry a step.
        first_order: leave the Hessians out (FOMAML).
        shares: ``[K]`` weights of the query losses after each step; the last one alone by default.

    Returns:
        The loss (a scalar without graph); gradients by name; and for each step the gradient by rate, elementwise.
    """
    shares = shares or _last(rates)
    here, tape = _leaves(weights), []
    for rate in rates:
        moving = [name for name in here if _rate(rate, name) is not None]
        slopes = torch.autograd.grad(
            support(here), [here[name] for name in moving], create_graph=not first_order, materialize_grads=True
        )
        tape.append((here, dict(zip(moving, slopes, strict=True))))
        with torch.no_grad():
            known = tape[-1][1]
            here = _leaves({n: _stepped(v, known[n], _rate(rate, n)) if n in known else v for n, v in here.items()})
    total, back = torch.zeros(()), {name: torch.zeros_like(value) for name, value in here.items()}
    by_rate: list[dict[str, Tensor]] = []
    for k in range(len(rates), 0, -1):
        total = total + _add_query(query, here, shares[k - 1], back)
        here, slopes_of = tape[k - 1]
        by_rate.append({name: -back[name] * slope.detach() for name, slope in slopes_of.items()})
        if not first_order:
            _add_curvature(here, slopes_of, rates[k - 1], back)
    if not rates:
        total = total + _add_query(query, here, 1.0, back)
    return total, (back, by_rate[::-1])


def batched_gradient(
    loss: Callable[..., Tensor], weights: Weights, rates: Any, *tasks: Any, chunk: int | None = None
) -> tuple[Tensor, Any]:
    """Mean loss over tasks and its gradients by (weights, rates), all tasks at once.

    The model that ``loss`` runs must be inside `mappable`, for batch norm under `torch.func.vmap` has a trap.

    Args:
        loss: of weights, rates and the tensors of one task; built from `task_loss`.
        weights: ``w_0``.
        rates: tensors (or nested mappings and lists of them) of what the inner loop takes.
        tasks: tensors whose first dimension is the task.
        chunk: so many tasks at a time; memory grows with it.
    """
    one = grad_and_value(loss, argnums=(0, 1))
    over = vmap(one, in_dims=(None, None, *(0 for _ in tasks)), chunk_size=chunk, randomness="different")
    found, losses = over(weights, rates, *tasks)
    return losses.mean(), tree_map(lambda value: value.mean(0), found)


@contextmanager
def mappable(model: nn.Module) -> Iterator[None]:
    """Inside the block batch norms normalise by the batch at hand, in a form that `torch.func.vmap` takes.

    Differentiating a loss that is mapped over tasks and holds an inner gradient of `F.batch_norm` with scale and shift
    gives wrong second-order gradients (torch 2.13, no error; ``vmap(grad(...))`` of the whole task's loss is right), so
    they are applied outside of it, and every order of transforms is right. Running statistics are neither read nor
    moved.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        norm.forward = MethodType(_normalise, norm)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward


@contextmanager
def batch_statistics(model: nn.Module) -> Iterator[None]:
    """Inside the block batch norms normalise by the batch at hand, and running statistics stay as they are."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    before = [(norm.training, norm.track_running_stats) for norm in norms]
    for norm in norms:
        norm.training, norm.track_running_stats = True, False
    try:
        yield
    finally:
        for norm, (training, tracking) in zip(norms, before, strict=True):
            norm.training, norm.track_running_stats = training, tracking


def _normalise(self: _BatchNorm, values: Tensor) -> Tensor:
    flat = F.batch_norm(values, None, None, None, None, True, 0.0, self.eps)
    if self.weight is None:
        return flat
    shape = (1, -1, *(1 for _ in values.shape[2:]))
    return flat * self.weight.view(shape) + self.bias.view(shape)


def _last(rates: Rates) -> list[float]:
    """All weight on the last step."""
    return [0.0] * (len(rates) - 1) + [1.0] * bool(rates)


def _rate(rate: Any, name: str) -> Any:
    return rate.get(name) if isinstance(rate, Mapping) else rate


def _stepped(value: Tensor, slope: Tensor, rate: Any) -> Tensor:
    return value if rate is None else value - rate * slope


def _leaves(weights: Weights) -> dict[str, Tensor]:
    return {name: value.detach().requires_grad_() for name, value in weights.items()}


def _add_query(query: Loss, here: Weights, share: float, back: dict[str, Tensor]) -> Tensor:
    """Add the gradient of ``share`` times the query loss; returns that loss."""
    if not share:
        return torch.zeros(())
    value = query(here)
    for name, slope in zip(here, torch.autograd.grad(value, list(here.values()), materialize_grads=True), strict=True):
        back[name] = back[name] + share * slope
    return share * value.detach()


def _add_curvature(here: Weights, slopes: Weights, rate: Any, back: dict[str, Tensor]) -> None:
    """Take ``H (a * v)`` off; a weight that the slopes do not depend on has none."""
    moved = [slope for slope in slopes.values() if slope.requires_grad]
    pull = [_detached(_rate(rate, name)) * back[name] for name, slope in slopes.items() if slope.requires_grad]
    if not moved:
        return
    curved = torch.autograd.grad(moved, list(here.values()), pull, allow_unused=True)
    for name, value in zip(here, curved, strict=True):
        if value is not None:
            back[name] = back[name] - value


def _detached(rate: Any) -> Any:
    return rate.detach() if isinstance(rate, Tensor) else rate
