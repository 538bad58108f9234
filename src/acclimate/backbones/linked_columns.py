"""Two domains with other columns as rows of one width, so that one layer is an encoder for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy import sparse

from acclimate.backbones import column_encoder
from acclimate.backbones.column_encoder import ColumnEncoder
from acclimate.backbones.parts import Parts, of_numbers
from acclimate.domains.domain import Domain
from acclimate.errors import DataError


@dataclass(frozen=True)
class LinkedEncoder:
    """Rows of either domain as ``[first's columns | the other's own columns | 1 for the other's rows]``.

    A linear layer on these is one encoder a domain, added into one hidden layer: columns that both have share their
    weights and so link the two; each domain's own columns have weights of their own, and the last column gives the
    other domain a bias of its own. What a row cannot have is imputed: the first's columns by a typical value
    (`ColumnEncoder.typical`), the other's own by zeros. So the layer is plain imputation where weights of the other's
    own columns are zero, and the ordinary layer where the columns are the same.

    Sharing the weights of what is shared and adding what is one's own is feature augmentation (Daumé III,
    Frustratingly Easy Domain Adaptation, ACL 2007) for domains whose columns differ (Duan, Xu & Tsang, Learning with
    Augmented Features for Heterogeneous Domain Adaptation, ICML 2012), its projections learned with the network.

    Attributes:
        first: of the domain that labels come from first.
        own: of the columns that only the other domain has, None without any.
        lacking: columns that the other domain has not; of arrays, whose columns have no names, none are shared and
            the shape of a row tells whose it is.
    """

    first: ColumnEncoder
    own: ColumnEncoder | None
    lacking: list[str]

    @property
    def kind(self) -> str:
        """As of the first domain."""
        return self.first.kind

    @property
    def size(self) -> int:
        """Number of columns that come out."""
        return self.first.size + self._more

    @property
    def owners(self) -> list[str]:
        """See `ColumnEncoder.owners`; the last column, which tells whose a row is, is of none."""
        return [*self.first.owners, *([] if self.own is None else self.own.owners), ""]

    @property
    def blank(self) -> np.ndarray:
        """See `ColumnEncoder.blank`; the other's own columns are zero."""
        return np.concatenate([self.first.blank, np.zeros(self._more, dtype=np.float32)])

    @property
    def idle(self) -> int:
        """How many last columns are zero in every row of the first domain, where something is shared.

        Layers that read them start with zero weights there, which is imputation. Where nothing is shared, all of the
        other's rows would then look alike, and no gradient could tell them apart: the weights stay random.
        """
        shares = self.kind == "table" and len(self.lacking) < len(self.first.columns)
        return self._more if shares else 0

    @property
    def _more(self) -> int:
        return (0 if self.own is None else self.own.size) + 1

    def encode(self, raw: Any) -> np.ndarray:
        """Raw rows of one of the domains -> ``[n, size]`` float32.

        Raises:
            DataError: columns that neither domain has all of; else as `ColumnEncoder.encode`.
        """
        others = self._of_the_other(raw)
        known = self.first.encode(self._completed(raw) if others else raw)
        own = np.zeros((len(raw), self._more), dtype=np.float32)
        if others:
            own[:, -1] = 1
            if self.own is not None:
                own[:, :-1] = self.own.encode(raw)
        return np.hstack([known, own])

    def _of_the_other(self, raw: Any) -> bool:
        if self.kind != "table":
            return self.own is not None and list(raw.shape[1:]) == self.own.shape
        if self.lacking:
            return any(name not in raw.columns for name in self.lacking)
        return self.own is not None and all(name in raw.columns for name in self.own.columns)

    def _completed(self, raw: Any) -> Any:
        typical = self.first.typical()
        if isinstance(typical, np.ndarray):
            return np.broadcast_to(typical, (len(raw), *typical.shape))
        return raw.assign(**{name: typical[name] for name in self.lacking})

    def to_json(self) -> dict[str, Any]:
        own = None if self.own is None else self.own.to_json()
        return {"first": self.first.to_json(), "own": own, "lacking": self.lacking}


def link(first: ColumnEncoder, other: Domain) -> LinkedEncoder:
    """The encoder of a domain, and of another one, of which only the inputs of its own columns are learned from.

    Raises:
        DataError: sparse rows, or a column of dates.
    """
    fit = partial(column_encoder.fit, other, standardize=first.standardize, binarize=first.binarize)
    if first.kind == "sparse":
        raise DataError(f"{other.name}: sparse rows of another width; svmlight: fix it with ?features=N")
    if first.kind == "array":
        return LinkedEncoder(first, fit(), [])
    mine, theirs = first.columns, list(other.rows.take(other.order[:1]).columns)
    own = [name for name in theirs if name not in mine]
    encoder = fit(only=own) if own else None
    return LinkedEncoder(first, encoder, [name for name in mine if name not in theirs])


def parts(encoder: ColumnEncoder | LinkedEncoder, raw: Any) -> Parts:
    """Raw columns of one row, of a sparse one those that are not zero; one that is left out is at its typical value."""
    encoded: Any = encoder.encode(raw)
    found = encoded.toarray() if sparse.issparse(encoded) else encoded
    of = [name if found[0, k] or encoder.kind != "sparse" else "" for k, name in enumerate(encoder.owners)]
    names = list(dict.fromkeys(name for name in of if name))
    place = {name: k for k, name in enumerate(names)}
    owner = torch.tensor([place.get(name, -1) for name in of], dtype=torch.int64)
    values, blank = torch.from_numpy(found), torch.from_numpy(encoder.blank)[None]
    if encoder.kind == "table":
        cells = [raw[name].iloc[0] for name in names]
    else:  # columns of an array are called by their numbers
        flat = (raw.toarray() if sparse.issparse(raw) else np.asarray(raw)).reshape(-1)
        cells = [flat[int(name) - 1] for name in names]
    return of_numbers("columns", names, names, values, blank, owner, shown={"cells": cells})


def restore(value: Mapping[str, Any]) -> ColumnEncoder | LinkedEncoder:
    """Either encoder from what its ``to_json`` gave."""
    if "first" not in value:
        return ColumnEncoder.from_json(value)
    own = None if value["own"] is None else ColumnEncoder.from_json(value["own"])
    return LinkedEncoder(ColumnEncoder.from_json(value["first"]), own, list(value["lacking"]))
