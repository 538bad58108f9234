"""Forest: a random forest on frozen features of the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from acclimate.backbones.base import Backbone
from acclimate.errors import SettingsError
from acclimate.methods.base import Method
from acclimate.methods.data import Data, Need
from acclimate.training.forest import LINKS, grow
from acclimate.training.model import Model
from acclimate.training.stage import Adjust, Reader, Stage


@dataclass(frozen=True)
class RandomForest(Method):
    """Breiman's random forest (Machine Learning 2001) in the place of the linear head; the target plays no part.

    The plain model to beat on tables and on fingerprints of molecules: a split asks whether a number is large or a
    fragment is there, needs no scale, and sees what features mean together.

    **Helps** where features are many, of different kinds, and only some matter. **Hurts** where the answer is a
    weighted sum of all of them, as on features of pretrained networks, and where the target lies outside of what the
    source showed: a tree answers there as at its border. It aligns nothing.

    Related: source_only, which is a linear head on the same features.

    Attributes:
        trees: how many there are; several labels share them.
        leaf: rows of a leaf at least; more make smoother probabilities.
    """

    trees: int = 200
    leaf: int = 1

    name: ClassVar[str] = "forest"
    about: ClassVar[str] = "a random forest on frozen features of the source, the plain model of tables and molecules"
    needs: ClassVar[tuple[Need, ...]] = ("source_labels",)
    ranges: ClassVar[Mapping[str, str]] = {"trees": "[1, inf)", "leaf": "[1, inf)"}
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"leaf": (1, 5, 20)}

    def misses(self, data: Data) -> str:
        """Another kind of answer than trees give."""
        task = data.source_task
        if task.kind not in LINKS or task.reads != "row" or data.has["users"]:
            return f"method '{self.name}' answers with classes, labels or numbers, and task '{task.name}' with others"
        return super().misses(data)

    def lacks(self, backbone: Backbone, frozen: bool) -> str:
        """Dense features."""
        if backbone.spec.sparse:
            return f"method '{self.name}' needs dense features, and those of backbone '{backbone.spec.name}' are sparse"
        return super().lacks(backbone, frozen)

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """One closed form.

        Raises:
            SettingsError: the features are trained.
        """
        if not convex:
            raise SettingsError(
                f"method '{self.name}' reads frozen features as they are; use --tune frozen, and leave tune.bottleneck "
                "out"
            )

        def change(model: Model, reader: Reader) -> dict[str, Any]:
            assert data.source is not None and data.source.labels is not None
            with torch.inference_mode():
                read = [model.features(batch.inputs).cpu().numpy() for batch in reader.batches(data.source)]
            task, features = data.source_task, np.concatenate(read)
            targets = task.encode(data.source.labels).numpy()
            options = {"trees": self.trees, "leaf": self.leaf, "seed": model.seed}
            grown = grow(task.kind, features, targets, len(task.config().get("classes", ())), **options)
            model.head = grown.to(model.device)
            return {}

        return [Adjust(self.name, change)]
