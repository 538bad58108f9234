"""Scores of the parts of a row: integrated gradients where there are gradients, occlusion elsewhere. By Captum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from acclimate.backbones.parts import Parts, Smooth
from acclimate.errors import MissingAssetError

How = Literal["integrated_gradients", "occlusion"]
Score = Callable[[Any], Tensor]
"""Collated inputs of n versions of a row to the score of each ``[n]``."""
STEPS = 32
"""Points of the integral: Gauss-Legendre quadrature is exact for polynomials of degree 63."""
TOGETHER = 32
"""Versions of a row that go through the network together."""


def method_of(score: Score, parts: Parts) -> How:
    """Integrated gradients, where the score has a gradient with respect to a row's numbers: a forest's has none."""
    if parts.smooth is None or not len(parts):
        return "occlusion"
    with torch.enable_grad():
        found = score(parts.smooth.inputs(parts.smooth.values.clone().requires_grad_()))
    return "integrated_gradients" if found.requires_grad else "occlusion"


def attribute(score: Score, parts: Parts, how: How | None = None) -> np.ndarray:
    """What each part of a row adds to the score ``[parts]``.

    Args:
        score: of versions of the row.
        parts: of it.
        how: integrated gradients need `Parts.smooth`; None takes what `method_of` says.

    Raises:
        MissingAssetError: Captum is not installed.
    """
    if not len(parts):
        return np.zeros(0)
    if (how or method_of(score, parts)) == "occlusion":
        return occlusion(score, parts)
    assert parts.smooth is not None
    return parts.smooth.summed(integrated_gradients(score, parts.smooth)[0], len(parts))


def integrated_gradients(score: Score, smooth: Smooth, steps: int = STEPS) -> tuple[np.ndarray, float]:
    """The integral of the gradient along the straight way from the baseline, times the way.

    Sundararajan, Taly & Yan, Axiomatic Attribution for Deep Networks, ICML 2017, eq. 1. It **helps** where the network
    is smooth: scores add up to the difference between the row and its baseline (completeness), and of a linear model
    each is its weight times the way. It **hurts** where the way leads through inputs that no row is like.

    Returns:
        A score of each number of the row, of the shape of ``smooth.values[0]``, and by how much their sum misses the
        difference of the scores.
    """
    forward = _captum().IntegratedGradients(lambda values: score(smooth.inputs(values)))
    found, missed = forward.attribute(
        smooth.values, smooth.baseline, n_steps=steps, internal_batch_size=TOGETHER, return_convergence_delta=True
    )
    return found[0].detach().double().numpy(), float(missed[0])


def occlusion(score: Score, parts: Parts) -> np.ndarray:
    """By how much the score falls when a part is left out and all others stay ``[parts]``.

    Zeiler & Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014, section 3. It **helps** with any
    network. It **hurts** where two parts say the same: without either the score stays, so that neither gets any.
    """
    every = torch.ones(1, len(parts))
    forward = _captum().FeatureAblation(lambda kept: _scored(score, parts, kept.bool().numpy()))
    found = forward.attribute(every, baselines=0.0, perturbations_per_eval=TOGETHER)
    return np.asarray(found[0].double().numpy())


def scored(score: Score, parts: Parts, kept: np.ndarray) -> np.ndarray:
    """The scores of versions of a row with these parts kept ``[k, parts]``, ``[k]``."""
    pieces = [kept[start : start + TOGETHER] for start in range(0, len(kept), TOGETHER)]
    return np.concatenate([_scored(score, parts, piece).double().numpy() for piece in pieces])


def _scored(score: Score, parts: Parts, kept: np.ndarray) -> Tensor:
    with torch.no_grad():
        return score(parts.inputs(kept)).detach().float().cpu()


def _captum() -> Any:
    try:
        from captum import attr
    except ImportError:
        raise MissingAssetError(
            "explanations are made by the extra 'explain': pip install 'acclimate[explain]'"
        ) from None
    return attr
