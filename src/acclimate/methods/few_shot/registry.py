"""Every few-shot classifier by name; modules are imported when one is created."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from acclimate.errors import SettingsError, unknown
from acclimate.methods.few_shot.base import Level
from acclimate.settings import build

LEVELS: dict[str, str] = {
    "prototypes": "prototypes:Prototypes",
    "probe": "probe:Probe",
    "adapter": "adapter:LinearAdapter",
    "tim": "tim:TIM",
    "pt_map": "pt_map:PTMAP",
    "laplacian_shot": "laplacian_shot:LaplacianShot",
}


def find_level(name: str) -> type[Level]:
    """The class of a few-shot classifier.

    Raises:
        SettingsError: no such classifier; names the nearest.
    """
    if name not in LEVELS:
        raise SettingsError(unknown("few-shot classifier", name, LEVELS))
    module, _, attribute = LEVELS[name].partition(":")
    kind: type[Level] = getattr(import_module(f"acclimate.methods.few_shot.{module}"), attribute)
    return kind


def create_level(name: str, settings: Mapping[str, Any] | None = None) -> Level:
    """A few-shot classifier from its name and settings.

    Raises:
        SettingsError: unknown classifier or setting, or a value out of range.
    """
    return build(find_level(name), settings or {}, f"few-shot classifier {name}")
