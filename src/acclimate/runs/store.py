"""A model on disk: safetensors and JSON, enough to predict without network, pickle or the training data."""

from __future__ import annotations

import copy as copying
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from acclimate import __version__
from acclimate.backbones import registry as backbones
from acclimate.backbones.base import Backbone
from acclimate.backbones.hashing import file_sha256
from acclimate.domains.domain import Modality, Schema, Windows
from acclimate.errors import AcclimateError, DataError, SettingsError
from acclimate.files import read_json, write_json, writing
from acclimate.methods import registry as methods
from acclimate.tasks import registry as tasks
from acclimate.training.forest import ARRAYS, Forest
from acclimate.training.model import Model
from acclimate.trust.certainty.certainty import Certainty

FORMAT = 1
CONFIG, WEIGHTS, ASSETS = "model.json", "weights.safetensors", "assets"


@dataclass(frozen=True)
class Card:
    """What is known of a saved model beside its weights.

    Attributes:
        schema: inputs that it reads.
        temperature: by which logits are divided (calibrated on source validation).
        origin: method, tune and the like, for people.
        target_inputs: what the target calls the inputs (of ``target``, if given), in their order; empty if it calls
            them the same.
        offsets: of each class, added to ``logits / temperature`` so that answers fit stated shares of the target's
            classes (`selection.shares.match`); empty if none were stated.
        target: inputs that it reads of the target, where these are other columns; else None.
    """

    schema: Schema
    temperature: float
    origin: dict[str, Any]
    target_inputs: tuple[str, ...] = ()
    offsets: tuple[float, ...] = ()
    target: Schema | None = None


def save(model: Model, card: Card, folder: Path, certainty: Certainty | None = None) -> None:
    """Write the model folder atomically, with what is known of the model's certainty.

    Raises:
        AcclimateError: the disk is full or refuses.
    """
    model = model.to("cpu")
    bottleneck, standardize = model.shape
    config = {
        "format": FORMAT,
        "acclimate": __version__,
        "modality": card.schema.modality,
        **columns_of(card.schema),
        "target_inputs": list(card.target_inputs),
        "target": None if card.target is None else columns_of(card.target),
        "temperature": card.temperature,
        "offsets": list(card.offsets),
        "task": model.task.config(),
        "layer": model.layer,
        "bottleneck": bottleneck,
        "standardize": standardize,
        "backbone": model.backbone.config(),
        "origin": card.origin,
        "forest": model.head.link if isinstance(model.head, Forest) else None,
        "at_test": None if model.at_test is None else model.at_test.recipe(),
    }
    with writing(folder) as part:
        part.mkdir()
        assets = part / ASSETS
        assets.mkdir()
        try:
            untied = {name: value.contiguous().clone() for name, value in model.state_dict().items()}
            save_file(untied, part / WEIGHTS)
        except SafetensorError as error:
            raise AcclimateError(f"cannot write {folder}: {error}") from None
        model.backbone.assets(assets)
        if certainty is not None:
            certainty.write(part)
        write_json(part / CONFIG, {**config, "weights_sha256": file_sha256(part / WEIGHTS)})


def load(folder: Path, backbone: Backbone | None = None) -> tuple[Model, Card]:
    """A saved model in evaluation mode.

    Args:
        folder: the model folder.
        backbone: the network, for models around a `torch.nn.Module` from Python; it is copied.

    Raises:
        DataError: the folder is missing, corrupt, or not an Acclimate model.
    """
    if not (folder / CONFIG).is_file():
        raise DataError(f"{folder}: no Acclimate model ({CONFIG} is missing)")
    with restoring(folder, "Acclimate model"):
        config = read_json(folder / CONFIG)
        if config["format"] != FORMAT:
            raise DataError(f"{folder}: model format {config['format']}, this Acclimate reads {FORMAT}")
        check_hash(folder, WEIGHTS, config["weights_sha256"])
        network = copying.deepcopy(backbone) if backbone else backbones.restore(config["backbone"], folder / ASSETS)
        model = Model(
            network,
            tasks.restore(config["task"]),
            layer=config["layer"],
            bottleneck=config["bottleneck"],
            standardize=config["standardize"],
        )
        weights = load_file(folder / WEIGHTS)
        if link := config.get("forest"):
            model.head = Forest({name: weights[f"head.{name}"] for name in ARRAYS}, link)
        model.load_state_dict(weights)
        if settings := dict(config.get("at_test") or {}):
            model.at_test = methods.create(settings.pop("name"), settings)  # type: ignore[assignment]
        modality: Modality = config["modality"]
        target = None if config.get("target") is None else schema_of(modality, config["target"])
        renamed = tuple(config.get("target_inputs", ()))
        offsets = tuple(float(value) for value in config.get("offsets", ()))
        card = Card(
            schema_of(modality, config), float(config["temperature"]), config["origin"], renamed, offsets, target
        )
    return model.eval(), card


@contextmanager
def restoring(folder: Path, what: str) -> Iterator[None]:
    """Whatever a damaged folder makes fail in the block becomes a `DataError` that names the folder."""
    try:
        yield
    except (DataError, SettingsError) as error:
        message = str(error)
        raise DataError(message if message.startswith(str(folder)) else f"{folder}: {message}") from None
    except AcclimateError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        first = f"{error} is missing" if isinstance(error, KeyError) else (str(error).splitlines() or [repr(error)])[0]
        raise DataError(f"{folder}: not a readable {what}: {first}") from None


def check_hash(folder: Path, name: str, sha256: str) -> None:
    """Raise a DataError unless the file is the one that was saved."""
    if file_sha256(folder / name) != sha256:
        raise DataError(f"{folder}: {name} is not the file that was saved; its hash differs from the recorded one")


def columns_of(schema: Schema) -> dict[str, Any]:
    """The inputs of a schema, as JSON."""
    return {
        "inputs": list(schema.inputs),
        "categories": list(schema.categories),
        "windows": None if schema.windows is None else asdict(schema.windows),
        "legend": [list(pair) for pair in schema.legend],
    }


def schema_of(modality: Modality, config: Mapping[str, Any]) -> Schema:
    """The schema of what `save` wrote of one."""
    windows = config.get("windows")
    return Schema(
        modality,
        tuple(config["inputs"]),
        categories=tuple(config.get("categories", ())),
        windows=None if windows is None else Windows(**windows),
        legend=tuple((value, name) for value, name in config.get("legend", ())),
    )


def copy(source: Path, target: Path, origin: dict[str, Any] | None = None) -> None:
    """Copy a model folder atomically; ``origin`` adds to what its card says."""
    with writing(target) as part:
        shutil.copytree(source, part)
        if origin:
            config = read_json(part / CONFIG)
            write_json(part / CONFIG, {**config, "origin": {**config["origin"], **origin}})
