"""Users and items as vectors, learned from scratch: one tower for each (Yi et al., RecSys 2019, figure 1)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from acclimate.backbones.base import Backbone, Spec
from acclimate.backbones.parts import Parts
from acclimate.backbones.towers import Tower, features
from acclimate.domains.domain import Domain, Modality
from acclimate.domains.interactions import ITEMS, KNOWN, USERS
from acclimate.errors import DataError
from acclimate.files import write_json
from acclimate.settings import as_dict, build, within

IDS = "ids.json"
PACE = {True: (0.03, 3.0), False: (0.01, 1.0)}
"""Rate and decay, with and without history: vectors of few rows each need large steps, and decay alone holds them."""
BATCH = {"users": 32, "pairs": 512}


@dataclass(frozen=True)
class Settings:
    """Size of the vectors, and what they follow from.

    Attributes:
        size: width of a vector.
        side: whether vectors follow from the tables of users and items too, and not from ids alone.
        start: deviation of the items' embeddings at the start.
        hidden: share of the rows whose user is hidden while training: what users without a vector are answered
            (their features, and what everybody likes) is learned on these.
        history: whether a user's vector follows from the items of the source that are known of him too (as in
            autoencoders, Liang et al., WWW 2018), so that cold users of the target need no vector of their own.
    """

    size: int = 32
    side: bool = True
    start: float = 0.1
    hidden: float = 0.2
    history: bool = True


class History(nn.Module):
    """The sum of a vector of each item that is known of a user, over the square root of their number."""

    def __init__(self, items: int, size: int):
        super().__init__()
        self.vectors = nn.EmbeddingBag(items, size, mode="sum")
        with torch.no_grad():
            self.vectors.weight.normal_(0.0, 0.01)

    def forward(self, users: Tensor, starts: Tensor, items: Tensor) -> Tensor:
        """``[n]`` users, whose items are those from ``starts[user]`` on to the next start -> ``[n, size]``."""
        low, high = starts[users.cpu()], starts[users.cpu() + 1]
        counts = high - low
        offsets = counts.cumsum(0) - counts
        places = torch.arange(int(counts.sum())) + torch.repeat_interleave(low - offsets, counts)
        device = users.device
        summed = self.vectors(items[places].to(device), offsets.to(device))
        return summed / counts.clamp(min=1).sqrt().to(device)[:, None]


class TwoTower(Backbone):
    """Ids -> vectors. Layers: ``user`` of rows that are users, ``pair`` (user, then item) of rows that are pairs.

    It knows the users and items of the domains' tables, and so also what no row speaks of. Items have a tower of their
    own where rows are pairs; where rows are users, the head of the task scores items. What is known of who hit what
    comes along: a user is not offered what he had, and the plain baselines need nothing else.

    Helps with tens of interactions or more for most users and items. Hurts where most have a few: a vector is then
    mostly noise, and what everybody likes is the better answer.
    """

    kind = "two_tower"
    known_user: Tensor
    known_item: Tensor
    known_value: Tensor
    known_target: Tensor

    def __init__(self, modality: Modality, settings: Settings, seed: int):
        super().__init__()
        within(settings, size="[1, inf)", start="(0, inf)", hidden="[0, 1)")
        self.settings, self._seed = settings, seed
        layers = {"user": settings.size} if modality == "users" else {"pair": 2 * settings.size}
        self.spec = Spec(
            "two_tower",
            modality,
            layers,
            next(iter(layers)),
            pretrained=False,
            learning_rate=PACE[settings.history][0],
            training={"weight_decay": PACE[settings.history][1], "batch_size": BATCH[modality]},
        )
        self.names: dict[str, list[str]] = {USERS: [], ITEMS: []}
        self.places: dict[str, dict[str, int]] = {USERS: {}, ITEMS: {}}
        self.widths: dict[str, int] = {USERS: 0, ITEMS: 0}
        self.towers = nn.ModuleDict()
        self.history: History | None = None
        self._source: tuple[Tensor, Tensor] | None = None

    def fit(self, domain: Domain) -> None:
        if KNOWN not in domain.tables:
            raise DataError(f"{domain.name}: two_tower reads users and items; say --user and --item")
        side = {}
        for what in (USERS, ITEMS):
            table = domain.tables[what]
            self.names[what] = table.index.to_list()
            side[what] = features(table if self.settings.side else table[[]])
            self.widths[what] = side[what].shape[1]
        known = domain.tables[KNOWN]
        self._build(len(known))
        for what, name in zip((USERS, ITEMS), self.towers, strict=False):
            self._tower(name).know(side[what])
        for name in ("user", "item", "value", "target"):
            getattr(self, f"known_{name}").copy_(torch.from_numpy(known[name].to_numpy().copy()))

    def collate(self, raw: pd.DataFrame, *, training: bool = False, rng: np.random.Generator | None = None) -> Tensor:
        """Numbers of the ids ``[n]``, or ``[n, 2]`` of pairs; 0 for one that is not known."""
        columns = [self.places[what] for what, _ in zip((USERS, ITEMS), self.towers, strict=False)]
        index = [[places.get(name, 0) for name in raw.iloc[:, k]] for k, places in enumerate(columns)]
        found = torch.tensor(index, dtype=torch.int64).reshape(len(columns), len(raw)).T.contiguous()
        return found[:, 0] if self.spec.modality == "users" else found

    @torch.no_grad()
    def parts(self, raw: pd.DataFrame) -> Parts:
        """What is learned of the user, what follows from his features, and each item of the source that is known of
        him; of pairs the same of the item.
        """
        user, *item = self.collate(raw).reshape(-1).tolist()
        terms = [(f"{name} of the user", vector) for name, vector in self.users.terms(user).items()]
        items: list[int] = []
        if self.history is not None:
            starts, known = self.source
            items = known[starts[user] : starts[user + 1]].tolist()
            terms += [(self.names[ITEMS][k], self.history.vectors.weight[k]) for k in items]
        first = len(terms)
        if item:
            terms += [(f"{name} of the item", vector) for name, vector in self.items.terms(item[0]).items()]
        names = [name for name, _ in terms]
        every = torch.stack([vector.cpu() for _, vector in terms]) if terms else torch.zeros(0, self.settings.size)
        heard = torch.zeros(len(terms), dtype=torch.bool)
        heard[first - len(items) : first] = True

        def without(kept: np.ndarray) -> dict[str, Tensor]:
            stays = torch.from_numpy(kept).float()
            stays[:, heard] /= stays[:, heard].sum(1, keepdim=True).clamp(min=1).sqrt()
            ends = [0, first, len(terms)] if item else [0, first]
            return {"vectors": torch.cat([stays[:, a:b] @ every[a:b] for a, b in pairwise(ends)], dim=1)}

        cells = ["known of the user" if known else "" for known in heard.tolist()]
        return Parts("interactions", tuple(names), tuple(names), without, None, {"cells": cells})

    def forward(self, inputs: Any, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        asked = [self.check_layer(layer) for layer in (layers or [self.spec.default])]
        if isinstance(inputs, Mapping):  # of `parts`
            given: Tensor = inputs["vectors"]
            return dict.fromkeys(asked, given)
        index = inputs if self.spec.modality == "users" else inputs[:, 0]
        vectors = self.users(index)
        if self.history is not None:
            vectors = vectors + self.history(index, *self.source)
        if self.spec.modality == "pairs":
            vectors = torch.cat([vectors, self._tower("item")(inputs[:, 1])], dim=1)
        return {layer: vectors.float() for layer in asked}

    @property
    def source(self) -> tuple[Tensor, Tensor]:
        """`by_user`, found once."""
        if self._source is None:
            self._source = self.by_user()
        return self._source

    def by_user(self) -> tuple[Tensor, Tensor]:
        """Items of the source by user: where those of each begin ``[users + 2]``, and the items; of 0 there are none.

        Without a target there are none at all: what is to be told would be among what it is told from.
        """
        known, users = self.known(False), len(self.names[USERS])
        if not self.known_target.any():
            known = {name: values[:0] for name, values in known.items()}
        order = np.argsort(known["user"], kind="stable")
        starts = np.searchsorted(known["user"][order], np.arange(-1, users + 1))
        return torch.from_numpy(starts), torch.from_numpy(known["item"][order])

    @property
    def users(self) -> Tower:
        """The tower of the users, whose ids `collate` gives first."""
        return self._tower("user")

    @property
    def items(self) -> Tower:
        """The tower of the items, where rows are pairs."""
        return self._tower("item")

    def _tower(self, name: str) -> Tower:
        tower = self.towers[name]
        assert isinstance(tower, Tower)
        return tower

    def known(self, target: bool | None = None) -> dict[str, np.ndarray]:
        """Interactions that training was told of: places of ``user`` and ``item`` in `names`, and ``value``.

        ``target`` asks for those of the target (or of the source) alone.
        """
        of = {name: getattr(self, f"known_{name}").cpu().numpy() for name in ("user", "item", "value", "target")}
        keep = np.ones(len(of["user"]), dtype=bool) if target is None else of["target"] == target
        return {name: of[name][keep] for name in ("user", "item", "value")}

    def hits(self) -> dict[str, list[str]]:
        """Items by user that training was told of."""
        items, found = self.names[ITEMS], self.known()
        hits: dict[str, list[str]] = {}
        for user, item in zip(found["user"].tolist(), found["item"].tolist(), strict=True):
            hits.setdefault(self.names[USERS][user], []).append(items[item])
        return hits

    def lora_targets(self) -> list[str]:
        return []

    def config(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "modality": self.spec.modality,
            "settings": as_dict(self.settings),
            "widths": self.widths,
            "known": len(self.known_user) if self.towers else 0,
        }

    def assets(self, folder: Path) -> None:
        write_json(folder / IDS, self.names)

    def _build(self, known: int) -> None:
        self.places = {what: {name: k + 1 for k, name in enumerate(names)} for what, names in self.names.items()}
        self._source = None
        size = self.settings.size
        options = {"user": {"hidden": self.settings.hidden}, "item": {"start": self.settings.start}}
        read = zip((USERS, ITEMS), options if self.spec.modality == "pairs" else ["user"], strict=False)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            self.towers = nn.ModuleDict(
                {name: Tower(len(self.names[what]), size, self.widths[what], **options[name]) for what, name in read}
            )
            if self.settings.history:
                self.history = History(len(self.names[ITEMS]), self.settings.size)
        self.register_buffer("known_user", torch.zeros(known, dtype=torch.int64))
        self.register_buffer("known_item", torch.zeros(known, dtype=torch.int64))
        self.register_buffer("known_value", torch.zeros(known))
        self.register_buffer("known_target", torch.zeros(known, dtype=torch.bool))


def create(name: str, modality: Modality, settings: Settings, seed: int) -> TwoTower:
    """Without weights: `TwoTower.fit` learns who there is and builds the towers."""
    return TwoTower(modality, settings, seed)


def restore(config: Mapping[str, Any], folder: Path) -> TwoTower:
    """From `TwoTower.config` and its ids; weights are loaded by the caller."""
    backbone = TwoTower(config["modality"], build(Settings, config["settings"], "backbone"), seed=0)
    backbone.names = json.loads((folder / IDS).read_text(encoding="utf-8"))
    backbone.widths = dict(config["widths"])
    backbone._build(int(config["known"]))
    return backbone
