"""What a decoder said after which state: a memory of texts that its answers are mixed with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

AT_ONCE = 2**24
"""Distances that are computed at a time."""


class Datastore(nn.Module):
    """States of a decoder, each with the token that came next, and how answers are mixed with them.

    The search is exact, in one matrix product a step: meant for up to 100,000 tokens (some 3,000 sentences). What is
    saved is the states, one vector a token: 5 MB for 10,000 of width 128. Khandelwal et al., ICLR 2021, section 2.
    """

    keys: Tensor
    tokens: Tensor
    numbers: Tensor

    def __init__(
        self, keys: Tensor, tokens: Tensor, *, neighbours: int = 8, weight: float = 0.5, temperature: float = 10.0
    ):
        super().__init__()
        self.register_buffer("keys", keys)
        self.register_buffer("tokens", tokens)
        self.register_buffer("numbers", torch.tensor([neighbours, weight, temperature], dtype=torch.float64))

    @staticmethod
    def like(state: dict[str, Any], prefix: str) -> Datastore:
        """An empty one that this part of a state dict fits into."""
        return Datastore(torch.empty_like(state[f"{prefix}keys"]), torch.empty_like(state[f"{prefix}tokens"]))

    def nearest(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Squared distances ``[n, k]`` of the nearest keys to states ``[n, d]``, and their tokens ``[n, k]``."""
        k = min(int(self.numbers[0]), len(self.keys))
        size, found = max(1, AT_ONCE // len(self.keys)), []
        for some in states.float().split(size):
            found.append(torch.cdist(some, self.keys).square().topk(k, largest=False))
        distances, at = (torch.cat(parts) for parts in zip(*found, strict=True))
        return distances, self.tokens[at]

    def mixed(self, states: Tensor, scores: Tensor) -> Tensor:
        """Logits (or log-probabilities) ``[n, vocabulary]`` after states ``[n, d]``, mixed: log-probabilities.

        ``p = weight * p_kNN + (1 - weight) * p_model``, equation 3; tokens that may not come next stay so.
        """
        _, weight, temperature = self.numbers.tolist()
        if not weight:
            return scores
        distances, tokens = self.nearest(states)
        near = torch.zeros_like(scores).scatter_add_(1, tokens, shares(distances, temperature).to(scores.dtype))
        model = scores.log_softmax(1)
        mixed = ((1 - weight) * model.exp() + weight * near).log()
        return mixed.masked_fill(scores == -torch.inf, -torch.inf)


def shares(distances: Tensor, temperature: float) -> Tensor:
    """What each neighbour counts ``[n, k]``: ``softmax(-d / temperature)``, equation 2."""
    return (-distances / temperature).softmax(1)
