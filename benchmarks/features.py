"""How fast a frozen backbone is read, and what ten arms on its cached features cost beside that.

Ways of reading are measured in alternation in one process, in seconds of its processor time, so that other work on the
machine is not counted. ONNX Runtime is measured where it is installed (pip install onnx onnxruntime onnxscript).
"""

from __future__ import annotations

import copy
import io
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import acclimate as ac
from acclimate import memory
from acclimate.backbones import entries, registry
from acclimate.backbones.agreement import settled
from acclimate.backbones.base import Backbone
from acclimate.backbones.cache import embed
from acclimate.backbones.fold import folded
from acclimate.backbones.layers import LayeredBackbone, first_tensor
from acclimate.domains.domain import Domain
from acclimate.training.device import place
from benchmarks.common import DATA, say, write

REVIEWS = f"{DATA}/text/amazon4_blitzer_raw.jsonl.gz?domain=electronics", f"{DATA}/text/imdb_2000.jsonl.gz"
PACS = f"{DATA}/images/pacs_112px_jpeg.zip"
PAIRS = {
    "minilm": {"source": REVIEWS[0], "target": REVIEWS[1], "label": "label", "input": ["text"]},
    "efficientnet_lite0": {"source": f"{PACS}?folder=photo", "target": f"{PACS}?folder=sketch", "label": "label"},
}
METHODS = ("dann", "cdan", "mcd", "mmd", "coral", "afn", "mcc", "bnm", "shot")
"""With source_only ten arms; `compare` adds the plain baseline and the pupil of the best."""
BATCH, BATCHES, BLOCKS = 32, 3, 5

Read = Callable[[Any], Tensor]


def main() -> None:
    """Protocol: one thread. Rows a second are medians over the blocks, first and third quartile in brackets; cosines
    are the lowest of any row with plain float32. Arms: `compare` of ten arms, the plain baseline and the pupil of the
    best, from the reading of the files to the result, beside one pass of the backbone over all rows, all layers.
    """
    torch.set_num_threads(1)
    found: dict[str, Any] = {"reading": {}, "arms": {}}
    for name, pair in PAIRS.items():
        domains = [ac.read(pair[side], input=pair.get("input")) for side in ("source", "target")]
        found["reading"][name] = reading(name, domains)
        say(name, found["reading"][name])
        found["arms"][name] = arms(name, pair, domains)
        say(name, found["arms"][name])
        write("features", {"protocol": main.__doc__, "batch": BATCH, "blocks": BLOCKS, **found})


def reading(name: str, domains: list[Domain]) -> dict[str, Any]:
    """Rows a second of each way, and the lowest cosine of a row with plain float32."""
    backbone = registry.create(name, domains[0].schema.modality).eval()
    picked = domains[1].select(domains[1].order[: BATCH * BATCHES])
    lengths = backbone.lengths(picked.rows)
    order = np.arange(len(picked)) if lengths is None else np.argsort(lengths, kind="stable")
    batches = [backbone.collate(picked.rows.take(order[k : k + BATCH])) for k in range(0, len(order), BATCH)]
    ways = _ways(backbone, batches[0])
    exact = torch.cat([ways["fp32"](batch) for batch in batches])
    cosines = {
        way: float(torch.cosine_similarity(exact, torch.cat([read(batch) for batch in batches])).min())
        for way, read in ways.items()
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(BLOCKS):
        for way, read in ways.items():
            with memory.kept() if "kept" in way else nullcontext():
                read(batches[0])
                begun = time.process_time()
                for batch in batches:
                    read(batch)
                seconds[way].append(time.process_time() - begun)
    rates = {way: np.quantile(len(picked) / np.array(values), [0.25, 0.5, 0.75]) for way, values in seconds.items()}
    return {
        way: {"rows_per_second": [round(float(q), 1) for q in rate], "cosine": round(cosines[way], 5)}
        for way, rate in rates.items()
    }


def _ways(backbone: Backbone, example: Any) -> dict[str, Read]:
    layer = backbone.spec.default
    small = folded(backbone, [layer])

    def plain(inputs: Any, network: Backbone = backbone) -> Tensor:
        with torch.inference_mode():
            return network(inputs, [layer])[layer]

    def low(inputs: Any, network: Backbone = backbone) -> Tensor:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            return network(inputs, [layer])[layer]

    ways: dict[str, Read] = {"fp32": plain, "fp32, kept memory": plain, "bf16": low, "bf16, kept memory": low}
    if small is not backbone:
        ways["fp32, kept memory, folded"] = lambda inputs: plain(inputs, small)
        ways["bf16, kept memory, folded"] = lambda inputs: low(inputs, small)
    if find_spec("onnxruntime") and find_spec("onnxscript"):
        ways["ONNX Runtime, fp32"] = _onnx(backbone, example)
    return ways


class _Raw(torch.nn.Module):
    """What the network gives before pooling, of inputs by position."""

    def __init__(self, backbone: LayeredBackbone, names: list[str]):
        super().__init__()
        self.backbone, self.names = backbone, names

    def forward(self, *inputs: Tensor) -> Tensor:
        return first_tensor(self.backbone.run(dict(zip(self.names, inputs, strict=True)) if self.names else inputs[0]))


def _onnx(backbone: Backbone, example: Any) -> Read:
    import onnxruntime

    assert isinstance(backbone, LayeredBackbone)
    names = list(example) if isinstance(example, Mapping) else []
    given = tuple(example.values()) if names else (example,)
    axes = {0: torch.export.Dim("n"), **({1: torch.export.Dim("t")} if names else {})}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = _Raw(copy.deepcopy(backbone), names).eval()
        program = torch.onnx.export(raw, given, dynamo=True, dynamic_shapes=((axes,) * len(given),), verbose=False)
    assert program is not None
    file = io.BytesIO()
    program.save(file)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    feeds = [entry.name for entry in session.get_inputs()]

    def read(inputs: Any) -> Tensor:
        values = inputs.values() if names else [inputs.contiguous()]
        found = session.run(None, dict(zip(feeds, (value.numpy() for value in values), strict=True)))[0]
        return backbone.pool(torch.from_numpy(found), inputs)

    return read


def arms(name: str, pair: Mapping[str, Any], domains: list[Domain]) -> dict[str, Any]:
    """Seconds of the pass that fills an empty cache, and of a comparison on what it left."""
    before = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        try:
            filling = _timed(lambda: _fill(name, domains))
            held = _held(name)
            options = {**pair, "backbone": name, "methods": METHODS, "out": Path(folder) / "run"}
            comparing = _timed(lambda: ac.compare(options.pop("source"), options.pop("target"), **options))
            assert _held(name) == held, "the comparison read the backbone again"
            records = ac.Run(Path(folder) / "run").result["arms"]
        finally:
            os.environ.pop("XDG_CACHE_HOME")
            os.environ |= {} if before is None else {"XDG_CACHE_HOME": before}
    return {
        "rows": [len(domain) for domain in domains],
        "arms": {record["name"]: record["seconds"] for record in records},
        "pass_seconds": filling,
        "compare_seconds": comparing,
        "ratio": round(comparing / filling, 2),
    }


def _fill(name: str, domains: list[Domain]) -> None:
    backbone = registry.create(name, domains[0].schema.modality)
    layers, where = list(backbone.spec.layers), place("cpu")
    precision = settled(backbone, [domain.sealed() for domain in domains], layers, "cpu", where.precision)
    for domain in domains:
        embed(backbone, domain, layers, precision=precision)


def _held(name: str) -> set[Path]:
    return {entry.path for entry in entries.entries() if entry.backbone == name}


def _timed(call: Callable[[], Any]) -> float:
    begun = time.process_time()
    call()
    return round(time.process_time() - begun, 2)


if __name__ == "__main__":
    main()
