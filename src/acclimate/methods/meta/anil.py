"""ANIL: almost no inner loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from acclimate.methods.meta.maml import MAML


@dataclass(frozen=True)
class ANIL(MAML):
    """MAML whose inner loop moves the head alone; the body learns in the outer loop, through it.

    Helps where features of the training tasks serve the new ones: as good as MAML on Omniglot and mini-ImageNet, and
    faster. **Hurts** where the new tasks need other features. Settings and the rest as in `MAML`.

    Raghu et al., Rapid Learning or Feature Reuse?, ICLR 2020, section 4.
    """

    name: ClassVar[str] = "anil"
    about: ClassVar[str] = "MAML whose inner loop moves the head alone (Raghu et al. 2020)"

    def rates(self, weights: Mapping[str, Tensor], parts: Mapping[str, nn.Module], steps: int) -> list[Any]:
        """One rate, for the head's weights."""
        return [{name: self.rate for name in weights if name.startswith("head.")}] * steps
