"""Self-training: the model's own answers for the target's inputs, those that it is sure of, teach it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from torch import Tensor

from acclimate.backbones.base import Backbone
from acclimate.domains.batch import Batch
from acclimate.domains.domain import Domain
from acclimate.methods.base import Method
from acclimate.methods.data import Data, Need
from acclimate.methods.transfer.source_only import SourceOnly
from acclimate.training.model import Model
from acclimate.training.stage import Adjust, Loop, Pass, Reader, Stage


@dataclass(frozen=True)
class SelfTraining(Method):
    """A model of the source answers every input of the target, and learns from the surest of its answers.

    Once it is trained on the source it answers; the surest ``share`` is then learned like given labels, beside the
    source's own::

        L = L_task(source) + strength * L_task(target inputs, what was answered)

    Of what is written (translations, transcripts, summaries) these are the texts with the highest mean probability of
    their tokens. Of masks they are pixels: of each category the surest ones, each by a threshold of its own, so that
    rare and hard categories teach too (class balance, Zou et al.), and of objects the surest boxes of each kind. Both
    parts of the training take the steps that a recipe names. Dropout stays on while it learns and is off while it
    answers: of this noise come the gains of texts (He et al.).

    Helps where the source model is mostly right in the target, and unlabelled inputs are many. Hurts where it is not:
    its errors are learned by heart, and confidence is no protection, since short and empty phrases are sure ones.

    Related: FixMatch (for classes), back-translation (texts of the target's output side; docs/translation.md).

    Zhang and Zong, Exploiting Source-side Monolingual Data in Neural Machine Translation, EMNLP 2016, section 4.1;
    He et al., Revisiting Self-Training for Neural Sequence Generation, ICLR 2020, algorithm 1; Zou et al., Unsupervised
    Domain Adaptation for Semantic Segmentation via Class-Balanced Self-Training, ECCV 2018, eq. 6.

    Attributes:
        share: of the target's rows that teach, the surest; of masks and boxes, of those of each category.
        strength: weight of their loss.
    """

    share: float = 0.5
    strength: float = 1.0

    name: ClassVar[str] = "self_training"
    about: ClassVar[str] = "its own surest texts, pixels or boxes of the target teach it (He 2020, Zou 2018)"
    ranges: ClassVar[Mapping[str, str]] = {"share": "(0, 1]", "strength": "[0, inf)"}
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"strength": (1.0, 0.3), "share": (0.5, 1.0, 0.2)}
    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "target_inputs", "pseudo_labels")

    def lacks(self, backbone: Backbone, frozen: bool) -> str:
        """Something that can learn."""
        return f"method '{self.name}' trains the backbone; use --tune full, or lora" if frozen else ""

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """Training on the source, answering, and training on both."""
        assert data.source is not None and data.target is not None
        streams = {"source": data.source, "target": data.target}
        return [
            *SourceOnly().stages(data, convex),
            Adjust("answer", partial(self._answer, data.target, streams)),
            Loop(self.name, streams, self, validation=data.source_validation),
        ]

    def _answer(self, target: Domain, streams: dict[str, Domain], model: Model, reader: Reader) -> dict[str, Any]:
        """Put the target with what the model says of it into the streams of the stage that follows."""
        ordered = target.select(target.order)
        found = model.task.surest(reader.outputs(ordered), self.share, ordered.rows)
        if len(found.rows):
            streams["target"] = replace(ordered.select(found.rows), labels=found.labels)
        return {"answered": len(ordered), "kept": len(found.rows), "confidence": round(found.confidence, 4)}

    def objective(self, step: Pass, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        """The loss on given labels, and that on its own."""
        losses = {name: step.run(batch).loss for name, batch in batches.items()}
        source, target = losses["source"], losses["target"]
        assert source is not None
        told = {} if target is None else {"pseudo": self.strength * target.mean()}
        return {"task": source.mean(), **told}
