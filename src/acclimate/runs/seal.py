"""The seal: which labelled rows of the target may be opened, and the record that they were."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from acclimate.domains.domain import Domain
from acclimate.domains.rows import place_of
from acclimate.errors import DataError
from acclimate.files import write_json

FIRST = 3
"""Rows that are named of those that were trained on."""
Purpose = Literal["evaluate", "influence"]


def check_rows(folder: Path, domain: Domain, force: bool) -> dict[str, int]:
    """How many of the rows training has seen.

    Raises:
        DataError: some were trained on with labels, unless forced.
    """
    with np.load(folder / "rows.npz", allow_pickle=False) as rows:
        trained = np.flatnonzero(np.isin(domain.ids, rows["trained"]))
        seen = int(np.isin(domain.ids, rows["seen"]).sum())
    if len(trained) and not force:
        first = ", ".join(place_of(domain, int(k)).removeprefix(f"{domain.name}, ") for k in trained[:FIRST])
        told = f"{first}, ..." if len(trained) > FIRST else first
        raise DataError(
            f"{domain.name}: {len(trained)} of {len(domain)} rows were trained on with their labels ({told}); "
            "take others, or --force to evaluate all the same"
        )
    return {"trained_on": len(trained), "seen_unlabelled": seen - len(trained)}


def record(
    folder: Path,
    value: dict[str, Any],
    domain: Domain,
    label: str | None,
    seen: Mapping[str, int],
    purpose: Purpose = "evaluate",
) -> None:
    """Write into a run's result that these labels were opened; that stays true whatever fails after this.

    Args:
        folder: of the run.
        value: its result, which is changed.
        domain: labelled rows of the target.
        label: their column.
        seen: from `check_rows`.
        purpose: what they are opened for.
    """
    opening = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "for": purpose,
        "data": domain.name,
        "label": label,
        "rows": len(domain),
        "hash": domain.fingerprint,
        **seen,
    }
    value["seal"] = {"opened": value["seal"]["opened"] + 1, "openings": [*value["seal"]["openings"], opening]}
    write_json(folder / "result.json", value)


def evaluations(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The openings of a result that were evaluations, the last one last."""
    return [each for each in value["seal"]["openings"] if each.get("for", "evaluate") == "evaluate"]
