"""Which token stands for each word of a text."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_WORD = re.compile(r"\S+")


def first_tokens(texts: Sequence[str], places: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """The first token of each word, as in Devlin et al. (BERT, NAACL 2019, section 5.3); words end at white space.

    Args:
        texts: of n rows.
        places: ``[n, t, 2]``, the characters from which to which each token reaches.
        inside: ``[n, t]`` bool, which tokens are of the text.

    Returns:
        ``[n, w]`` int64, -1 where a word has no token (it was not read, or the tokenizer drops its characters) and
        beyond a row's last word; and the words' places ``[n, w, 2]``, -1 there.
    """
    found = [_row(text, *row) for text, *row in zip(texts, places.numpy(), inside.numpy(), strict=True)]
    most = max(1, *(len(first) for first, _ in found))
    tokens = torch.full((len(found), most), -1, dtype=torch.int64)
    spans = torch.full((len(found), most, 2), -1, dtype=torch.int64)
    for row, (first, span) in enumerate(found):
        tokens[row, : len(first)] = torch.from_numpy(first)
        spans[row, : len(first)] = torch.from_numpy(np.where(first[:, None] >= 0, span, -1))
    return tokens, spans


def _row(text: str, places: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    span = np.array([match.span() for match in _WORD.finditer(text)], dtype=np.int64).reshape(-1, 2)
    own = np.flatnonzero(inside)
    if not len(own):
        return np.full(len(span), -1), span
    low, high = places[own].T
    at = np.minimum(np.searchsorted(high, span[:, 0], side="right"), len(own) - 1)
    there = (high[at] > span[:, 0]) & (low[at] < span[:, 1])
    return np.where(there, own[at], -1), span
