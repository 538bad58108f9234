"""What writes texts: the part of a network behind its encoder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.backbones.datastore import Datastore

IGNORED = -100
"""The id where a text has no token."""


class Writer(nn.Module):
    """The decoder of a network, as the head of tasks that write.

    Its weights are the backbone's, and are trained, adapted and saved as part of that: here are none of them.

    Attributes:
        remembers: whether what it writes may be mixed with a `Datastore`, and `states` says of what.
        datastore: which is saved with the model, and is not a part of the backbone: a later run starts without.
    """

    remembers: ClassVar[bool] = False
    datastore: Datastore | None

    def __init__(self) -> None:
        super().__init__()
        self.datastore = None

    @abstractmethod
    def teach(self, values: Tensor, mask: Tensor, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """What the network says of each token of the texts, given those before it.

        Args:
            values: ``[n, t, d]``, what the encoder says of each row.
            mask: ``[n, t]`` bool, where there is something.
            texts: one for each row.

        Returns:
            Logits ``[n, tokens, vocabulary]``, and the ids ``[n, tokens]`` that are right; `IGNORED` beyond a text.
        """

    def nats(self, values: Tensor, mask: Tensor, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """How unlikely the texts are, in nats ``[n]``, and their tokens ``[n]``."""
        return unlikely(*self.teach(values, mask, texts))

    @abstractmethod
    def write(self, values: Tensor, mask: Tensor) -> tuple[list[str], Tensor]:
        """A text for each row, and the mean log-probability ``[n]`` of its tokens."""

    def states(self, values: Tensor, mask: Tensor, texts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        """Of each token of the texts, one after the other: the state ``[m, d]`` before it, the logits there
        ``[m, vocabulary]``, and its id ``[m]``.
        """
        raise TypeError(f"{type(self).__name__} keeps no states of its tokens")

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        if self.datastore is None and f"{prefix}datastore.keys" in state:
            self.datastore = Datastore.like(state, f"{prefix}datastore.")
        super()._load_from_state_dict(state, prefix, *rest)


def unlikely(logits: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of ids ``[n, t]`` under logits ``[n, t, vocabulary]``, summed over tokens ``[n]``, and how many."""
    each = F.cross_entropy(logits.transpose(1, 2), ids, ignore_index=IGNORED, reduction="none")
    return each.sum(1), (ids != IGNORED).sum(1)


def mean_to_end(scores: Tensor, written: Tensor, end: int | list[int]) -> Tensor:
    """Mean ``[n]`` of the scores of tokens ``[n, t]`` up to the first that ends a text."""
    ends = torch.isin(written, torch.as_tensor(end, device=written.device)).long()
    there = ends.cumsum(1) - ends == 0
    return scores.masked_fill(~there, 0.0).sum(1) / there.sum(1)
