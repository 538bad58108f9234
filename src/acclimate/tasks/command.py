"""Spoken commands: which word or intent a clip holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from acclimate.domains.domain import Domain
from acclimate.errors import DataError
from acclimate.tasks.classify import Classify


@dataclass(frozen=True)
class Command(Classify):
    """One of ``classes`` (words, intents) for each sound; in everything else it is `Classify`."""

    name: ClassVar[str] = "command"

    @classmethod
    def from_domain(cls, domain: Domain) -> Self:
        """The words or intents that a labelled domain shows, sorted.

        Raises:
            DataError: rows that are no sounds, or fewer than two classes.
        """
        if domain.schema.modality != "audio":
            raise DataError(f"{domain.name} is {domain.schema.modality}, and commands are sounds; use --task classify")
        return super().from_domain(domain)
