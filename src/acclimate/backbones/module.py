"""Any `torch.nn.Module` from Python as a backbone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from acclimate.backbones.base import Spec
from acclimate.backbones.hashing import weights_key
from acclimate.backbones.layers import LayeredBackbone, image_layout, pool
from acclimate.backbones.parts import Parts, of_numbers, of_pixels, of_words
from acclimate.domains.domain import Domain, Modality
from acclimate.errors import SettingsError

Collate = Callable[..., Any]


@dataclass(frozen=True)
class Settings:
    """Nothing to set: the module is what it is."""


class ModuleBackbone(LayeredBackbone):
    """Features are the module's output, or those of named submodules, averaged over places or tokens."""

    kind = "module"

    def __init__(self, network: nn.Module, collate: Collate, places: Mapping[str, str], spec: Spec, example: Any):
        super().__init__()
        self.network, self.settings, self.places, self.spec = network, Settings(), dict(places), spec
        self._collate = collate
        self._object = token_hex(16)  # code has no hash: features are shared by copies of this object alone
        self._augments = "training" in inspect.signature(collate).parameters
        self._usual = image_layout(network) is torch.contiguous_format
        self._example = example
        if example is not None:
            self.spec = replace(spec, layers=self.measure(list(places)))

    @property
    def learns(self) -> bool:
        return False  # one row tells the width, and nothing else

    def fit(self, domain: Domain) -> None:
        if self._example is None:
            self._example = domain.rows.take(domain.order[:1])
        self.spec = replace(self.spec, layers=self.measure(list(self.places)))

    def collate(self, raw: Any, *, training: bool = False, rng: np.random.Generator | None = None) -> Any:
        return self._collate(raw, training=training, rng=rng) if self._augments else self._collate(raw)

    def example(self) -> Any:
        if self._example is None:
            raise SettingsError(
                f"the width of '{self.spec.name}' is not known before its first input: pass example= (one raw row "
                "in a list or array) to from_module, or call fit(domain)"
            )
        return self.collate(self._example)

    def parts(self, raw: Any) -> Parts:
        """Words of texts, patches of images that become one tensor, columns of arrays."""
        modality, look = self.spec.modality, self._collate
        if modality == "text":
            return of_words(raw[0], self.collate)
        values = self.collate(raw)
        if (
            modality == "image"
            and isinstance(values, Tensor)
            and values.ndim == 4
            and values.shape[2] == values.shape[3]
        ):
            return of_pixels(values, getattr(look, "mean", (0.0,)), getattr(look, "std", (1.0,)))
        if modality == "array" and isinstance(values, Tensor):
            flat = values.flatten(1)
            names = [str(k + 1) for k in range(flat.shape[1])]
            owner = torch.arange(flat.shape[1]).reshape(values.shape[1:])
            blank = torch.zeros_like(values)
            return of_numbers("columns", names, names, values, blank, owner, shown={"cells": flat[0].tolist()})
        return super().parts(raw)

    def run(self, inputs: Any) -> Any:
        if isinstance(inputs, Mapping):
            return self.network(**inputs)
        return self.network(inputs.contiguous() if self._usual else inputs)

    def pool(self, output: Tensor, inputs: Any) -> Tensor:
        return pool(output, inputs.get("attention_mask") if isinstance(inputs, Mapping) else None)

    def config(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.spec.name, "layers": dict(self.places)}

    def cache_key(self) -> str:
        return weights_key(self, {**self.config(), "object": self._object})


def from_module(
    module: nn.Module,
    modality: Modality,
    *,
    collate: Collate | None = None,
    layers: Sequence[str] | None = None,
    example: Any = None,
    name: str | None = None,
    pretrained: bool = True,
    learning_rate: float = 1e-4,
) -> ModuleBackbone:
    """A backbone around a module that the caller made.

    Args:
        module: called with what ``collate`` returns (keyword arguments if that is a mapping).
        modality: what the raw rows are.
        collate: raw rows (see `acclimate.domains.domain.Rows`) to a tensor or a mapping of tensors; may take
            ``training`` and ``rng``. An `ImagePreprocess` is one. None is for arrays: they become tensors.
        layers: dotted names of submodules, input side first, the last being the default; None is the
            module's own output, as layer ``output``.
        example: one raw row in a list or array, by which widths are found; None waits for `fit`.
        name: for people; the class name if None.
        pretrained: whether frozen features make sense.
        learning_rate: a sound rate for training all of it.

    A saved model cannot rebuild the module: ``ac.load(folder, backbone=...)`` needs it again.

    Raises:
        SettingsError: no ``collate`` for rows that are not arrays, or no such layer.
    """
    if collate is None and modality != "array":
        raise SettingsError(f"from_module: {modality} rows need collate=, a function from raw rows to tensors")
    places = {layer: layer for layer in layers} if layers else {"output": ""}
    spec = Spec(name or type(module).__name__, modality, {}, list(places)[-1], pretrained, learning_rate=learning_rate)
    known = dict(module.named_modules())
    for layer in layers or ():
        if layer not in known:
            raise SettingsError(f"from_module: no submodule '{layer}'; there are: {', '.join(k for k in known if k)}")
    return ModuleBackbone(module, collate or _tensor, places, spec, example)


def _tensor(raw: Any) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(raw, dtype=np.float32))
