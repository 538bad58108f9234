from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import acclimate as ac

Planted = dict[str, Any]


@pytest.fixture(autouse=True)
def _cache(own_cache):
    pass


@pytest.fixture
def ranked(planted, tmp_path) -> Callable[..., dict[str, float]]:
    """``ranked(method, **options)``: NDCG@10 by arm and baseline on users whose target hits were hidden."""

    def measure(method: Any, out: Path | None = None, **options: Any) -> dict[str, float]:
        found = planted(**options.pop("world", {}))
        given = {"task": "rank", "user": "user", "item": "item", **options}
        run = ac.adapt(found["source"], found["warm"], method=method, out=out or tmp_path / "run", force=True, **given)
        value = run.evaluate(found["cold"])
        return {name: arm["metrics"]["ndcg_at_10"] for name, arm in {**value["arms"], **value["baselines"]}.items()}

    return measure
