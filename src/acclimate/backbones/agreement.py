"""Whether a backbone's bfloat16 features may stand for its float32 ones."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from acclimate.backbones.base import Backbone
from acclimate.backbones.layers import move
from acclimate.domains.domain import Domain
from acclimate.errors import AcclimateError
from acclimate.files import cache_folder, read_json, write_json

LEAST = 0.999
"""Cosine between a row's bfloat16 and float32 features below which they do not agree."""
PROBE = 32
"""Rows of each domain that are tried."""


def settled(backbone: Backbone, domains: Sequence[Domain], layers: Sequence[str], device: str, precision: str) -> str:
    """The precision in which a frozen backbone is read where the user left it open.

    bfloat16 is kept if every feature of a probe agrees with float32, and float32 taken otherwise: transformers agree,
    networks of depthwise convolutions do not (benchmarks/features.py). No time is measured, so that the answer is a
    function of weights, rows, layers and kind of machine alone; it is remembered under ``cache_folder("precision")``.

    Args:
        backbone: its mode is restored.
        domains: of each the `PROBE` rows with the smallest ids are run, fewer where there are fewer.
        layers: all of them have to agree.
        device: where to run.
        precision: what the device is best at; anything but "bf16" is returned as it is.
    """
    if precision != "bf16" or backbone.spec.sparse or next(backbone.parameters(), None) is None:
        return precision
    probes = [domain.select(np.unique(domain.ids, return_index=True)[1][:PROBE]) for domain in domains]
    path = _path(backbone, probes, layers, device)
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(read_json(path)["precision"])
    cosine = min((lowest_cosine(backbone, probe, layers, device) for probe in probes if len(probe)), default=1.0)
    found = "bf16" if cosine >= LEAST else "fp32"
    with suppress(AcclimateError):
        write_json(path, {"precision": found, "cosine": cosine, "backbone": backbone.spec.name})
    return found


def lowest_cosine(backbone: Backbone, domain: Domain, layers: Sequence[str], device: str) -> float:
    """Between bfloat16 and float32 features, over all rows and layers; NaN, which agrees with nothing, where one is."""
    was_training = backbone.training
    backbone.eval().to(device)
    inputs = move(backbone.collate(domain.rows.take(np.arange(len(domain)))), device)
    try:
        with torch.inference_mode():
            exact = backbone(inputs, list(layers))
            with torch.autocast(torch.device(device).type, torch.bfloat16):
                quick = backbone(inputs, list(layers))
    finally:
        backbone.train(was_training)
    return float(torch.cat([_cosine(exact[name], quick[name]) for name in layers]).min())


def _cosine(one: Tensor, two: Tensor) -> Tensor:
    """Row by row ``[n]``; 1 where both are zero."""
    one, two = one.double(), two.double()
    lengths = one.norm(dim=1) * two.norm(dim=1)
    return torch.where((one == two).all(dim=1), 1.0, (one * two).sum(dim=1) / lengths.clamp(min=1e-300))


def _path(backbone: Backbone, probes: Sequence[Domain], layers: Sequence[str], device: str) -> Path:
    kind = torch.backends.cpu.get_cpu_capability() if device == "cpu" else torch.cuda.get_device_name(device)
    digest = blake2b(f"{backbone.cache_key()}/{'/'.join(layers)}/{kind}/{torch.__version__}".encode(), digest_size=16)
    for probe in probes:
        digest.update(np.ascontiguousarray(probe.ids).tobytes())
    return cache_folder("precision", f"{digest.hexdigest()}.json")
