"""What a user asks of a private training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from acclimate.errors import SettingsError

WEAKEST = 100.0
"""exp(100) times as likely is no protection; to account for more takes minutes."""
KEYS = ("epsilon", "delta", "clip", "of", "accountant", "seeded")


@dataclass(frozen=True)
class Privacy:
    """A budget of differential privacy, and how it is spent.

    Attributes:
        epsilon: how much more likely one row can make any model, as exp(epsilon); 1 is strong, 10 is weak.
        delta: probability with which that may fail; it must be below one over the number of rows.
        clip: largest norm of the gradient of one row; smaller ones add less noise and more bias.
        of: whose rows are protected: the "source"'s, while what needs statistics takes them from the target's inputs;
            or those of "both" domains, and then nothing may take statistics of rows.
        accountant: prv (Gopi, Lee & Wutschitz 2021: tight) or rdp (Mironov, Talwar & Zhang 2019: an upper bound).
        seeded: noise and sampling follow from the run's seed. For tests: who knows the seed can take the noise away.
    """

    epsilon: float = math.inf
    delta: float = 0.0
    clip: float = 1.0
    of: Literal["source", "both"] = "source"
    accountant: Literal["prv", "rdp"] = "prv"
    seeded: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.epsilon <= WEAKEST:
            raise SettingsError(
                f"privacy.epsilon must be above 0 and at most {WEAKEST:g}, beyond which nothing is protected; found "
                f"{self.epsilon}, and 8 is usual"
            )
        if not 0 < self.delta < 1:
            raise SettingsError(
                f"privacy.delta must be above 0 and below one over the number of rows, found {self.delta}; give "
                "--privacy epsilon=8,delta=1e-5"
            )
        if not 0 < self.clip < math.inf:
            raise SettingsError(f"privacy.clip must be above 0, found {self.clip}")


def parse(value: Any) -> dict[str, Any]:
    """Plain values from ``"epsilon=8,delta=1e-5"``, or a mapping as it is.

    Raises:
        SettingsError: of another form.
    """
    if not isinstance(value, str):
        return dict(value)
    found: dict[str, Any] = {}
    for part in value.split(","):
        name, equals, text = part.partition("=")
        if not equals or not name.strip():
            raise SettingsError(f"--privacy {value!r}: expected KEY=VALUE,... with keys of {', '.join(KEYS)}")
        text = text.strip()
        try:
            found[name.strip()] = float(text)
        except ValueError:
            found[name.strip()] = text == "true" if text in ("true", "false") else text
    return found
