"""Correction for label shift: what all its methods share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from acclimate.errors import SettingsError
from acclimate.methods.base import Tail
from acclimate.methods.data import Data, Need
from acclimate.methods.label_shift.pieces import calibrate, soften, weights
from acclimate.training.model import Model
from acclimate.training.stage import Adjust, Reader, Stage


@dataclass(frozen=True)
class Answered:
    """Calibrated answers that shares are estimated from.

    Attributes:
        source: ``[n, classes]`` on the source's held-out rows.
        source_targets: ``[n]`` their class indices.
        target: ``[m, classes]``.
    """

    source: np.ndarray
    source_targets: np.ndarray
    target: np.ndarray


class LabelShift(Tail):
    """Base of the methods that estimate the target's class shares, and correct the head's bias for them.

    Answers are calibrated first, ``p = softmax(z / T + b)``; with weights ``w = q / s`` the corrected ones are
    ``p w / sum(p w)``, which is ``softmax(z' / T)`` with ``T (b + log w)`` added to the head's bias.
    """

    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "target_inputs", "classes")
    changes = "class shares"
    echoes: ClassVar[bool] = True

    def misses(self, data: Data) -> str:
        """Held-out source rows are needed too."""
        if data.source is not None and not data.source_validation:
            return (
                f"method '{self.name}' calibrates answers on held-out source rows, and there are none; "
                "set --validation above 0"
            )
        return super().misses(data)

    def tail(self, data: Data) -> Sequence[Stage]:
        """One change of the head's bias."""
        return [Adjust(self.name, lambda model, reader: self._change(data, model, reader))]

    @abstractmethod
    def shares(self, answered: Answered) -> tuple[np.ndarray, np.ndarray]:
        """Class shares of target and source, ``[classes]`` each."""

    def _change(self, data: Data, model: Model, reader: Reader) -> dict[str, Any]:
        assert data.source_validation is not None and data.target is not None
        if not isinstance(model.head, nn.Linear) or model.head.bias is None:
            raise SettingsError(f"method '{self.name}' corrects the bias of a linear head, and this head has none")
        # in an order that depends on content alone, as sums are rounded in the order they are taken
        validation, target = (d.select(d.order) for d in (data.source_validation, data.target))
        assert validation.labels is not None
        targets = model.task.encode(validation.labels).numpy()
        logits = {name: reader.outputs(d)["logits"] for name, d in (("source", validation), ("target", target))}
        heat, bias = calibrate(logits["source"], targets)
        answers = {name: soften(value, heat, bias) for name, value in logits.items()}
        shares, source_shares = self.shares(Answered(answers["source"], targets, answers["target"]))
        shift = heat * (bias + np.log(weights(shares, source_shares)))
        with torch.no_grad():
            model.head.bias.add_(torch.from_numpy(shift).to(model.head.bias))
        classes = model.task.config()["classes"]
        return {"temperature": heat, "shares": dict(zip(classes, shares.tolist(), strict=True))}
