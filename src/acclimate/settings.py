"""Settings are frozen dataclasses; this module builds them from recipes and options, with clear errors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from acclimate.errors import SettingsError, unknown

T = TypeVar("T")


def build(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """A settings dataclass from a mapping; text values are converted to the field's type.

    Raises:
        SettingsError: an unknown key (names the nearest one) or a value of the wrong type.
    """
    known = [field.name for field in dataclasses.fields(kind) if field.init]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise SettingsError(f"{where}: {unknown('setting', str(key), known)}")
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in (where, *first["loc"]))
        if first["type"] == "value_error":  # a dataclass's own check: its sentence names what it found
            raise SettingsError(f"{place}: {first['ctx']['error']}") from None
        raise SettingsError(f"{place}: {first['msg']} (found {first['input']!r})") from None


def within(settings: Any, /, **intervals: str) -> None:
    """Check numbers against intervals: ``within(self, strength="[0, inf)", threshold="(0, 1)")``; None passes.

    Raises:
        SettingsError: a value outside, or NaN.
    """
    for name, interval in intervals.items():
        value = getattr(settings, name)
        low, high = (float(bound) for bound in interval[1:-1].split(","))
        inside = value is None or low < value < high
        inside = inside or (interval[0] == "[" and value == low) or (interval[-1] == "]" and value == high)
        if not inside:
            raise SettingsError(f"{name} must lie in {interval}, found {value}")


def as_dict(settings: Any) -> dict[str, Any]:
    """The settings as plain JSON values, tuples as lists."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(settings).items()}
