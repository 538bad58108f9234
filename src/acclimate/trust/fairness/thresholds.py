"""A threshold for each group, so that those who deserve the positive answer get it equally often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from acclimate.errors import DataError, SettingsError
from acclimate.files import read_json, write_json
from acclimate.trust.fairness.groups import FEWEST

STEPS = 101
FILE = "fairness.json"


@dataclass(frozen=True)
class Thresholds:
    """What is kept beside a model of two classes, for `predict` to use on request.

    Attributes:
        positive: the answer that people wish for: the second class.
        columns: column to group to the probability from which the answer is the positive one; see `equal_opportunity`.
        rows: held-out rows that they were fitted to.
    """

    positive: str
    columns: Mapping[str, Mapping[str, float]]
    rows: int

    def of(self, column: str) -> Mapping[str, float]:
        """Of one column.

        Raises:
            SettingsError: nothing was fitted for it.
        """
        if column not in self.columns:
            raise SettingsError(
                f"no thresholds for groups by '{column}' (there are: {', '.join(self.columns) or 'none'}): adapt fits "
                f"them for the columns of --sensitive, where each group has {FEWEST} held-out rows of '{self.positive}'"
            )
        return self.columns[column]

    def bars(self, column: str, groups: np.ndarray) -> np.ndarray:
        """The threshold ``[n]`` of each row, by its group in a column.

        Raises:
            DataError: a group that was not among the held-out rows.
        """
        known = self.of(column)
        if strange := sorted(set(map(str, groups)) - set(known)):
            raise DataError(
                f"column '{column}' has the group '{strange[0]}', for which there is no threshold; known are "
                f"{', '.join(known)}: leave these rows out, or predict them without thresholds"
            )
        return np.array([known[str(name)] for name in groups])

    def write(self, folder: Path) -> None:
        """A file in a model's folder."""
        write_json(folder / FILE, {"positive": self.positive, "columns": self.columns, "rows": self.rows})

    @classmethod
    def load(cls, folder: Path) -> Thresholds | None:
        """Of a model's folder; None where there are none."""
        return cls(**read_json(folder / FILE)) if (folder / FILE).is_file() else None


def fit(
    probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[str], columns: Mapping[str, np.ndarray]
) -> Thresholds:
    """Thresholds for each column of which every group has 10 positive rows.

    Args:
        probabilities: ``[n, 2]`` of held-out rows, as `predict` gives them.
        labels: ``[n]``.
        classes: two; the second is the positive one.
        columns: groups ``[n]`` by column.
    """
    positive = np.asarray(labels) == classes[1]
    enough = {
        name: groups
        for name, groups in columns.items()
        if min(int(positive[groups == group].sum()) for group in np.unique(groups.astype(str))) >= FEWEST
    }
    scores = probabilities[:, 1]
    return Thresholds(
        str(classes[1]),
        {name: equal_opportunity(scores, positive, groups) for name, groups in enough.items()},
        len(scores),
    )


def equal_opportunity(scores: np.ndarray, positive: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """The thresholds by group that give all groups one true positive rate, the one with the best accuracy.

    Hardt, Price & Srebro, Equality of Opportunity in Supervised Learning, NeurIPS 2016, section 4.2, without its
    randomisation between two thresholds, so that rates are equal up to one row of each group. Fit it on held-out rows.

    Helps where scores of one group are lower than those of another for the same merit. It needs the group of every new
    row, which may be forbidden to use; it costs accuracy where a group's scores tell less. Held-out rows of the source
    say nothing of the target's rates: fairness does not transfer by itself.

    Args:
        scores: ``[n]``, higher where the positive answer is likelier.
        positive: ``[n]`` bool, the truth.
        groups: ``[n]`` names, each with a positive row.

    Returns:
        Group to threshold: rows with a score of at least this get the positive answer.
    """
    names = np.unique(groups.astype(str))
    owner = groups.astype(str)

    def at(rate: float) -> dict[str, float]:
        found = {}
        for name in names:
            own = np.sort(scores[(owner == name) & positive])[::-1]
            found[str(name)] = float(own[max(1, round(rate * len(own))) - 1])
        return found

    def accuracy(rate: float) -> float:
        found = at(rate)
        return float(((scores >= np.array([found[name] for name in owner])) == positive).mean())

    return at(max(np.linspace(0, 1, STEPS), key=accuracy))
