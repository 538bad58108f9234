"""Texts that are longer than a network reads at once, by windows that overlap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

OVERLAP = 1 / 3
"""Share of a window's text that the next one has too, about that of Devlin et al. 2019 (128 of 384 tokens)."""


@dataclass(frozen=True)
class Windows:
    """Where the tokens of rows stand in windows.

    Attributes:
        rows: ``[w]`` the row of each window.
        tokens: ``[w, m]`` which token of its row stands at each place.
        there: ``[w, m]`` bool, False where a window is padded.
        share: ``[w, m]`` the part that a window has in what is said of a token; these add up to 1 for each token.
    """

    rows: Tensor
    tokens: Tensor
    there: Tensor
    share: Tensor

    def cut(self, values: Tensor, padding: int) -> Tensor:
        """Values of tokens ``[n, t]`` as those of windows ``[w, m]``."""
        return values[self.rows[:, None], self.tokens].masked_fill(~self.there, padding)

    def add(self, whole: Tensor, read: Tensor) -> None:
        """Add features of windows ``[w, m, d]`` to those of rows ``[n, t, d]``."""
        place = self.rows[:, None] * whole.shape[1] + self.tokens
        whole.flatten(0, 1).index_add_(0, place.flatten(), (read * self.share[..., None]).flatten(0, 1))

    def parts(self, count: int) -> Iterator[Windows]:
        """At most ``count`` windows at a time."""
        own = (self.rows, self.tokens, self.there, self.share)
        for several in zip(*(values.split(count) for values in own), strict=True):
            yield Windows(*several)


def windows(read: Tensor, text: Tensor, longest: int) -> Windows:
    """Windows of at most ``longest`` tokens: what stands around the text (question, marks) is in each, the text slides.

    A token of the text is taken from the window in which it has most text on both sides, what stands around it from all
    windows alike.

    Args:
        read: ``[n, t]`` bool, where a row has a token.
        text: ``[n, t]`` bool, which of these are of the text; they are neighbours.
        longest: more than the tokens around any text.
    """
    rows, places, shares = [], [], []
    for row, (here, inner) in enumerate(zip(read.cpu().numpy(), text.cpu().numpy(), strict=True)):
        own, around = np.flatnonzero(inner), np.flatnonzero(here & ~inner)
        room = longest - len(around)
        starts = _starts(len(own), room)
        best = _deepest(starts, len(own), room)
        for k, low in enumerate(starts):
            piece = own[low : low + room]
            window = np.sort(np.concatenate([around, piece]))
            share = np.where(inner[window], 0.0, 1 / len(starts))
            share[inner[window]] = best[low : low + room] == k
            rows.append(row)
            places.append(torch.from_numpy(window))
            shares.append(torch.from_numpy(share.astype(np.float32)))
    tokens = pad_sequence(places, batch_first=True, padding_value=-1)
    found = torch.tensor(rows), tokens.clamp(min=0), tokens >= 0, pad_sequence(shares, batch_first=True)
    return Windows(*(values.to(read.device) for values in found))


def _starts(count: int, room: int) -> np.ndarray:
    """Where windows of a text of ``count`` tokens begin, evenly spread."""
    beyond = max(0, count - room)
    steps = -(-beyond // max(1, room - int(room * OVERLAP)))
    return np.linspace(0, beyond, steps + 1).round().astype(np.int64)


def _deepest(starts: np.ndarray, count: int, room: int) -> np.ndarray:
    """For each token of the text, in which window it has most text on the side where it has least."""
    token = np.arange(count)
    return np.minimum(token - starts[:, None], starts[:, None] + room - 1 - token).argmax(axis=0)
