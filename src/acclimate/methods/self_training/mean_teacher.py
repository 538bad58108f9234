"""Mean teacher: the average of the model's recent weights answers target rows, and teaches their strong views."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from acclimate.domains.augment import View
from acclimate.domains.batch import Batch
from acclimate.methods.base import Align
from acclimate.methods.data import Need
from acclimate.tasks.sites import Width
from acclimate.training.model import Model, Step
from acclimate.training.stage import Pass

TEACHER = "teacher"


class Average(nn.Module):
    """The average of a model's weights and running statistics over steps, each step weighing less the older it is.

    Tarvainen and Valpola, Mean teachers are better role models, NeurIPS 2017, eq. 2. It is no copy of the network: the
    network itself runs with these weights. What does not learn is not kept.
    """

    steps: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steps", torch.zeros(()))

    @property
    def values(self) -> dict[str, Tensor]:
        """The averages by the names that the model has for them."""
        return {name.replace("/", "."): value for name, value in self.named_buffers() if name != "steps"}

    @torch.no_grad()
    def follow(self, model: nn.Module, momentum: float, share: float = 1.0) -> None:
        """Take in the weights as they are now, or a ``share`` of that; the first ones are taken as they are."""
        learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
        statistics = {name: b for name, b in model.named_buffers() if b.is_floating_point()}
        known = self.values
        for name, value in {**learned, **statistics}.items():
            if name in known:
                known[name].lerp_(value, 1 - momentum**share)
            else:
                self.register_buffer(name.replace(".", "/"), value.detach().clone())
        self.steps += share

    @torch.no_grad()
    def answer(self, model: Model, batch: Batch) -> Step:
        """What the model says of a batch with these weights, without dropout; the model is as before afterwards."""
        with _evaluating(model):
            step: Step = functional_call(model, self.values, (batch,))
        return step

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        for name, value in own.items():
            if name not in self._buffers:
                self.register_buffer(name, torch.empty_like(value, device=self.steps.device))
        super()._load_from_state_dict(state, prefix, *rest)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@dataclass(frozen=True)
class MeanTeacher(Align):
    """A teacher answers target rows as they are; what it is sure of, the model learns of their strong views.

    ``L = L_task(source) + strength * L_task(strong views of target rows, the teacher's sure answers)``. The teacher is
    the model itself with the average of its weights since the ``burn_in``, during which the source alone teaches. What
    is learned are targets as the task makes them of answers, with the task's own loss: classes of rows, categories of
    pixels (others count for nothing), boxes of objects (places of boxes that are half sure count for nothing). Strong
    views change colours, blur and cover; an image's two views lie alike, so that boxes stay where they are. The model
    that is kept is the pupil: as the rate falls to nothing the two become one, and so other losses can be added
    (``dann+mean_teacher`` is Li et al.'s Adaptive Teacher).

    **Helps** where the source model is right in the target where it is sure, and augmentation crosses what differs
    (light, colour, blur, noise). **Hurts** where it is sure and wrong, and in short trainings, where an average is
    behind; needs four passes a step for two.

    Related: FixMatch (the model teaches itself at the same step; classes and pixels only), self_training (answers once,
    after a whole training).

    Tarvainen and Valpola, NeurIPS 2017; Liu et al., Unbiased Teacher for Semi-Supervised Object Detection, ICLR 2021,
    section 3 (burn-in, threshold, weak and strong views; there boxes are not learned, here they are); Li et al.,
    Cross-Domain Adaptive Teacher for Object Detection, CVPR 2022.

    Attributes:
        strength: weight of what the teacher teaches (Adaptive Teacher: 1). 0 trains like source_only, bit for bit.
        threshold: confidence from which on an answer teaches (papers: 0.7 and 0.8 of detectors trained for long).
        momentum: what is kept of the average at each step (papers: 0.999 and more, of trainings of 10,000 steps).
        burn_in: share of the steps before the teacher begins.
    """

    strength: float = 1.0
    threshold: float = 0.5
    momentum: float = 0.99
    burn_in: float = 0.3

    name: ClassVar[str] = "mean_teacher"
    about: ClassVar[str] = "averaged weights answer, strong views learn it (Tarvainen 2017, Liu 2021)"
    ranges: ClassVar[Mapping[str, str]] = {
        "strength": "[0, inf)", "threshold": "[0, 1)", "momentum": "[0, 1)", "burn_in": "[0, 1)",
    }  # fmt: skip
    search: ClassVar[Mapping[str, tuple[Any, ...]]] = {"threshold": (0.5, 0.8, 0.3), "strength": (1.0, 0.3, 3.0)}
    needs: ClassVar[tuple[Need, ...]] = ("source_labels", "target_inputs", "sure_targets")
    views: ClassVar[tuple[View, ...]] = ("strong",)

    def parts(self, sites: Mapping[str, Width]) -> dict[str, nn.Module]:
        """The averaged weights."""
        return {TEACHER: Average()}

    def terms(self, step: Pass, source: Step, target: Step) -> dict[str, Tensor]:
        """The loss on strong views; nothing before the teacher begins."""
        if step.progress < self.burn_in:
            return {}
        teacher = step.parts[TEACHER]
        assert isinstance(teacher, Average)
        model = step.open(target.batch, TEACHER)
        teacher.follow(model, self.momentum, step.share)
        told, sure = model.task.sure_targets(teacher.answer(model, target.batch).outputs, self.threshold)
        pupil = step.run(replace(target.batch.views["strong"], targets=told, weight=sure))
        assert pupil.loss is not None
        return {TEACHER: self.strength * pupil.loss.mean()}
