"""Acclimate takes a model from where it was trained to where it has to work.

Example::

    import acclimate as ac

    source = ac.read("amazon.jsonl.gz?domain=electronics", input="text", label="label")
    target = ac.read("imdb.jsonl.gz", input="text")
    run = ac.adapt(source, target, backbone="minilm", method="dann", out="runs/movies")
    run.decision, run.evaluate("imdb_test.jsonl.gz", label="label"), run.predict(["a quiet, moving film"])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_EXPORTS = {
    "Adapter": "adapter",
    "AcclimateError": "errors",
    "ControlRun": "robots.run",
    "Domain": "domains.domain",
    "Encoder": "runs.encoder",
    "FewShot": "few_shot",
    "MetaRun": "runs.meta.run",
    "Predictor": "runs.predictor",
    "Run": "runs.run",
    "adapt": "api",
    "compare": "api",
    "control": "api",
    "embed": "api",
    "explain": "api",
    "explain_domains": "api",
    "influence": "api",
    "inspect": "api",
    "load": "api",
    "meta_train": "api",
    "pretrain": "api",
    "read": "domains.read",
    "read_interactions": "domains.interactions",
    "report": "api",
    "resume": "api",
}
_MODULES = ("backbones", "domains", "errors", "methods", "selection", "tasks", "training")
__all__ = [
    "AcclimateError",
    "Adapter",
    "ControlRun",
    "Domain",
    "Encoder",
    "FewShot",
    "MetaRun",
    "Predictor",
    "Run",
    "__version__",
    "adapt",
    "compare",
    "control",
    "embed",
    "explain",
    "explain_domains",
    "influence",
    "inspect",
    "load",
    "meta_train",
    "pretrain",
    "read",
    "read_interactions",
    "report",
    "resume",
]

if TYPE_CHECKING:
    from acclimate.adapter import Adapter
    from acclimate.api import (
        adapt,
        compare,
        control,
        embed,
        explain,
        explain_domains,
        influence,
        inspect,
        load,
        meta_train,
        pretrain,
        report,
        resume,
    )
    from acclimate.domains.domain import Domain
    from acclimate.domains.interactions import read_interactions
    from acclimate.domains.read import read
    from acclimate.errors import AcclimateError
    from acclimate.few_shot import FewShot
    from acclimate.robots.run import ControlRun
    from acclimate.runs.encoder import Encoder
    from acclimate.runs.meta.run import MetaRun
    from acclimate.runs.predictor import Predictor
    from acclimate.runs.run import Run


def __getattr__(name: str) -> Any:
    """Names are imported when they are first used: `import acclimate` stays quick."""
    if name in _EXPORTS:
        return getattr(import_module(f"acclimate.{_EXPORTS[name]}"), name)
    if name in _MODULES:
        return import_module(f"acclimate.{name}")
    raise AttributeError(f"module 'acclimate' has no attribute {name!r}")


def __dir__() -> list[str]:
    """For completion: the names that are imported when asked for, too."""
    return sorted({*globals(), *__all__, *_MODULES})
