"""Checkpoints: safetensors for tensors, JSON for the rest, written whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from acclimate.errors import AcclimateError
from acclimate.files import read_json, write_json, writing

TENSORS, VALUES = "state.safetensors", "state.json"


def flatten(state: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A nested mapping as tensors and plain values, both by path (``["model", "head.weight"]`` as JSON)."""
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    for key, value in state.items():
        path = (*prefix, key)
        if isinstance(value, Tensor):
            tensors[json.dumps(path)] = value.detach().cpu().contiguous().clone()
        elif isinstance(value, Mapping):
            inner = flatten(value, path)
            tensors |= inner[0]
            values |= inner[1]
        else:
            values[json.dumps(path)] = value
    return tensors, values


def unflatten(tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flatten`; keys stay text, empty mappings are lost."""
    state: dict[str, Any] = {}
    for path, value in [*tensors.items(), *values.items()]:
        *parents, last = json.loads(path)
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
            save_file(tensors, part / TENSORS)
            write_json(part / VALUES, values)
    except SafetensorError as error:
        raise AcclimateError(f"cannot write {target}: {error}") from None
    for old in saved(folder):
        if old != target:
            shutil.rmtree(old, ignore_errors=True)
    return target


def saved(folder: Path) -> list[Path]:
    """The whole checkpoints of a folder, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name.isdigit() and _whole(path))


def _whole(path: Path) -> bool:
    """Whether the JSON can be read and the tensors have the length that their header says."""
    try:
        read_json(path / VALUES)
        with safe_open(path / TENSORS, "pt"):
            return True
    except (OSError, ValueError, SafetensorError):
        return False


def load(folder: Path) -> dict[str, Any] | None:
    """The newest whole checkpoint's state, or None."""
    found = saved(folder)
    return unflatten(load_file(found[-1] / TENSORS), read_json(found[-1] / VALUES)) if found else None


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Per-parameter state by position (rates are a function of the step and are not saved)."""
    return {str(k): v for k, v in optimizer.state_dict()["state"].items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Put back what `optimizer_state` gave, in the memory layout of the parameters: fused kernels rely on it."""
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": {int(k): v for k, v in state.items()}, "param_groups": groups})
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.ndim:
                values[name] = torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)
