"""auto: the average of the best arms, distilled into one model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from acclimate.domains.batch import Batch
from acclimate.methods.base import Method
from acclimate.methods.data import Data, Need
from acclimate.training.model import Model
from acclimate.training.stage import Adjust, Convex, Loop, Pass, Reader, Stage, Update

FROZEN = (
    "dann", "cdan", "mcd", "mmd", "coral", "afn", "deepjdot", "ot_mapping", "mcc", "bnm", "fixmatch", "shot",
    "importance_weighting", "dann+mcc",
)  # fmt: skip
"""What is tried on frozen features unless the user names others: all that move answers in ways of their own."""
TRAINED = ("dann", "cdan", "mmd", "mcc", "bnm", "shot")
"""The same where the backbone is trained for each."""
PICKED = ("finetune", "joint", "dann", "mmd", "knn_mt", "joint+dann", "cmf", "emcdr", "ptupcdr")
"""The same where answers have no classes, and labels of the target pick the best arm."""
GENTLE = 0.03
"""The strength of DANN on masks and boxes: it pulls harder at every pixel than at one vector a row."""
MAPPED = ("finetune", "joint", f"dann:strength={GENTLE}", "fda", "self_training")
"""The same of masks and boxes."""
Validator = Literal["dawid_skene+infomax", "dawid_skene", "infomax", "bnm", "ensv", "agreement"]
"""By what arms may be ranked: validators that need nothing but answers on the target."""


@dataclass(frozen=True)
class Auto(Method):
    """No method is picked: the best few arms' calibrated answers are averaged, and one model learns the average.

    The candidates, source_only and the plain baseline are trained; all are calibrated on held-out source rows; the
    ``top`` of them by the validator (no labels) are averaged, and a fresh model of the same backbone is
    fitted to that average on the target's rows (cross-entropy against probabilities, Hinton et al., 2015, T = 1).
    Whether it is then deployed, the other arms decide by vote (`acclimate.selection.votes`). Permitted target labels
    (ten are of use) are not trained on: they set the weights of the average (`stack`), and decide where they can.

    Helps when nobody knows which method fits, as the errors of different arms cancel and a bad pick costs one part in
    ``top``. Hurts when most arms fail the same way, above all under shifted class shares, where arms are preferred
    that spread their answers; and the pupil, which sees target rows alone, may forget the source.

    Answers without classes (numbers, texts, masks) are neither ranked without labels nor averaged: there, candidates
    may learn from permitted target labels, and the arm that is best on held-out ones is taken as it is (but no plain
    baseline, which adapts nothing: a remark says where one is better). Its figure on those rows flatters, the more so
    the more arms there are. Without permitted labels all are trained, so that one evaluation shows them side by side,
    and the source's model is kept.

    Related: `average` and the validators of `acclimate.selection.validators`.

    Attributes:
        candidates: methods that are tried beside source_only and the plain baseline, each as its name, with settings
            if wanted (``mcc:strength=0.3``, ``dann+mcc:dann.strength=0.3``); or ``all``; none named: those of `FROZEN`
            or `TRAINED` that suit the data.
        settings: how many settings of each candidate are tried: 1 is that named, more come from its search range.
        top: how many arms are averaged; 1 picks the best one, and teaches it.
        validator: by which score arms are ranked; the default is the mean rank by Dawid-Skene, which asks for answers
            that others share, and InfoMax, which asks for sure and varied ones.
    """

    candidates: tuple[str, ...] = ()
    settings: int = 1
    top: int = 3
    validator: Validator = "dawid_skene+infomax"

    name: ClassVar[str] = "auto"
    about: ClassVar[str] = "train several methods, average the best without labels, distil them into one model"
    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "target_inputs")
    ranges: ClassVar[Mapping[str, str]] = {"settings": "[1, inf)", "top": "[1, inf)"}

    def misses(self, data: Data) -> str:
        """Without classes: held-out labels of the target, or a model of the source to keep."""
        keeps = data.source is not None and data.same_task and (data.difference is None or bool(data.difference.shared))
        if not data.has["classes"] and data.labelled_target_validation is None and not keeps:
            return (
                f"method '{self.name}' needs classes, held-out labels of the target by which to pick the best arm, or "
                f"a model of the source to keep, and task '{data.task.name}' has none of these here; --target-label "
                f"{data.named} permits some"
            )
        return super().misses(data)

    def stages(self, data: Data, convex: bool) -> Sequence[Stage]:
        """Learning from the teacher's answers on the target; before there is a teacher, the outline of it."""
        assert data.target is not None
        soft = None if data.teacher is None else data.teacher.answers
        if not convex:
            streams, taught = {"source": data.target}, {} if soft is None else {"source": soft}
            return [Loop("distil", streams, self, validation=data.source_validation, soft=taught), _fidelity(data)]
        assert data.source is not None
        head = Convex("distil", data.source, data.source_validation, target=data.target, soft=soft)
        return [head, _fidelity(data)]

    def updates(self, step: Pass, batches: Mapping[str, Batch]) -> Iterator[Update]:
        """Cross-entropy against the teacher's probabilities."""
        loss = step.run(batches["source"]).loss
        assert loss is not None
        yield Update({"distil": loss.mean()})


def _fidelity(data: Data) -> Adjust:
    """How well the pupil learned is written down; it is as calibrated as its teacher."""

    def change(model: Model, reader: Reader) -> dict[str, Any]:
        assert data.target is not None and data.teacher is not None
        answers = model.task.decode(reader.outputs(data.target)).probabilities
        assert answers is not None
        same = float((answers.argmax(axis=1) == data.teacher.answers.argmax(axis=1)).mean())
        return {"temperature": 1.0, "fidelity": round(same, 4), "members": list(data.teacher.members)}

    return Adjust("fidelity", change)
