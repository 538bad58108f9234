"""Vectors of users or items: what is learned of each id, and what follows from its features."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from acclimate.backbones import column_encoder
from acclimate.domains import ids
from acclimate.domains.domain import Domain, Schema
from acclimate.domains.rows import FrameRows

UNIQUE = 0.5
"""A column of categories with more distinct ones than this share of its rows names things (titles) and is left out."""


class Tower(nn.Module):
    """``vector = embedding[id] + W features[id]``, for ids by number; 0 stands for one that nobody knows.

    An unknown id, and the embedding of one that training never sees, is zero: such a vector follows from features
    alone. Embeddings of items start small and random, those of users at zero, for a product of two zeros does not move.

    Args:
        count: number of known ids.
        size: width of the vectors.
        width: number of features; 0 for none.
        start: deviation of the embeddings at the start.
        hidden: share of the rows whose id is hidden while training, so that the rest learns to do without
            (DropoutNet, Volkovs et al., NeurIPS 2017, section 4.2).
    """

    features: Tensor

    def __init__(self, count: int, size: int, width: int = 0, start: float = 0.0, hidden: float = 0.0):
        super().__init__()
        self.hidden = hidden
        self.embedding = nn.Embedding(count + 1, size)
        self.register_buffer("features", torch.zeros(count + 1, width))
        self.side = nn.Linear(width, size, bias=False) if width else None
        with torch.no_grad():
            self.embedding.weight.normal_(0.0, start) if start else self.embedding.weight.zero_()
            self.embedding.weight[0] = 0.0
            if self.side is not None:
                self.side.weight.normal_(0.0, 0.1 / width**0.5)

    def know(self, features: np.ndarray) -> None:
        """Take the features ``[count, width]`` of the known ids."""
        self.features[1:] = torch.from_numpy(features)

    def forward(self, index: Tensor) -> Tensor:
        """``[n]`` int64 -> ``[n, size]``."""
        found = self.embedding(index)
        if self.training and self.hidden:
            found = found * (torch.rand(len(index), 1, device=found.device) >= self.hidden)
        return found if self.side is None else found + self.side(self.features[index])

    def terms(self, index: int) -> dict[str, Tensor]:
        """What the vector of an id is the sum of, ``[size]`` each: what is ``learned`` of it, and what follows from its
        ``features``; nothing of one that nobody knows.
        """
        if not index:
            return {}
        learned = self.embedding.weight[index]
        return {"learned": learned, **({} if self.side is None else {"features": self.side(self.features[index])})}


def features(table: pd.DataFrame) -> np.ndarray:
    """What a table tells of each id, as numbers ``[ids, width]`` float32 (`column_encoder`), in its order.

    Columns of categories that nearly every row has another of are left out: they name, and do not describe.
    """
    kept = [
        name
        for name in table
        if table[name].notna().any()
        and (table[name].dtype != object or table[name].nunique() <= UNIQUE * table[name].notna().sum())
    ]
    if not kept:
        return np.zeros((len(table), 0), dtype=np.float32)
    frame = table[kept].reset_index(drop=True)
    words = tuple(str(name) for name in kept if frame[name].dtype == object)
    domain = Domain(
        "side", Schema("table", tuple(map(str, kept)), categories=words), FrameRows(frame), ids.hash_frame(frame)
    )
    found = column_encoder.fit(domain).encode(frame)
    assert isinstance(found, np.ndarray)
    return found
