"""SUTA: a few steps on one utterance without its transcript, before it is answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from acclimate.backbones.base import Backbone
from acclimate.domains.batch import Batch
from acclimate.methods.base import Tail
from acclimate.methods.data import Data, Need
from acclimate.methods.self_training.mcc import class_confusion
from acclimate.training.model import Model, Step
from acclimate.training.stage import Adjust, Reader, Stage
from acclimate.training.stream import changed
from acclimate.training.tune import NO_NORMS, NORMS


@dataclass(frozen=True)
class SUTA(Tail):
    """Surer answers to each row by itself; the weights are as before for the next one.

    Of tasks whose answers are made of tokens: ``L = a * H + (1 - a) * C``, the mean entropy of the frames whose
    likeliest character is no blank, and the confusion of characters over all frames (`class_confusion`), both of
    logits divided by the temperature. A decoder first writes its answer; then ``L = H``, the entropy of its tokens
    after those before, as in SGEM without beams and negative samples. What moves is what the paper moves: the norms'
    scale and shift, and the layers nearest to the sound.

    Helps against noise and voices that training has not heard, when most of what is said is right already. Hurts when
    it is not: it grows surer of mistakes; and every answer costs ``steps`` times a training step. No target is needed,
    and `predict` adapts to whatever comes.

    Lin et al., Listen, Adapt, Better WER: Source-free Single-utterance Test-time Adaptation for Automatic Speech
    Recognition (SUTA), Interspeech 2022, section 2; Kim et al., SGEM: Test-Time Adaptation for Automatic Speech
    Recognition via Sequential-Level Generalized Entropy Minimization, Interspeech 2023.

    Attributes:
        steps: of AdamW on each row (paper: 10). 0 answers like source_only, bit for bit.
        rate: learning rate (paper: 2e-5 or so; a network from scratch may need more).
        entropy: ``a``, the entropy's part beside the confusion's (paper: 0.3).
        temperature: by which logits are divided (paper: 2.5).
    """

    steps: int = 10
    rate: float = 2e-5
    entropy: float = 0.3
    temperature: float = 2.5

    name: ClassVar[str] = "suta"
    about: ClassVar[str] = "entropy and confusion of one utterance, at test time (Lin et al. 2022)"
    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "tokens")
    ranges: ClassVar[Mapping[str, str]] = {
        "steps": "[0, 1000]", "rate": "(0, 1]", "entropy": "[0, 1]", "temperature": "(0, inf)",
    }  # fmt: skip
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"steps": (10, 3, 20), "rate": (2e-5, 1e-4, 5e-6)}
    changes = "answers"

    def lacks(self, backbone: Backbone, frozen: bool) -> str:
        """Norms whose scale and shift can move."""
        return "" if any(isinstance(module, NORMS) for module in backbone.modules()) else NO_NORMS

    def tail(self, data: Data) -> Sequence[Stage]:
        """From then on the model adapts to each row."""

        def change(model: Model, reader: Reader) -> dict[str, Any]:
            model.at_test = self if self.steps else None
            return {"steps_a_row": self.steps}

        return [Adjust(self.name, change)]

    def answer(self, model: Model, batch: Batch, autocast: AbstractContextManager[object]) -> Step:
        """What the model says of a batch of one row after steps on it; the weights are then as they were."""
        with torch.inference_mode(False):
            batch = replace(batch, inputs=changed(batch.inputs, torch.clone))
            with _moving(model) as weights, torch.enable_grad():
                optimizer = torch.optim.AdamW(weights, lr=self.rate)
                for _ in range(self.steps):
                    optimizer.zero_grad()
                    self.loss(model, batch, autocast).backward()
                    optimizer.step()
                with torch.no_grad():
                    return model(batch, autocast)

    def loss(self, model: Model, batch: Batch, autocast: AbstractContextManager[object]) -> Tensor:
        """How unsure the model is of its answer to one row, a scalar; 0 where it says nothing."""
        features = model.features(batch.inputs, autocast)
        task = model.task
        with torch.no_grad():
            targets = task.own_targets(model.answer(batch, features).outputs)
        logits, said = task.tokens(model.answer(replace(batch, targets=targets), features).outputs)
        soft = (logits / self.temperature).log_softmax(-1)
        unsure = -(soft.exp() * soft).sum(-1)[said].sum() / said.sum().clamp(min=1)
        if targets is not None:
            return unsure
        return self.entropy * unsure + (1 - self.entropy) * class_confusion(soft.exp(), temperature=1.0)


@contextmanager
def _moving(model: Model) -> Iterator[list[nn.Parameter]]:
    """Parameters that may move inside the block; afterwards all are as before, bit for bit."""
    norms = [p for m in model.backbone.modules() if isinstance(m, NORMS) for p in m.parameters(recurse=False)]
    weights = list({id(p): p for p in (*norms, *model.backbone.blocks()[0])}.values())
    known, learned = [p.detach().clone() for p in weights], {p: p.requires_grad for p in model.parameters()}
    for p in model.parameters():
        p.requires_grad_(False)
    for p in weights:
        p.requires_grad_(True)
    try:
        yield weights
    finally:
        with torch.no_grad():
            for p, before in zip(weights, known, strict=True):
                p.copy_(before)
        for p, learns in learned.items():
            p.requires_grad_(learns)
            p.grad = None
