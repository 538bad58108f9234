"""A run of one training loop: begun in a new folder, continued after a kill, and its record."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from acclimate.errors import DataError
from acclimate.files import read_json, write_json
from acclimate.runs.folder import Lock, check_free, clear
from acclimate.runs.log import Found, rewind, tidy
from acclimate.runs.recipe import MAIN_KEY, Recipe, read
from acclimate.training.device import Place, place

Record = dict[str, Any]


class Plan(Protocol):
    """What was read, made and checked before anything is trained."""

    @property
    def recipe(self) -> Recipe:
        """With every default written out."""
        ...

    @property
    def found(self) -> dict[str, Any]:
        """What the data are, as plain values."""
        ...

    @property
    def fingerprints(self) -> dict[str, str]:
        """Hashes of the rows."""
        ...


AnyPlan = TypeVar("AnyPlan", bound=Plan)
CarryOut = Callable[[AnyPlan, Path, Place], Record]


def begin(
    recipe: Recipe,
    folder: Path,
    prepare: Callable[[], AnyPlan],
    carry_out: CarryOut[AnyPlan],
    *,
    force: bool,
    found: Found,
) -> Record:
    """Prepare, take the folder, write what is needed to resume, and carry out; of several processes the first writes.

    Raises:
        AcclimateError: see `acclimate.errors`.
    """
    where = place(recipe.device, recipe.precision)
    if where.rank == 0:
        check_free(folder, force)
    plan = prepare()
    with Lock(folder, where):
        if where.rank == 0:
            check_free(folder, force)  # it may have been taken while the data were read
            found(plan.found)
            clear(folder)
            write_json(folder / "data.json", plan.fingerprints)
            plan.recipe.write(folder / "recipe.yaml")
        where.wait()
        return carry_out(plan, folder, where)


def again(
    recipe: Recipe, folder: Path, prepare: Callable[[], AnyPlan], carry_out: CarryOut[AnyPlan], *, found: Found
) -> Record:
    """Prepare anew, and carry out from the last checkpoint.

    Raises:
        DataError: the data have changed since.
    """
    plan = prepare()
    if read_json(folder / "data.json") != plan.fingerprints:
        raise DataError(f"{folder}: the data have changed since the run began; start a new one")
    where = place(recipe.device, recipe.precision)
    with Lock(folder, where):
        if where.rank == 0:
            found(plan.found)
            tidy(folder)
            rewind(folder)
        where.wait()
        return carry_out(plan, folder, where)


def method_of(folder: Path) -> str | None:
    """The method that the recipe in a folder names."""
    path = folder / "recipe.yaml"
    method = read(path).get("method") if path.is_file() else None
    return method.get(MAIN_KEY["method"]) if isinstance(method, Mapping) else method


def losses(path: Path) -> dict[str, dict[str, float]]:
    """The first and the last value of each loss in a log."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if "losses" in row]
    return {name: {"first": value, "last": rows[-1]["losses"][name]} for name, value in rows[0]["losses"].items()}


def load(path: Path, version: int, of: str) -> Record:
    """The record of a run.

    Args:
        path: of the file.
        version: that this program reads.
        of: what kind of run, for errors.

    Raises:
        DataError: there is none, or it is not readable.
    """
    try:
        value: Record = read_json(path)
        if value["version"] != version:
            raise DataError(f"{path}: version {value['version']}, this Acclimate reads {version}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a readable record of {of} ({error})") from None
    return value
