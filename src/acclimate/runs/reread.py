"""A run's data once more, as training was handed them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from acclimate.domains.domain import Domain
from acclimate.errors import DataError
from acclimate.files import read_json
from acclimate.runs.execute import fingerprints
from acclimate.runs.prepare import Prepared, prepare
from acclimate.runs.reading import read_source, read_target
from acclimate.runs.recipe import Recipe, again


def reread(
    folder: Path, call: str, *, source: Sequence[Any] | None = None, target: Sequence[Any] | None = None
) -> tuple[Recipe, Prepared, Domain | None]:
    """Recipe and data of a finished run, and the source as it is read.

    Args:
        folder: of the run.
        call: what the user would write to give data that came from Python.
        source: objects in the place of the recipe's source locators.
        target: the same of the target.

    Raises:
        DataError: rows that are gone, or have changed since the run.
        SettingsError: data that came from Python and are not given.
    """
    recipe = again(folder, call, source=source, target=target)
    try:
        whole = read_source(recipe, source)
        prepared = prepare(recipe, whole, read_target(recipe, whole, target))
    except DataError as error:
        raise DataError(
            f"{error}. The rows of the run are read again for this: put the file back, or say with --source where it is"
        ) from None
    if read_json(folder / "data.json") != fingerprints(prepared.data):
        raise DataError(f"{folder}: the data have changed since the run; adapt anew")
    return recipe, prepared, whole
