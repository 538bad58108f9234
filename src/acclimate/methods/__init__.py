"""Methods: how knowledge moves. Classes and plain pieces are imported when they are asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_EXPORTS = {
    "SourceOnly": "transfer.source_only",
    "TargetOnly": "transfer.target_only",
    "Finetune": "transfer.finetune",
    "Joint": "transfer.joint",
    "DANN": "adversarial.dann",
    "domain_loss": "adversarial.pieces",
    "discriminator": "adversarial.pieces",
    "reverse": "adversarial.pieces",
    "ganin_schedule": "adversarial.pieces",
}
__all__ = list(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"acclimate.methods.{_EXPORTS[name]}"), name)
