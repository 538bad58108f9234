"""How alike two representations of the same rows are, and those of two networks, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from acclimate.backbones.base import Backbone
from acclimate.backbones.layers import move
from acclimate.domains.domain import Domain

FEWEST = 4
"""Rows below which the unbiased estimate is not defined."""
BATCH = 32


def linear_cka(first: np.ndarray, second: np.ndarray) -> float:
    """Linear centred kernel alignment of two representations ``[n, d]`` and ``[n, e]`` of the same rows.

    Kornblith et al., Similarity of Neural Network Representations Revisited, ICML 2019, eq. 3, with the unbiased
    estimate of HSIC (Song et al., JMLR 2012, eq. 5; Nguyen, Raghu & Kornblith, ICLR 2021): with few rows and many
    features the biased one finds everything alike.

    **Helps** to see which layers a training changed: rotations and scales of a whole layer count as no change.
    **Hurts** where a few directions of large variance hide what happens in the others.

    Returns:
        1 for representations that differ by a rotation and a scale, about 0 (and a little below at times) for
        independent ones; NaN where one does not vary.
    """
    own, other = _gram(first), _gram(second)
    scale = _hsic(own, own) * _hsic(other, other)
    return float(_hsic(own, other) / np.sqrt(scale)) if scale > 0 else float("nan")


def _gram(values: np.ndarray) -> np.ndarray:
    centred = values.astype(np.float64) - values.mean(axis=0, dtype=np.float64)
    gram = centred @ centred.T
    np.fill_diagonal(gram, 0.0)
    return gram


def _hsic(first: np.ndarray, second: np.ndarray) -> float:
    """Unbiased, of kernels ``[n, n]`` with empty diagonals."""
    n = len(first)
    sums = first.sum(axis=0), second.sum(axis=0)
    found = (first * second).sum() + sums[0].sum() * sums[1].sum() / ((n - 1) * (n - 2))
    return float((found - 2 * (sums[0] @ sums[1]) / (n - 2)) / (n * (n - 3)))


def same(first: Backbone, second: Backbone) -> bool:
    """Whether two networks have the same weights and statistics, bit for bit."""
    own, other = first.state_dict(), second.state_dict()
    return own.keys() == other.keys() and all(
        torch.equal(value.cpu(), other[name].cpu()) for name, value in own.items()
    )


@torch.no_grad()
def layers_of(backbone: Backbone, rows: Domain, layers: Sequence[str]) -> dict[str, np.ndarray]:
    """What each layer says of the rows, ``[n, size]`` float32, in evaluation mode and full precision."""
    backbone.eval()
    device = next((parameter.device for parameter in backbone.parameters()), torch.device("cpu"))
    parts: dict[str, list[np.ndarray]] = {layer: [] for layer in layers}
    for start in range(0, len(rows), BATCH):
        raw = rows.rows.take(np.arange(start, min(start + BATCH, len(rows))))
        said = backbone(move(backbone.collate(raw), device), list(layers))
        for layer in layers:
            parts[layer].append(said[layer].float().cpu().numpy())
    return {layer: np.concatenate(each) for layer, each in parts.items()}
