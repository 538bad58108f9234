"""Encoders on disk: safetensors and JSON, written by pretraining, read wherever a backbone is named by its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from acclimate.backbones.base import Backbone
from acclimate.backbones.hashing import file_sha256
from acclimate.domains.domain import Modality
from acclimate.errors import AcclimateError, DataError, SettingsError
from acclimate.files import read_json, write_json, writing

FORMAT = 1
CONFIG, WEIGHTS, ASSETS, PREFIX = "encoder.json", "weights.safetensors", "assets", "backbone."
FOLDER = "encoder"
"""Where pretraining puts the encoder inside its own folder."""
PLACES = (f"{FOLDER}/{CONFIG}", CONFIG, "model/model.json", "model.json")
"""Files that say where an encoder is: of a pretraining, of an encoder, of a run, of a model; the first one counts."""


def save(backbone: Backbone, folder: Path, origin: Mapping[str, Any]) -> None:
    """Write an encoder folder atomically.

    Raises:
        AcclimateError: the disk is full or refuses.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    backbone = backbone.to("cpu")
    with writing(folder) as part:
        part.mkdir()
        assets = part / ASSETS
        assets.mkdir()
        try:
            untied = {PREFIX + name: value.contiguous().clone() for name, value in backbone.state_dict().items()}
            save_file(untied, part / WEIGHTS)
        except SafetensorError as error:
            raise AcclimateError(f"cannot write {folder}: {error}") from None
        backbone.assets(assets)
        config = {
            "format": FORMAT,
            "modality": backbone.spec.modality,
            "backbone": backbone.config(),
            "origin": dict(origin),
            "weights_sha256": file_sha256(part / WEIGHTS),
        }
        write_json(part / CONFIG, config)


def find(folder: Path) -> Path | None:
    """The file that describes the encoder of a folder, or None.

    Raises:
        DataError: the folder is a run that is not finished.
    """
    found = next((folder / place for place in PLACES if (folder / place).is_file()), None)
    if found is None and all((folder / name).is_file() for name in ("recipe.yaml", "data.json")):
        raise DataError(f"{folder}: it holds no encoder yet; `acclimate resume {folder}` continues it")
    return found


def kind(path: Path) -> str:
    """What kind of backbone a file of `find` describes, empty if it cannot be told."""
    try:
        return str(read_json(path)["backbone"]["kind"])
    except (AcclimateError, KeyError, TypeError, ValueError):
        return ""


def load(path: Path, name: str, modality: Modality, settings: Mapping[str, Any]) -> Backbone:
    """The encoder that a file of `find` describes, in evaluation mode; it counts as pretrained.

    Args:
        path: the file.
        name: what it was asked for by, for errors.
        modality: of the rows that it is to read.
        settings: other than it was saved with; only those that leave the weights' shapes as they are.

    Raises:
        DataError: the folder is damaged.
        SettingsError: it reads other rows, or cannot have these settings.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config = read_json(path)
        if config["format"] != FORMAT:
            raise DataError(f"{path}: format {config['format']}, this Acclimate reads {FORMAT}")
        weights = path.parent / WEIGHTS
        if config["weights_sha256"] != file_sha256(weights):
            raise DataError(f"{weights} is not the file that was saved; its hash differs from {path.name}'s")
        if config["modality"] != modality:
            raise SettingsError(f"backbone '{name}' reads {config['modality']} input, and these rows are {modality}")
        backbone = _restore(config["backbone"], path.parent / ASSETS, name, settings)
        tensors = {k.removeprefix(PREFIX): v for k, v in load_file(weights).items() if k.startswith(PREFIX)}
    except AcclimateError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        first = f"{error} is missing" if isinstance(error, KeyError) else (str(error).splitlines() or [repr(error)])[0]
        raise DataError(f"{path.parent}: not a readable encoder: {first}") from None
    try:
        backbone.load_state_dict(tensors)
    except RuntimeError as error:
        problem = " ".join(line.strip() for line in str(error).splitlines()[1:2])
        if settings:
            raise SettingsError(f"backbone '{name}' cannot have {dict(settings)}: {problem}") from None
        raise DataError(f"{path.parent}: not a readable encoder: {problem}") from None
    backbone.spec = replace(backbone.spec, pretrained=True)
    return backbone.eval()


def _restore(config: Mapping[str, Any], assets: Path, name: str, settings: Mapping[str, Any]) -> Backbone:
    from acclimate.backbones import registry

    backbone = registry.restore({**config, "settings": {**config.get("settings", {}), **settings}}, assets)
    if not backbone.spec.trainable:
        raise SettingsError(
            f"backbone '{name}': the model there reads '{backbone.spec.name}' features, which no training changes; "
            f"use --backbone {backbone.spec.name}"
        )
    if settings and type(backbone).fit is not Backbone.fit:
        raise SettingsError(
            f"backbone '{name}': what it knows of its inputs was learned with settings of its own; leave out "
            f"{', '.join(f'backbone.{key}' for key in settings)}"
        )
    return backbone
