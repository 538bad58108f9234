"""Where the sources are: one file in which a column tells sites apart is a source for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from acclimate.domains.arrays import ArrayFile, matching
from acclimate.domains.columns import join_names
from acclimate.domains.from_tables import together
from acclimate.domains.labels import canonical
from acclimate.domains.locator import Locator, column_of, parse
from acclimate.domains.series import KEYS
from acclimate.domains.tables import TABLES, TableFile, need_columns, suffix_of
from acclimate.errors import DataError, SettingsError

MOST = 200
"""Sites that one file may hold; a column of more values is hardly one of sites."""


def of_sites(places: Sequence[Any], site: str | None, targets: Sequence[Any]) -> list[Any]:
    """The places, each one apart by its values in the column ``site``; as they are where that is None.

    A site of which a target in the same file has rows is left out: its labels are sealed.

    Raises:
        SettingsError: a place is no file of a table, and no NPZ.
        DataError: no such column, a row without a value, too many values, or none but the target's.
    """
    if site is None:
        return list(places)
    return [own for place in places for own in _apart(place, site, targets)]


def _apart(place: Any, site: str, targets: Sequence[Any]) -> list[str]:
    if not isinstance(place, str | Path) or not _has_columns(locator := parse(place)):
        told = place if isinstance(place, str | Path) else type(place).__name__
        raise SettingsError(
            f"--site {site}: sites are told apart in tables and NPZ files, and {told} is none; give each site as a "
            "source of its own"
        )
    found = _values(locator, site)
    shared = [where for where in map(_located, targets) if where is not None and _path(where) == _path(locator)]
    own = sorted(found.difference(*(_values(target, site) for target in shared)))
    if not own:
        raise DataError(f"{locator}: column '{site}' names no site but the target's: {join_names(sorted(found))}")
    if len(own) > MOST:
        raise DataError(f"{locator}: column '{site}' has {len(own):,} values; at most {MOST} are taken for sites")
    rest = {key: values for key, values in locator.select.items() if column_of(key) != site}
    return [str(Locator(locator.path, {**rest, site: (value,)})) for value in own]


def _located(place: Any) -> Locator | None:
    locator = parse(place) if isinstance(place, str | Path) else None
    return locator if locator is not None and _has_columns(locator) else None


def _has_columns(locator: Locator) -> bool:
    return not locator.on_hub and suffix_of(Path(locator.path)) in (*TABLES, ".npz")


def _path(locator: Locator) -> Path:
    return locator.existing().resolve()


def _values(locator: Locator, site: str) -> set[str]:
    """What the column holds in the rows that a locator selects."""
    path, arrays = locator.existing(), suffix_of(Path(locator.path)) == ".npz"
    columns: Any = ArrayFile(path) if arrays else TableFile(path)
    known = list(columns) if arrays else columns.columns
    need_columns([site], known, str(path), "array" if arrays else "column")
    beside = (*KEYS, "x", "y") if arrays else KEYS
    select = locator.rows(*(key for key in beside if key in ("x", "y") or key not in known))
    if not arrays:
        columns = together(columns, list(dict.fromkeys([site, *map(column_of, select)])))
    keep = matching(columns, select, str(path))
    values = columns[site] if keep is None else columns[site][keep]
    return set(canonical(values, f"{path}: site '{site}'"))
