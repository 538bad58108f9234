"""Settings of a training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from acclimate.errors import SettingsError

Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Training:
    """How the loop runs; the same for every arm, so that arms differ by their method alone.

    Attributes:
        epochs: passes over the first stream (the source). A run's default depends on the backbone: 3 where a
            pretrained one is trained, 20 from scratch, 30 on frozen features.
        steps: number of optimizer steps; overrides epochs.
        batch_size: rows of each stream in one step.
        learning_rate: rate of the backbone; None takes the backbone's own advice.
        head_factor: how much faster new layers learn than a pretrained backbone (Ganin et al. 2016 use 10).
        optimizer: adamw, adam, or sgd (momentum 0.9).
        schedule: linear or cosine decay after warm-up, constant, or dann: (1 + 10 p)^-0.75
            (Ganin et al., JMLR 2016, section 5.2.2).
        warmup: share of the steps over which the rate grows from 0.
        weight_decay: on matrices only.
        clip: largest gradient norm of each player; 0 switches it off.
        accumulate: parts into which a batch is cut to save memory.
        keep: which state is kept: last, or the best by source validation, by its worst_group (the sensitive group with
            the lowest accuracy there: Sagawa et al. 2020), or by the label-free InfoMax; None is infomax
            for what auto tries, and last otherwise.
        patience: epochs without a better score after which training stops (with keep other than last).
        checkpoint_seconds: time between checkpoints; 0 saves at every step.
    """

    epochs: float = 3.0
    steps: int | None = None
    batch_size: int = 32
    learning_rate: float | None = None
    head_factor: float = 10.0
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    schedule: Literal["linear", "cosine", "constant", "dann"] = "linear"
    warmup: float = 0.06
    weight_decay: float = 0.01
    clip: float = 1.0
    accumulate: int = 1
    keep: Literal["last", "source", "worst_group", "infomax"] | None = None
    patience: int | None = None
    checkpoint_seconds: float = 60.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "head_factor", "learning_rate", "steps", "patience"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise SettingsError(f"training.{name} must be above 0, found {value}")
        for name in ("clip", "weight_decay", "checkpoint_seconds"):
            if not 0 <= getattr(self, name) < math.inf:
                raise SettingsError(f"training.{name} must not be negative, found {getattr(self, name)}")
        if not 0 <= self.warmup < 1:
            raise SettingsError(f"training.warmup is a share of the steps, 0 to 1; found {self.warmup}")


@dataclass(frozen=True)
class Tune:
    """What happens to the backbone.

    Attributes:
        kind: frozen (features are read once, through the cache), full, gradual (blocks are unfrozen
            from the head down over the first half; Howard & Ruder 2018), discriminative (each block
            learns slower than the one above it; same paper), lora (Hu et al. 2021), l2sp (pulled
            towards the pretrained weights; Li et al. 2018).
        layer: the feature layer that the head reads; None is the backbone's default, or, on frozen
            features, the one whose linear probe is best on validation.
        bottleneck: width of a trainable layer between backbone and head; 0 is none; None is none,
            but 256 where a method aligns frozen features, since something must be able to move.
        decay: discriminative: the factor from block to block (ULMFiT uses 1 / 2.6).
        alpha: l2sp: weight of the pull.
        rank: lora: rank of the update.
        batch_norm: frozen keeps pretrained statistics (Gulrajani & Lopez-Paz 2021), train updates them.
    """

    kind: Literal["frozen", "full", "gradual", "discriminative", "lora", "l2sp"] = "frozen"
    layer: str | None = None
    bottleneck: int | None = None
    decay: float = 1 / 2.6
    alpha: float = 0.01
    rank: int = 8
    batch_norm: Literal["frozen", "train"] = "frozen"

    def __post_init__(self) -> None:
        if self.bottleneck is not None and self.bottleneck < 0:
            raise SettingsError(f"tune.bottleneck must not be negative, found {self.bottleneck}")
        if self.rank < 1:
            raise SettingsError(f"tune.rank must be at least 1, found {self.rank}")
        if not 0 < self.decay <= 1:
            raise SettingsError(f"tune.decay is a factor above 0 and at most 1, found {self.decay}")
        if not 0 <= self.alpha < math.inf:
            raise SettingsError(f"tune.alpha must not be negative, found {self.alpha}")
