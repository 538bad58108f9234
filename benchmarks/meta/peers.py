"""The peers of meta-learning: whether they can be imported, and how (`benchmarks/peers.txt`)."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from types import ModuleType
from typing import Any

PEERS = ("learn2learn", "higher", "torchopt", "easyfsl")


def load(name: str) -> Any:
    """A peer's module; without its warnings of what it imports."""
    stand_in_for_torchvision()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module(name)


def installed() -> dict[str, str]:
    """The version of each peer, or why it cannot be imported."""
    found = {}
    for name in PEERS:
        try:
            load(name)
            found[name] = version(name)
        except Exception as error:  # whatever a package of 2021 says on today's Python
            found[name] = f"not installed: {type(error).__name__}: {error}"
    return found


def stand_in_for_torchvision() -> None:
    """Where torchvision cannot be imported, put empty classes in its place: nothing that is compared calls them."""
    try:
        import_module("torchvision")
    except Exception:  # a CUDA wheel beside a CPU torch fails with RuntimeError
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        sys.meta_path.insert(0, _Empty())


class _Empty(MetaPathFinder, Loader):
    """Finds torchvision and all its modules; each has every name, as an empty class."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name.split(".")[0] == "torchvision" else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _EmptyModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


class _EmptyModule(ModuleType):
    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})
