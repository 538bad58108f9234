"""Self-training: the model's own texts for the target's inputs, those that it is sure of, teach it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from acclimate.backbones.base import Backbone
from acclimate.domains.batch import Batch
from acclimate.domains.domain import Domain
from acclimate.methods.base import Data, Method, Need
from acclimate.methods.transfer.source_only import SourceOnly
from acclimate.training.model import Model
from acclimate.training.stage import Adjust, Loop, Pass, Reader, Stage


@dataclass(frozen=True)
class SelfTraining(Method):
    """A model of the source writes a text for every input of the target, and learns from the surest of them.

    Once it is trained on the source it writes (translations, transcripts, summaries); the ``share`` of them with the
    highest mean probability of their tokens are then learned like given ones, beside the source's own::

        L = L_task(source) + strength * L_task(target inputs, what was written)

    Both parts of the training take the steps that a recipe names. Dropout stays on while it learns and is off while it
    writes: of this noise come the gains (He et al.).

    Helps where the source model is mostly right in the target, and unlabelled inputs are many. Hurts where it is not:
    its errors are learned by heart, and confidence is no protection, since short and empty phrases are sure ones.

    Related: FixMatch (for classes), back-translation (texts of the target's output side; docs/translation.md).

    Zhang and Zong, Exploiting Source-side Monolingual Data in Neural Machine Translation, EMNLP 2016, section 4.1;
    He et al., Revisiting Self-Training for Neural Sequence Generation, ICLR 2020, algorithm 1.

    Attributes:
        share: of the target's rows that teach, the surest.
        strength: weight of their loss.
    """

    share: float = 0.5
    strength: float = 1.0

    name: ClassVar[str] = "self_training"
    about: ClassVar[str] = "its own surest texts for the target's inputs teach a model that writes (He et al. 2020)"
    ranges: ClassVar[Mapping[str, str]] = {"share": "(0, 1]", "strength": "[0, inf)"}
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"strength": (1.0, 0.3), "share": (0.5, 1.0, 0.2)}
    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "target_inputs", "writing")

    def lacks(self, backbone: Backbone, frozen: bool) -> str:
        """Something that can learn."""
        return f"method '{self.name}' trains the backbone; use --tune full, or lora" if frozen else ""

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """Training on the source, writing, and training on both."""
        assert data.source is not None and data.target is not None
        streams = {"source": data.source, "target": data.target}
        return [
            *SourceOnly().stages(data, convex),
            Adjust("write", partial(self._write, data.target, streams)),
            Loop(self.name, streams, self, validation=data.source_validation),
        ]

    def _write(self, target: Domain, streams: dict[str, Domain], model: Model, reader: Reader) -> dict[str, Any]:
        """Put the target with what the model writes of it into the streams of the stage that follows."""
        ordered = target.select(target.order)
        answers = model.task.decode(reader.outputs(ordered), rows=ordered.rows)
        assert answers.confidence is not None
        said = np.flatnonzero([bool(str(text).strip()) for text in answers.prediction])
        count = max(1, round(self.share * len(ordered)))
        kept = np.sort(said[np.argsort(-answers.confidence[said], kind="stable")[:count]])
        sure = float(answers.confidence[kept].mean()) if len(kept) else 0.0
        if len(kept):
            streams["target"] = replace(ordered.select(kept), labels=answers.prediction[kept])
        return {"written": len(ordered), "kept": len(kept), "confidence": round(sure, 4)}

    def objective(self, step: Pass, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        """The loss on given texts, and that on written ones."""
        losses = {name: step.run(batch).loss for name, batch in batches.items()}
        source, target = losses["source"], losses["target"]
        assert source is not None
        told = {} if target is None else {"written": self.strength * target.mean()}
        return {"task": source.mean(), **told}
