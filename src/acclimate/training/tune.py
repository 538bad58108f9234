"""What happens to the backbone while training: which parameters learn, how fast, and what holds them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from acclimate.errors import MissingAssetError, SettingsError
from acclimate.training.model import Model, seeded
from acclimate.training.settings import Training, Tune


@dataclass
class Group:
    """Parameters that share a learning rate.

    Attributes:
        parameters: what learns.
        rate: base learning rate.
        opens: the progress from which they learn.
        decays: whether weight decay pulls their matrices towards 0.
    """

    parameters: list[nn.Parameter]
    rate: float
    opens: float = 0.0
    decays: bool = True


class Tuning:
    """A `Tune` applied to one model."""

    def __init__(self, model: Model, tune: Tune, training: Training):
        spec = model.backbone.spec
        if tune.kind != "frozen" and not spec.trainable:
            raise SettingsError(f"backbone '{spec.name}' has nothing to train; use --tune frozen")
        self.model, self.kind, self.alpha = model, tune.kind, tune.alpha
        self.frozen_norms = tune.batch_norm == "frozen" and spec.pretrained
        if tune.kind == "lora":
            add_lora(model, tune.rank)
        self.fresh = [] if tune.kind == "frozen" else model.backbone.fresh()
        blocks = self._blocks(tune)
        rate = training.learning_rate or spec.learning_rate * (5 if tune.kind == "lora" else 1)
        factor = training.head_factor if spec.pretrained and tune.kind not in ("frozen", "lora") else 1.0
        if tune.kind == "frozen":
            rate = training.learning_rate or 1e-3
        heads = list(model.neck.parameters()), [*model.head.parameters(), *self.fresh]
        self.groups = [Group(parameters, rate * factor) for parameters in heads]
        for depth, block in enumerate(reversed(blocks)):
            slower = tune.decay**depth if tune.kind == "discriminative" else 1.0
            opens = 0.5 * (depth + 1) / len(blocks) if tune.kind == "gradual" else 0.0
            self.groups.append(Group(block, rate * slower, opens, decays=tune.kind != "l2sp"))
        learning = {id(p) for group in self.groups for p in group.parameters}
        for p in model.parameters():
            p.requires_grad_(id(p) in learning and p.is_floating_point())
        self.anchor = [p.detach().clone() for b in blocks for p in b] if tune.kind == "l2sp" else []
        self._pulled = [p for b in blocks for p in b] if tune.kind == "l2sp" else []

    def _blocks(self, tune: Tune) -> list[list[nn.Parameter]]:
        if tune.kind == "frozen":
            return []
        if tune.kind == "lora":
            return [[p for n, p in self.model.backbone.named_parameters() if "lora_" in n]]
        used = {id(p) for p in self.fresh}
        blocks = []
        for block in self.model.backbone.blocks():
            fresh = [p for p in block if p.requires_grad and id(p) not in used]
            used.update(id(p) for p in fresh)
            if fresh:
                blocks.append(fresh)
        return blocks

    def at(self, progress: float) -> None:
        """Open the groups that learn from this progress on."""
        for group in self.groups:
            if group.opens:
                for p in group.parameters:
                    p.requires_grad_(progress >= group.opens)

    def train(self) -> None:
        """Training mode, with pretrained batch-norm statistics left alone if so set."""
        self.model.train()
        if self.frozen_norms:
            for norm in norms(self.model.backbone):
                norm.eval()

    def penalty(self) -> Tensor | None:
        """L2-SP: ``alpha / 2 * ||w - w0||^2`` over the backbone (Li et al. 2018, eq. 3), or None."""
        if not self._pulled:
            return None
        pairs = zip(self._pulled, self.anchor, strict=True)
        return 0.5 * self.alpha * torch.stack([(p - a).square().sum() for p, a in pairs]).sum()


NO_NORMS = (
    "this method moves the scale and shift of normalisation layers, and this model has none that learn; "
    "use a backbone with batch, layer or group norm and --tune full"
)
NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def norms(module: nn.Module) -> list[_BatchNorm]:
    """All batch norms inside."""
    return [m for m in module.modules() if isinstance(m, _BatchNorm)]


def affine(module: nn.Module, groups: Iterable[Group]) -> list[nn.Parameter]:
    """Scale and shift of the normalisation layers inside, as far as they are among the groups."""
    learning = {id(p) for group in groups for p in group.parameters}
    layers = [m for m in module.modules() if isinstance(m, NORMS)]
    return [p for layer in layers for p in layer.parameters(recurse=False) if id(p) in learning]


def add_lora(model: Model, rank: int) -> None:
    """Add low-rank adapters (through PEFT) to the modules that the backbone names; a second stage keeps the first's."""
    if any("lora_" in name for name, _ in model.backbone.named_parameters()):
        return
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise MissingAssetError(f"--tune lora needs the package 'peft' ({error}); pip install peft") from None
    targets = model.backbone.lora_targets()
    with seeded(model.seed, "lora"):
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets), model.backbone)


def merge_lora(model: Model) -> None:
    """Fold the adapters into the weights, so that the saved model is a plain one."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(model.backbone.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge(safe_merge=True)
            parent, _, child = name.rpartition(".")
            setattr(model.backbone.get_submodule(parent), child, module.get_base_layer())
    for p in model.parameters():
        p.requires_grad_(False)
