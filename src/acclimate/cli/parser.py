"""An argument parser whose errors are `SettingsError` and name the nearest known word."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from acclimate.errors import SettingsError, unknown


class Parser(argparse.ArgumentParser):
    """Raises instead of leaving, and does not take abbreviations: a script would break when an option is added."""

    def __init__(self, **options: Any):
        super().__init__(**{"allow_abbrev": False, **options})

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """The arguments.

        Raises:
            SettingsError: they are not well formed.
        """
        args, rest = self.parse_known_args(words)
        if rest:
            known = args.verb.options if rest[0].startswith("-") else []
            said = unknown("option", rest[0].split("=")[0], known) if known else f"unexpected argument '{rest[0]}'"
            raise SettingsError(f"{said}; see `{args.verb.prog} --help`")
        return args

    @property
    def options(self) -> list[str]:
        """All long options."""
        return [name for name in self._option_string_actions if name.startswith("--")]

    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message}; see `{self.prog} --help`")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            kind = action.metavar or action.dest
            raise argparse.ArgumentError(None, unknown(str(kind).lower(), str(value), map(str, action.choices)))
