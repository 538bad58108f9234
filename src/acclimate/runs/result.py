"""result.json: everything one run found. The schema is documented in docs/result.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from acclimate import __version__
from acclimate.errors import DataError
from acclimate.files import read_json
from acclimate.runs.encoder import RECORD
from acclimate.runs.prepare import Prepared
from acclimate.runs.recipe import Recipe
from acclimate.selection.decision import Decision
from acclimate.tasks.answers import Metric

VERSION = 1
CUT = "the budget cut"
"""How the note begins that arms had fewer steps than planned."""
OTHERS = {
    RECORD: "an encoder, which gives no answers yet; train one: acclimate adapt --backbone {folder}",
    "meta.json": "a meta-learned model, which answers from labelled rows: acclimate few-shot --backbone {folder} "
    "--support LABELLED --data ROWS, and acclimate evaluate {folder} --data NEW_CLASSES",
    "few_shot.json": "a few-shot classifier; read it with ac.FewShot.load({text!r})",
    "controller.json": "the controller of a robot; read it with acclimate.robots.controller.Controller.load({text!r})",
    "control.json": "the model of a robot, which `acclimate control --adapt {folder}` adapts to a body",
}
"""What a folder with such a file is, and what is done with it; none of them answers rows by itself."""
PACKAGES = ("torch", "numpy", "scikit-learn", "transformers")


def assemble(
    *,
    recipe: Recipe,
    prepared: Prepared,
    records: Mapping[str, Mapping[str, Any]],
    scores: Mapping[str, Mapping[str, Any]],
    decision: Decision,
    shares: Mapping[str, Any] | None,
    primary: Metric,
    adapted: str,
    reference: str | None,
    seconds: float,
) -> dict[str, Any]:
    """The result before any target label was opened."""
    main = records[adapted]
    return {
        "version": VERSION,
        "acclimate": __version__,
        "setting": prepared.setting,
        "task": main["task"]["name"],
        "primary": primary.name,
        "higher_is_better": primary.higher_is_better,
        "modality": prepared.schema.modality,
        "method": main["method"],
        "tune": main["tune"],
        "backbone": main["backbone"],
        "seed": recipe.seed,
        "steps": main["steps"],
        "seconds": round(seconds, 3),
        "environment": environment(main["precision"]),
        "decision": decision.choice,
        "reasons": list(decision.reasons),
        "model": decision.arm,
        "adapted": adapted,
        "reference": reference,
        "verdict": None,
        "oracle": None,
        "regret": None,
        "transductive": None,
        "shares": None if shares is None else dict(shares),
        "certainty": records[decision.arm].get("certainty"),
        "fairness": None,
        "baselines": {},
        "arms": [_arm(record, scores[name]) for name, record in records.items()],
        "seal": {"opened": 0, "openings": []},
        "permission": recipe.target_label,
        "privacy": main["privacy"],
        "data": {**prepared.report, "notes": list(prepared.notes)},
    }


def _arm(record: Mapping[str, Any], scores: Mapping[str, Any]) -> dict[str, Any]:
    """One row of `arms`."""
    source = record["source_validation"]
    return {
        "name": record["name"],
        "role": record["role"],
        "method": record["method"],
        "tune": record["tune"],
        "backbone": record["backbone"],
        "layer": record["layer"],
        "seconds": record["seconds"],
        "steps": record["steps"],
        "stages": record["stages"],
        "warnings": record["warnings"],
        "label_free": dict(scores),
        "source_validation": source,
        "target_validation": record["target_validation"],
        "narrowed_validation": record["narrowed_validation"],
        "target": None,
    }


def environment(precision: str) -> dict[str, Any]:
    """Versions and machine, as far as they can change bits."""
    import torch

    found: dict[str, Any] = {"python": platform.python_version(), "machine": platform.machine(), "precision": precision}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return {**found, "threads": torch.get_num_threads(), "processes": int(os.environ.get("WORLD_SIZE", "1"))}


def check_finished(folder: Path) -> None:
    """Refuse a run without a result.

    Raises:
        DataError: the run is not finished, or is of a kind that has no answers.
    """
    for name, what in OTHERS.items():
        if (folder / name).is_file():
            raise DataError(f"{folder}: {what.format(folder=folder, text=str(folder))}")
    begun = any((folder / name).is_file() for name in ("data.json", "recipe.yaml"))
    if begun and not (folder / "result.json").is_file():
        raise DataError(f"{folder}: it is not finished; `acclimate resume {folder}` continues it")


def load(folder: Path) -> dict[str, Any]:
    """A run's result.

    Raises:
        DataError: there is none, or it is not readable.
    """
    path = folder / "result.json"
    if not path.is_file():
        check_finished(folder)
        raise DataError(f"{folder}: no run there")
    try:
        value = read_json(path)
        if value["version"] != VERSION:
            raise DataError(f"{path}: version {value['version']}, this Acclimate reads {VERSION}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a readable result ({error})") from None
    return value
