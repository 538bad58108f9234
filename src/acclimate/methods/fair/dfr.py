"""Deep feature reweighting: the last layer fitted anew on held-out rows in which all groups count alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch

from acclimate.errors import SettingsError
from acclimate.methods.base import Method
from acclimate.methods.data import Data, Need
from acclimate.methods.fair.groups import balanced, codes
from acclimate.methods.transfer.source_only import SourceOnly
from acclimate.training.model import Model
from acclimate.training.stage import Adjust, Reader, Stage


@dataclass(frozen=True)
class DFR(Method):
    """Training on most of the source, then a new last layer on the rest, each group of label and people weighing alike.

    Networks learn good features also where their last layer relies on a clue that holds in most groups only; fitting
    that layer anew on rows that the features were not fitted to, with groups balanced, mends it. The paper draws
    balanced subsets and averages; here all rows are used with weights, which is the same on average. The rows come out
    of the training rows, so that held-out rows stay held out. No target is needed.

    Helps where a small group breaks a clue and features know better. Hurts with few rows: the smallest group of the
    rest decides, and features see fewer rows.

    Kirichenko, Izmailov & Wilson, Last Layer Re-Training is Sufficient for Robustness to Spurious Correlations, ICLR
    2023, section 4. Related: groupdro (trains all layers for the worst group).

    Attributes:
        share: of the source's rows for the last layer (paper: its validation set, 10 to 20 %).
        penalty: of the last layer's weights, see `Task.solve`.
    """

    share: float = 0.25
    penalty: float = 1.0

    name: ClassVar[str] = "dfr"
    about: ClassVar[str] = "last layer fitted anew on rows with balanced groups (Kirichenko et al. 2023)"
    ranges: ClassVar[Mapping[str, str]] = {"share": "(0, 1)", "penalty": "(0, inf)"}
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"penalty": (1.0, 10.0, 0.1), "share": (0.25, 0.5)}
    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "classes", "sensitive")

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """Those of source_only on most of the rows, and the last layer."""
        source = data.source
        assert source is not None
        rows = source.order  # by content, which tells nothing
        kept = max(1, round(self.share * len(rows)))
        first = replace(data, source=source.select(np.sort(rows[kept:])))
        rest = source.select(np.sort(rows[:kept]))
        return [
            *SourceOnly().stages(first, convex),
            Adjust(self.name, lambda model, reader: self._fit(data, rest, model, reader)),
        ]

    def _fit(self, data: Data, rest: Any, model: Model, reader: Reader) -> dict[str, Any]:
        if not isinstance(model.head, torch.nn.Linear):
            raise SettingsError(f"method '{self.name}' fits a linear head anew, and this head is none")
        rest = rest.select(rest.order)
        with torch.inference_mode():
            read = [model.eval().features(batch.inputs).cpu().numpy() for batch in reader.batches(rest)]
        values = np.concatenate(read)
        groups = codes(rest, by_label=True)
        where = next(model.head.parameters()).device
        model.head = model.task.solve(values, rest.labels, self.penalty, balanced(groups)).to(where)
        return {}
