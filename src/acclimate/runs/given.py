"""What Python gives to a verb, objects or names, as a recipe says it."""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acclimate.domains.domain import Domain
from acclimate.errors import SettingsError
from acclimate.runs.recipe import MEMORY, Recipe, environment, merge, parse

if TYPE_CHECKING:
    from acclimate.methods.base import Method


def written(
    verb: str,
    sources: Sequence[Any],
    targets: Sequence[Any],
    asked: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
) -> Recipe:
    """Of a verb: its defaults, the environment, what the domains know of their columns, what was asked for."""
    places = {"source": [_place(s) for s in sources], "target": [_place(t) for t in targets]}
    return parse(merge(defaults or {}, environment(), _columns(sources or targets), {**places, **asked}), verb)


def named(backbone: Any) -> Any:
    """An encoder or a folder by its path, anything else as it is."""
    return os.fspath(backbone) if isinstance(backbone, os.PathLike) else backbone


def several(value: Any) -> list[Any]:
    """One domain or a list of them; a list of texts or rows is one domain."""
    if value is None:
        return []
    if isinstance(value, list | tuple) and value and all(isinstance(item, Domain | Path) for item in value):
        return list(value)
    if isinstance(value, list | tuple) and value and all(isinstance(v, str) and _is_place(v) for v in value):
        return list(value)
    return [value]


def _is_place(text: str) -> bool:
    try:
        return text.startswith("hf:") or Path(text.split("?")[0]).exists()
    except (OSError, ValueError):  # a text that no path can be
        return False


def _place(value: Any) -> str:
    """What the recipe says of a domain: where it can be read again, or that it came from memory."""
    if isinstance(value, Domain):
        return value.locator or MEMORY
    return str(value) if isinstance(value, str | Path) else MEMORY


def _columns(domains: Sequence[Any]) -> dict[str, Any]:
    """What a Domain knows of its columns, so that the recipe alone can read it again."""
    schemas = [domain.schema for domain in domains if isinstance(domain, Domain)]
    if not schemas:
        return {}
    first = schemas[0]
    return {"input": first.inputs, "label": first.label, "group": first.group, "modality": first.modality}


def named_method(method: str | Mapping[str, Any] | Method | None) -> Any:
    """A method object by its name and settings, anything else as it is."""
    if method is None or isinstance(method, str | Mapping):
        return method
    if not hasattr(method, "stages"):
        raise SettingsError(f"method: expected a name or an object of acclimate.methods, found {type(method).__name__}")
    return method.recipe()


def networks(backbone: Any, places: Sequence[Any]) -> dict[str, Any]:
    """A network from Python as a named function that gives fresh copies of it."""
    if backbone is None or isinstance(backbone, str | Mapping):
        return {}
    from acclimate.backbones.base import Backbone

    if not isinstance(backbone, Backbone):
        from acclimate.backbones.module import from_module

        domain = places[0] if places and isinstance(places[0], Domain) else None
        if domain is None:
            raise SettingsError("a torch.nn.Module as backbone needs source and target as Domains; use acclimate.read")
        backbone = from_module(backbone, domain.schema.modality, example=domain.rows.take(domain.order[:1]))
    return {backbone.spec.name: partial(copy.deepcopy, backbone)}


def fresh(out: str | Path | None) -> Path:
    """The folder that was named, or a temporary one."""
    if out is None and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise SettingsError("several processes train together: name the folder that they share with out=")
    return Path(out) if out is not None else Path(tempfile.mkdtemp(prefix="acclimate-"))
