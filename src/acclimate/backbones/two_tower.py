"""Users and items as vectors, learned from scratch: one tower for each (Yi et al., RecSys 2019, figure 1)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from acclimate.backbones.base import Backbone, Spec
from acclimate.backbones.towers import Tower, features
from acclimate.domains.domain import Domain, Modality
from acclimate.domains.interactions import ITEMS, KNOWN, USERS
from acclimate.errors import DataError, SettingsError
from acclimate.files import write_json
from acclimate.settings import as_dict, build

IDS = "ids.json"


@dataclass(frozen=True)
class Settings:
    """Size of the vectors, and what they follow from.

    Attributes:
        size: width of a vector.
        side: whether vectors follow from the tables of users and items too, and not from ids alone.
        start: deviation of the items' embeddings at the start.
    """

    size: int = 32
    side: bool = True
    start: float = 0.1


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
        if settings.size < 1 or settings.start <= 0:
            raise SettingsError(f"backbone: size and start must be above 0, found {settings.size}, {settings.start}")
        self.settings, self._seed = settings, seed
        layers = {"user": settings.size} if modality == "users" else {"pair": 2 * settings.size}
        self.spec = Spec("two_tower", modality, layers, next(iter(layers)), pretrained=False, learning_rate=0.01)
        self.names: dict[str, list[str]] = {USERS: [], ITEMS: []}
        self.places: dict[str, dict[str, int]] = {USERS: {}, ITEMS: {}}
        self.widths: dict[str, int] = {USERS: 0, ITEMS: 0}
        self.towers = nn.ModuleDict()

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
        for what, tower in self.towers.items():
            tower.know(side[what])
        for name in ("user", "item", "value", "target"):
            getattr(self, f"known_{name}").copy_(torch.from_numpy(known[name].to_numpy().copy()))

    def collate(self, raw: pd.DataFrame, *, training: bool = False, rng: np.random.Generator | None = None) -> Tensor:
        """Numbers of the ids ``[n]``, or ``[n, 2]`` of pairs; 0 for one that is not known."""
        columns = [self.places[what] for what in self.towers]
        index = [[places.get(name, 0) for name in raw.iloc[:, k]] for k, places in enumerate(columns)]
        found = torch.tensor(index, dtype=torch.int64).reshape(len(columns), len(raw)).T.contiguous()
        return found[:, 0] if self.spec.modality == "users" else found

    def forward(self, inputs: Tensor, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        asked = [self.check_layer(layer) for layer in (layers or [self.spec.default])]
        if self.spec.modality == "users":
            vectors = self.towers[USERS](inputs)
        else:
            vectors = torch.cat([tower(inputs[:, k]) for k, tower in enumerate(self.towers.values())], dim=1)
        return {layer: vectors.float() for layer in asked}

    @property
    def users(self) -> Tower:
        """The tower of the users, whose ids `collate` gives first."""
        tower = self.towers[USERS]
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
        read = (USERS,) if self.spec.modality == "users" else (USERS, ITEMS)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            self.towers = nn.ModuleDict(
                {
                    what: Tower(
                        len(self.names[what]),
                        self.settings.size,
                        self.widths[what],
                        start=self.settings.start if what == ITEMS else 0.0,
                    )
                    for what in read
                }
            )
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
