"""A model that learned to learn, on disk and in use: safetensors and JSON, no training data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from acclimate.domains.batch import Batch
from acclimate.domains.domain import Domain, Schema
from acclimate.domains.episodes import Episodes
from acclimate.errors import AcclimateError, DataError
from acclimate.files import read_json, write_json, writing
from acclimate.methods.meta.base import Learner
from acclimate.methods.registry import find_meta
from acclimate.runs import single, store
from acclimate.runs.features import Features
from acclimate.runs.recipe import parse, read
from acclimate.settings import build
from acclimate.training.device import Place, place
from acclimate.training.infer import features, infer
from acclimate.training.model import Model, seeded

RECORD, ROWS, FOLDER = "meta.json", "rows.npz", "learner"
CONFIG, PARTS = "learner.json", "parts.safetensors"
VERSION = 1


@dataclass(frozen=True)
class Learned:
    """A model, and the learner that answers with it.

    Attributes:
        model: with the backbone that reads raw rows.
        parts: the learner's own networks.
        learner: what answers query rows, having seen support rows.
        classes: how many classes training episodes were drawn from.
        origin: method, backbone and the like, for people.
    """

    model: Model
    parts: Mapping[str, nn.Module]
    learner: Learner
    classes: int
    origin: Mapping[str, Any]

    def save(self, folder: Path, schema: Schema) -> None:
        """Write ``folder/model`` and ``folder/learner``, each whole or not at all.

        Raises:
            AcclimateError: the disk is full or refuses.
        """
        store.save(self.model, store.Card(schema, 1.0, dict(self.origin)), folder / "model")
        tensors = {
            f"{name}.{key}": value.detach().cpu().contiguous().clone()
            for name, part in self.parts.items()
            for key, value in part.state_dict().items()
        }
        with writing(folder / FOLDER) as part:
            part.mkdir()
            try:
                save_file(tensors, part / PARTS)
            except SafetensorError as error:
                raise AcclimateError(f"cannot write {folder}: {error}") from None
            write_json(part / CONFIG, {"learner": self.learner.recipe(), "classes": self.classes})

    @classmethod
    def load(cls, folder: Path) -> Learned:
        """What a meta-training left in its folder, in evaluation mode.

        Raises:
            DataError: it is not finished, or damaged.
        """
        record(folder)
        return cls.read(folder)

    @classmethod
    def read(cls, folder: Path) -> Learned:
        """What `save` wrote, in evaluation mode.

        Raises:
            DataError: it is not there, or damaged.
        """
        model, card = store.load(folder / "model")
        with store.restoring(folder, "meta-learned model"):
            config = read_json(folder / FOLDER / CONFIG)
            recipe = dict(config["learner"])
            name = recipe.pop("name")
            learner = build(find_meta(name), recipe, f"method {name}")
            with seeded(0, "parts"):
                parts = learner.parts(model, int(config["classes"]))
            tensors = load_file(folder / FOLDER / PARTS)
            for key, part in parts.items():
                own = {k.removeprefix(f"{key}."): v for k, v in tensors.items() if k.startswith(f"{key}.")}
                part.load_state_dict(own)
        for part in parts.values():
            part.eval()
        return cls(model, parts, learner, int(config["classes"]), card.origin)

    @property
    def frozen(self) -> bool:
        """Whether the backbone is as it was, so that its features can be read from the cache."""
        return self.origin["tune"] == "frozen"

    def place(self, device: str = "auto") -> Place:
        """Where it answers: in the precision of training, if the device has it."""
        precision = str(self.origin["precision"])
        if precision == "fp16" and place(device).device.type == "cpu":
            precision = "fp32"
        return place(device, precision)  # type: ignore[arg-type]

    def features(self, domain: Domain, where: Place) -> np.ndarray:
        """What the head reads of each row ``[n, size]``, in the domain's order."""
        return infer(self.model, domain, where, want=features)["features"]

    def answers(self, support: Batch, query: Any) -> Tensor:
        """See `Learner.answers`."""
        return self.learner.answers(self.model.eval(), self.parts, support, query)


def on_features(episodes: Episodes, known: Features | None, layer: str | None) -> Episodes:
    """The same episodes, with features of a frozen backbone in the place of rows; without any, as they are."""
    if known is None or layer is None:
        return episodes
    return replace(episodes, domain=known.of(episodes.domain)[layer])


def record(folder: Path) -> dict[str, Any]:
    """The record of a meta-training.

    Raises:
        DataError: there is none, or it is not readable.
    """
    if not (folder / RECORD).is_file():
        hint = f"; `acclimate resume {folder}` continues it" if (folder / "recipe.yaml").is_file() else ""
        raise DataError(f"{folder}: no finished meta-training ({RECORD} is missing){hint}")
    return single.load(folder / RECORD, VERSION, "a meta-training")


def columns(backbone: Any) -> tuple[tuple[str, ...] | None, str | None]:
    """Input and label columns of the table that a folder was meta-trained on; None of anything else."""
    if not isinstance(backbone, str) or not (Path(backbone) / RECORD).is_file():
        return None, None
    recipe = parse(read(Path(backbone) / "recipe.yaml"), backbone)
    return (recipe.input, recipe.label) if recipe.input else (None, None)


def trained_on(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Ids of the rows, and names of the classes (or groups), that a meta-training learned from."""
    with np.load(folder / ROWS) as file:
        return file["ids"], file["names"]
