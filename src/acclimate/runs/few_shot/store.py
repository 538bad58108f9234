"""A few-shot classifier on disk: safetensors and JSON, with the features of its support."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from acclimate import __version__
from acclimate.backbones import registry
from acclimate.backbones.hashing import file_sha256
from acclimate.domains.ids import ID
from acclimate.errors import AcclimateError, DataError, SettingsError
from acclimate.files import read_json, write_json, writing
from acclimate.methods.few_shot.registry import create_level
from acclimate.runs.few_shot.classifier import FewShotClassifier
from acclimate.runs.few_shot.model import FewShotModel
from acclimate.runs.few_shot.novelty import Novelty
from acclimate.runs.store import check_hash, columns_of, restoring, schema_of
from acclimate.training.device import place

FORMAT = 1
CONFIG, SUPPORT, WEIGHTS, ASSETS = "few_shot.json", "support.safetensors", "weights.safetensors", "assets"


def save(model: FewShotModel, folder: Path, more: Mapping[str, Any]) -> None:
    """Write a folder, whole or not at all; ``more`` is JSON that `load` gives back.

    Raises:
        AcclimateError: the disk is full or refuses.
        SettingsError: the folder holds something else than a classifier of before, or the backbone came from Python
            code, which a file cannot hold.
    """
    held = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if folder.is_file() or (held and held != {CONFIG, SUPPORT, WEIGHTS, ASSETS}):
        raise SettingsError(f"{folder} is there and holds no few-shot classifier alone; name another folder")
    backbone, classifier = model.backbone, model.classifier
    if classifier.level.name == "learned":
        raise SettingsError("a meta-trained model answers from its own folder: keep that, and fit again")
    if backbone.kind == "module":
        raise SettingsError(f"backbone '{backbone.spec.name}' is Python code: a file cannot hold it")
    support = {"features": classifier.support, "targets": classifier.targets}
    if classifier.novelty is not None:
        support["conformity"] = torch.from_numpy(classifier.novelty.held_out)
    config = {
        "format": FORMAT,
        "acclimate": __version__,
        "schema": {"modality": model.schema.modality, **columns_of(model.schema)},
        "backbone": backbone.config(),
        "layer": model.layer,
        "precision": model.precision,
        "classes": list(classifier.classes),
        "level": classifier.level.recipe(),
        "temperature": classifier.temperature,
        "seed": classifier.seed,
        "report": dict(classifier.report),
        "notes": list(model.notes),
        "odd": list(model.odd),
        "ids": [row.decode("ascii") for row in model.ids.tolist()],
        "more": dict(more),
    }
    with writing(folder) as part:
        part.mkdir()
        (part / ASSETS).mkdir()
        try:
            save_file({name: value.cpu().contiguous().clone() for name, value in support.items()}, part / SUPPORT)
            weights = {name: value.cpu().contiguous().clone() for name, value in backbone.state_dict().items()}
            save_file(weights, part / WEIGHTS)
        except SafetensorError as error:
            raise AcclimateError(f"cannot write {folder}: {error}") from None
        backbone.assets(part / ASSETS)
        hashes = {name: file_sha256(part / name) for name in (SUPPORT, WEIGHTS)}
        write_json(part / CONFIG, {**config, "sha256": hashes})


def load(folder: Path, device: str = "auto") -> tuple[FewShotModel, dict[str, Any]]:
    """The classifier of a folder, and what was saved with it.

    Raises:
        DataError: the folder is missing, damaged or something else.
    """
    if not (folder / CONFIG).is_file():
        raise DataError(f"{folder}: no few-shot classifier ({CONFIG} is missing)")
    with restoring(folder, "few-shot classifier"):
        config = read_json(folder / CONFIG)
        if config["format"] != FORMAT:
            raise DataError(f"{folder}: format {config['format']}, this Acclimate reads {FORMAT}")
        for name, wanted in config["sha256"].items():
            check_hash(folder, name, wanted)
        return _restored(config, folder, device), config["more"]


def _restored(config: Mapping[str, Any], folder: Path, device: str) -> FewShotModel:
    backbone = registry.restore(config["backbone"], folder / ASSETS)
    backbone.load_state_dict(load_file(folder / WEIGHTS))
    support, report, schema = load_file(folder / SUPPORT), config["report"], config["schema"]
    novelty = None
    if report["abstain"] is not None:
        told = report["abstain"]
        novelty = Novelty(told["rate"], support["conformity"].numpy(), told["recognised"])
    level = {name: value for name, value in config["level"].items() if name != "name"}
    classifier = FewShotClassifier(
        support["features"],
        support["targets"],
        tuple(config["classes"]),
        create_level(config["level"]["name"], level),
        config["temperature"],
        novelty,
        config["seed"],
        report,
    )
    return FewShotModel(
        backbone.eval(),
        config["layer"],
        str(place(device, config["precision"]).device),
        config["precision"],
        schema_of(schema["modality"], schema),
        classifier,
        np.array(config["ids"], dtype=ID),
        tuple(config["notes"]),
        tuple(config["odd"]),
    )
