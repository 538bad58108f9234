"""Errors a user can mend: what was found, where, what was expected, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class AcclimateError(Exception):
    """Base of every error that a user can mend; the command line prints it without a traceback."""

    exit_code = 1


class SettingsError(AcclimateError, ValueError):
    """A setting, recipe or combination that cannot be: exit code 2."""

    exit_code = 2


class DataError(AcclimateError, ValueError):
    """Data that are missing, broken or do not fit: exit code 3."""

    exit_code = 3


class MissingAssetError(AcclimateError, ImportError):
    """An extra that is not installed, or an asset that is not on this machine: exit code 4."""

    exit_code = 4


class DivergedError(AcclimateError, ArithmeticError):
    """Training reached a loss or gradient that is not finite; the last good state was kept."""


class InterruptedRunError(AcclimateError):
    """A signal ended the run after its checkpoint was saved: exit code 128 + signal."""

    def __init__(self, message: str, signal_number: int):
        super().__init__(message)
        self.exit_code = 128 + signal_number

    def __reduce__(self) -> tuple[type, tuple[str, int]]:
        return type(self), (str(self), self.exit_code - 128)  # it crosses processes


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The sentence for a name that does not exist: names the nearest one, or all (of many the first 30)."""
    known = sorted(set(known))
    near = [same for same in known if same.lower() == name.lower()] or get_close_matches(name, known, n=1, cutoff=0.5)
    shown = ", ".join(known[:30]) + (f", ... ({len(known)})" if len(known) > 30 else "")
    hint = f"did you mean '{near[0]}'?" if near else f"known: {shown}" if known else "there are none"
    return f"unknown {kind} '{name}'; {hint}"
