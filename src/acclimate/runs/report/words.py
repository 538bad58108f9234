"""The words of a report in one language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from acclimate.digits import digits
from acclimate.errors import SettingsError
from acclimate.runs.report import chinese, english
from acclimate.runs.report.sections import LANGUAGES
from acclimate.runs.report.told import in_chinese

WORDS: Mapping[str, Mapping[str, str]] = {"en": english.WORDS, "zh": chinese.WORDS}
MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"
"""What stands where there is no figure."""


class Words:
    """Sentences and figures in a language.

    Args:
        language: en or zh.

    Raises:
        SettingsError: another one.
    """

    def __init__(self, language: str = "en"):
        if language not in WORDS:
            raise SettingsError(f"--lang {language}: expected one of {', '.join(LANGUAGES)}")
        self.language = language
        self._words = WORDS[language]

    def __call__(self, key: str, **values: Any) -> str:
        """The sentence of that name with these values in it."""
        return self._words[key].format(**values)

    def maybe(self, key: str, otherwise: str) -> str:
        """The words for something that has a name of its own; the name where there are none."""
        return self._words.get(key, otherwise)

    def count(self, what: str, number: int) -> str:
        """``1 row``, ``2,000 rows``."""
        return self(f"count.{what}.one" if number == 1 else f"count.{what}", n=f"{number:,}")

    def metric(self, name: str) -> str:
        """A metric as people call it."""
        return self.maybe(f"metric.{name}", name.replace("_", " "))

    def text(self, value: Any) -> str:
        """What a section says: a text, or the one in this language."""
        return str(value[self.language]) if isinstance(value, Mapping) else str(value)

    def said(self, value: Any) -> tuple[str, str]:
        """What a section says in a sentence, and its language: one text alone is taken for English."""
        return (str(value[self.language]), self.language) if isinstance(value, Mapping) else self.told(str(value))

    def told(self, sentence: str) -> tuple[str, str]:
        """A sentence that the run wrote, in English: in this language, and the language that it is in then."""
        if self.language == "en":
            return sentence, "en"
        found = in_chinese(sentence)
        return (sentence, "en") if found is None else (found, "zh")

    def interval(self, bounds: Sequence[float] | None) -> str:
        """``0.71 to 0.78``; nothing where there is none."""
        return "" if bounds is None else self("interval", low=number(bounds[0]), high=number(bounds[1]))

    def between(self, value: float | None, bounds: Sequence[float] | None) -> str:
        """A value and its interval in brackets."""
        return number(value) + (f" ({self.interval(bounds)})" if bounds is not None else "")

    def signed_interval(self, difference: Mapping[str, Any]) -> str:
        """The interval of a difference that has one."""
        return self("interval", low=sign(difference["low"]), high=sign(difference["high"]))


def number(value: float | None) -> str:
    """With its `digits`; a dash for nothing."""
    return NOTHING if value is None else f"{value:{digits(value)}}".replace("-", MINUS)


def sign(value: float) -> str:
    """With a sign."""
    return f"{value:+{digits(value)}}".replace("-", MINUS)


def percent(share: float) -> str:
    """``12 %``; a digit more where that would be 0 or 100."""
    digits = 0 if share in (0.0, 1.0) or 0.01 <= share <= 0.99 else 1
    if 0.9995 <= share < 1:
        return ">\u00a099.9\u00a0%"
    return f"{100 * share:.{digits}f}\u00a0%"
