"""Checkpoints: safetensors for tensors, JSON for the rest, written whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from acclimate.errors import AcclimateError
from acclimate.files import read_json, write_json, writing

KEPT = 1
"""Older checkpoints that are kept beside the newest: none is needed once a newer one is whole."""


def flatten(state: Mapping[str, Any], prefix: str = "") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A nested mapping as tensors and plain values, both by path ("model/head.weight")."""
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    for key, value in state.items():
        path = f"{prefix}{key}"
        if isinstance(value, Tensor):
            tensors[path] = value.detach().cpu().contiguous().clone()
        elif isinstance(value, Mapping):
            inner = flatten(value, f"{path}/")
            tensors |= inner[0]
            values |= inner[1]
        else:
            values[path] = value
    return tensors, values


def unflatten(tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flatten`; keys stay text."""
    state: dict[str, Any] = {}
    for path, value in [*tensors.items(), *values.items()]:
        *parents, last = path.split("/")
        inner = state
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = value
    return state


def save(folder: Path, step: int, state: Mapping[str, Any]) -> Path:
    """Write ``folder/STEP`` atomically and remove older ones.

    Raises:
        AcclimateError: the disk is full or refuses; older checkpoints are then still there.
    """
    target = folder / f"{step:09d}"
    tensors, values = flatten(state)
    try:
        with writing(target) as part:
            part.mkdir()
            save_file(tensors, part / "state.safetensors")
            write_json(part / "state.json", values)
    except SafetensorError as error:
        raise AcclimateError(f"cannot write {target}: {error}") from None
    for old in sorted(saved(folder))[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def saved(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name.isdigit() and (path / "state.json").is_file())


def load(folder: Path) -> dict[str, Any] | None:
    """The newest readable checkpoint's state, or None."""
    for path in reversed(saved(folder)):
        try:
            return unflatten(load_file(path / "state.safetensors"), read_json(path / "state.json"))
        except (OSError, ValueError, SafetensorError):
            continue
    return None


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Per-parameter state by position (rates are a function of the step and are not saved)."""
    return {str(k): v for k, v in optimizer.state_dict()["state"].items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Put back what `optimizer_state` gave."""
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": {int(k): v for k, v in state.items()}, "param_groups": groups})
