"""TENT: entropy minimisation over the scales and shifts of normalisation layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from acclimate.backbones.base import Backbone
from acclimate.domains.batch import Batch
from acclimate.methods.base import Tail
from acclimate.methods.data import Data, Need
from acclimate.methods.source_free.adabn import take_statistics
from acclimate.methods.source_free.pieces import entropy
from acclimate.training.stage import Adjust, Loop, Pass, Stage, Update
from acclimate.training.tune import NO_NORMS, NORMS


@dataclass(frozen=True)
class TENT(Tail):
    """The target's statistics, then surer answers by moving nothing but the norms' scale and shift.

    First `AdaBN`'s statistics (where there is batch norm), then ``L = H(p)``, the mean entropy of the answers on the
    target, over the affine parameters of batch, layer and group norms. So few parameters cannot forget much. The
    paper adapts while it predicts, batch by batch; here the training's steps run over the target rows that there are.

    Helps against corruption and other changes of style that norms can undo, when class shares are alike. Hurts when
    steps are many, batches small or shares far from equal: nothing asks for variety, and everything may end in one
    class. Settings are those of the training (``training.learning_rate``; paper: 1e-3 with Adam, 2.5e-4 with SGD;
    search 1e-5 to 1e-3, and few epochs). A model without such norms is refused, and frozen features have none.

    Related: AdaBN (statistics alone), SHOT (all features, and variety).

    Wang et al., Tent: Fully Test-Time Adaptation by Entropy Minimization, ICLR 2021, section 3.
    """

    name: ClassVar[str] = "tent"
    about: ClassVar[str] = "entropy minimisation over norms' scale and shift (Wang et al. 2021)"
    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "target_inputs", "probabilities")
    aligns: ClassVar[bool] = True
    changes = "weights"

    def lacks(self, backbone: Backbone, frozen: bool) -> str:
        """Norms whose scale and shift can move."""
        return "" if not frozen and any(isinstance(module, NORMS) for module in backbone.modules()) else NO_NORMS

    def tail(self, data: Data) -> Sequence[Stage]:
        """The statistics, then a loop over the target."""
        target = data.target
        assert target is not None
        return [
            Adjust("statistics", lambda model, reader: {"layers": take_statistics(target, model, reader)}),
            Loop(self.name, {"target": target}, self, validation=data.source_validation),
        ]

    def updates(self, step: Pass, batches: Mapping[str, Batch]) -> Iterator[Update]:
        """One update of the norms."""
        sites = step.run(batches["target"]).sites
        losses = {f"entropy_{name}": entropy(site.probs) for name, site in sites.items() if site.probs is not None}
        yield Update(losses, ("norms",))
