"""Ranking: the items that a user will like, best first."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.backbones.towers import Tower, features
from acclimate.domains.domain import Domain, Rows
from acclimate.domains.interactions import ITEMS, KNOWN, SEEN
from acclimate.errors import DataError
from acclimate.tasks.answers import Answers, Metric
from acclimate.tasks.base import Kind, Task
from acclimate.tasks.metrics import Weighted
from acclimate.tasks.ranking import parsed, weighted_ranking
from acclimate.tasks.sites import Site

LONGEST = 100
"""Items of an answer at most."""
NEVER = -1e9
SCALE = 10.0


class Items(nn.Module):
    """Scores of all items: the product of a user's vector with each item's, and how popular the item is.

    Args:
        size: width of a user's vector.
        count: number of items.
        width: number of features of an item.
    """

    def __init__(self, size: int, count: int, width: int = 0):
        super().__init__()
        self.tower = Tower(count, size, width, start=0.1)
        self.bias = nn.Parameter(torch.zeros(count))

    def forward(self, users: Tensor) -> Tensor:
        """``[n, size] -> [n, items]``."""
        every = torch.arange(1, len(self.bias) + 1, device=users.device)
        return users @ self.tower(every).T + self.bias


@dataclass(frozen=True)
class Rank(Task):
    """A list of items for each user; softmax over all items of the domain that the user's hits are of.

    The loss is the mean negative log-likelihood of a user's hits (the multinomial of Liang et al., WWW 2018, eq. 2, of
    a linear model): all items that were not hit count as negatives, and none are sampled. Offered are the items of the
    target, or of the source where there is no target with labels, but for those that the user is known to have hit.

    Labels: the items that a user hit, as a JSON list.

    Attributes:
        items: all of both domains, by id.
        offered: places of the items that are offered.
        other: places of the items of the source, where these are others.
        features: what is known of each item ``[items, width]``; the head remembers it.
        width: number of these features.
    """

    items: tuple[str, ...]
    offered: tuple[int, ...]
    other: tuple[int, ...] = ()
    features: np.ndarray | None = field(default=None, compare=False, repr=False)
    width: int = 0

    name: ClassVar[str] = "rank"
    kind: ClassVar[Kind] = "text"
    structured: ClassVar[bool] = True
    primary: ClassVar[Metric] = Metric("ndcg_at_10")

    @classmethod
    def from_domain(cls, domain: Domain) -> Self:
        """The items that the domains' tables name.

        Raises:
            DataError: rows that are no users, or no labels.
        """
        if domain.schema.modality != "users" or KNOWN not in domain.tables:
            raise DataError(f"{domain.name}: rank needs interactions of users and items; say --user and --item")
        known, table = domain.tables[KNOWN], domain.tables[ITEMS]
        ours, theirs = (np.unique(known["item"][known["target"] == side]) for side in (False, True))
        told = features(table)
        offered, other = (theirs, ours) if len(theirs) else (ours, theirs)
        places = tuple(offered.tolist()), tuple(other.tolist())
        return cls(tuple(table.index), *places, told, told.shape[1])

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        places = tuple(config["offered"]), tuple(config["other"])
        return cls(tuple(config["items"]), *places, width=int(config["width"]))

    def head(self, size: int) -> nn.Module:
        """A vector and a popularity for each item."""
        head = Items(size, len(self.items), self.width)
        if self.features is not None:
            head.tower.know(self.features)
        return head

    def outputs(self, head: nn.Module, features: Tensor) -> dict[str, Tensor]:
        """``scores [n, items]``."""
        return {"scores": head(features)}

    def sites(self, features: Tensor, outputs: Mapping[str, Tensor]) -> dict[str, Site]:
        """One site, ``user``: one vector a row."""
        return {"user": Site(features, torch.arange(len(features), device=features.device))}

    def encode(self, labels: np.ndarray, rows: Rows | None = None) -> Tensor:
        """Places of the hits ``[n, most hits]`` int64, filled up with -1; items that nobody knows are left out."""
        found = [[self._places[item] for item in parsed(label) if item in self._places] for label in labels]
        longest = max((len(places) for places in found), default=0)
        padded = np.full((len(found), max(longest, 1)), -1, dtype=np.int64)
        for row, places in enumerate(found):
            padded[row, : len(places)] = places
        return torch.from_numpy(padded)

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        """``-log p(hit)`` summed over a row's hits ``[n]``, divided by ten so that rates suit it; 0 without a hit.

        A mean would weigh the hits of those who hit little more: what they like is not what most hits are.
        """
        scores, there = outputs["scores"], targets >= 0
        hits = targets.clamp(min=0)
        offered = self._mask(self.offered, scores.device)
        ours = (offered[hits] | ~there).all(1, keepdim=True)  # of the domain whose items are offered
        other = self._mask(self.other, scores.device) if self.other else torch.ones_like(offered)
        logits = scores.masked_fill(~torch.where(ours, offered, other), NEVER).log_softmax(-1)
        chosen = logits.gather(1, hits) * there
        return -chosen.sum(1) / SCALE

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        temperature: float = 1.0,
        offsets: Sequence[float] = (),
        rows: Rows | None = None,
    ) -> Answers:
        """The hundred best items of each row as a JSON list, without those that its column of seen items names."""
        offered = np.array(self.offered, dtype=np.int64)
        scores = np.asarray(outputs["scores"])[:, offered]
        names = np.array(self.items, dtype=object)[offered]
        seen = self._seen(rows, len(scores))
        order = np.argsort(-scores, axis=1, kind="stable")
        found = np.empty(len(scores), dtype=object)
        for row, hidden in enumerate(seen):
            best = names[order[row, : LONGEST + len(hidden)]]
            found[row] = json.dumps([item for item in best if item not in hidden][:LONGEST], ensure_ascii=False)
        return Answers(found)

    explained: ClassVar[str] = "log-probability of the item"
    one_of: ClassVar[str] = "item"

    @property
    def explainable(self) -> tuple[str, ...]:
        """The items that are offered."""
        return tuple(self.items[place] for place in self.offered)

    def goal(self, answer: Any, rows: Rows, inputs: Any) -> Any:
        """The place of the first item of a list, or of the one item, among those that are offered; None of an empty
        list, which is for one who had them all.
        """
        first = [answer] if answer in self._places else parsed(answer)[:1]
        return self.offered.index(self._places[first[0]]) if first else None

    def score(self, outputs: Mapping[str, Tensor], goal: Any) -> Tensor:
        """Log-probability of this item among all that are offered ``[n]``; 0 of none."""
        scores = outputs["scores"][:, list(self.offered)].log_softmax(-1)
        return scores.new_zeros(len(scores)) if goal is None else scores[:, goal]

    def weighted_metrics(self, answers: Answers, labels: np.ndarray) -> Weighted:
        """ndcg_at_10, recall_at_10, mrr and coverage."""
        lists, hits = ([parsed(text) for text in texts] for texts in (answers.prediction, labels))
        return weighted_ranking(lists, hits, len(self.offered))

    def config(self) -> dict[str, Any]:
        """Name, items, which are offered, and how many features each has."""
        places = {"offered": list(self.offered), "other": list(self.other)}
        return {"name": self.name, "items": list(self.items), **places, "width": self.width}

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.items)}

    def _mask(self, places: Sequence[int], device: torch.device) -> Tensor:
        mask = torch.zeros(len(self.items), dtype=torch.bool, device=device)
        mask[torch.tensor(places, dtype=torch.int64, device=device)] = True
        return mask

    @staticmethod
    def _seen(rows: Rows | None, count: int) -> list[set[str]]:
        frame = None if rows is None else rows.take(np.arange(count))
        if frame is None or SEEN not in frame:
            return [set() for _ in range(count)]
        return [set(parsed(text)) for text in frame[SEEN]]
