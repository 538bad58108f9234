"""The feature cache: a frozen backbone reads each distinct row once; later runs read its features from disk."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from acclimate import memory
from acclimate.backbones import entries
from acclimate.backbones.base import Backbone
from acclimate.backbones.fold import folded
from acclimate.backbones.layers import move
from acclimate.backbones.passthrough import csr_matrix
from acclimate.domains.domain import ArrayRows, Domain
from acclimate.errors import AcclimateError
from acclimate.files import writing

Progress = Callable[[int, int], None]
"""Called with rows done and rows in all."""
_KIND = np.dtype(np.float32)
_READING = 2
"""Part of the key: raised when features are read in another way that changes their bits."""


@dataclass(frozen=True)
class Gathered:
    """Rows of a stored (memory-mapped) array ``[m, d]`` in an order of their own, read when indexed."""

    stored: np.ndarray
    index: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.index), int(self.stored.shape[1])

    @property
    def dtype(self) -> np.dtype:
        return self.stored.dtype

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: Any) -> np.ndarray:
        return np.asarray(self.stored[self.index[rows]])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)


def embed(
    backbone: Backbone,
    domain: Domain,
    layers: Sequence[str] | None = None,
    *,
    batch_size: int = 64,
    device: str = "cpu",
    precision: str = "fp32",
    progress: Progress | None = None,
) -> Mapping[str, Any]:
    """Frozen features of a domain's rows, by layer: ``[n, size]`` float32, in the domain's own order.

    Equal sets of rows give equal bits, whatever their order: distinct rows (by id) are run in one
    canonical order, sorted by length for text. Entries (see `acclimate.backbones.entries`) are keyed by
    the backbone's `cache_key`, layer, precision and row ids; labels play no part. Of several processes
    that need the same entry one makes it, and the others wait for it. Sparse features come back as one
    CSR matrix and are not cached.

    Args:
        backbone: is moved to ``device`` and run in evaluation mode; its mode is restored.
        domain: the rows.
        layers: the layers asked for, the default one if None.
        batch_size: rows a batch; changes results only within float tolerance.
        device: where to run.
        precision: "bf16" runs under autocast, anything else in fp32; `acclimate.backbones.agreement.settled` says
            whether bf16 is close enough.
        progress: called after each batch.

    Returns:
        Layer name -> `Gathered` (a memory map, read when indexed), or a SciPy CSR matrix.
    """
    names = [backbone.check_layer(layer) for layer in (layers or [backbone.spec.default])]
    ids, first, inverse = np.unique(domain.ids, return_index=True, return_inverse=True)
    paths = _paths(backbone, names, ids, precision)
    stored = _load(paths, backbone, len(ids))
    if lacking := [name for name in names if name not in stored]:
        with _turn(backbone, paths[lacking[0]], len(ids)):
            stored |= _load({name: paths[name] for name in lacking}, backbone, len(ids))
            missing = [name for name in names if name not in stored]
            reader = _Reader(backbone, domain, first, missing, batch_size, device, precision, progress)
            try:
                stored |= reader.to_disk({name: paths[name] for name in missing}) if missing else {}
            except AcclimateError as error:
                if type(error) is not AcclimateError:  # the rows are at fault, not the cache
                    raise
                warnings.warn(f"no feature cache: {error}", UserWarning, stacklevel=2)
                stored |= reader.to_memory()
    return {name: gather(stored[name], inverse) for name in names}


def as_domain(domain: Domain, features: Any) -> Domain:
    """The same rows with features ``[n, d]`` as inputs: what a `PassThrough` backbone reads."""
    return replace(domain, schema=replace(domain.schema, modality="array"), rows=ArrayRows(features))


def gather(stored: Any, index: np.ndarray) -> Any:
    """Rows of an array or of `Gathered` ones as `Gathered`; those of a sparse matrix at once."""
    if isinstance(stored, Gathered):
        return Gathered(stored.stored, stored.index[index])
    return stored[index] if sparse.issparse(stored) else Gathered(stored, index)


def _paths(backbone: Backbone, names: Sequence[str], ids: np.ndarray, precision: str) -> dict[str, Path]:
    rows = blake2b(np.ascontiguousarray(ids).tobytes(), digest_size=16).hexdigest()
    weights = backbone.cache_key()
    keys = {
        name: blake2b(f"{weights}/{name}/{precision}/{_READING}".encode(), digest_size=16).hexdigest() for name in names
    }
    folders = {name: entries.folder_name(backbone.spec.name, name, precision, key) for name, key in keys.items()}
    return {name: entries.root() / folder / f"{rows}.npy" for name, folder in folders.items()}


def _load(paths: Mapping[str, Path], backbone: Backbone, rows: int) -> dict[str, Any]:
    """The layers that are in the cache."""
    found = {name: entries.load(path, (rows, backbone.size(name))) for name, path in paths.items()}
    return {name: array for name, array in found.items() if array is not None}


def _turn(backbone: Backbone, path: Path, rows: int) -> AbstractContextManager[None]:
    """Waits for whoever makes this entry; what is never stored has nobody to wait for."""
    return nullcontext() if backbone.spec.sparse or not rows else entries.making(path)


@dataclass(frozen=True)
class _Reader:
    """Runs the backbone over the rows at ``first`` (one for each distinct id, in the order of ids)."""

    backbone: Backbone
    domain: Domain
    first: np.ndarray
    layers: Sequence[str]
    batch_size: int
    device: str
    precision: str
    progress: Progress | None

    def batches(self) -> Iterator[tuple[np.ndarray, dict[str, Tensor]]]:
        """Slots and features of each batch, in canonical order."""
        backbone, total = self.backbone, len(self.first)
        lengths = backbone.lengths(self.domain.select(self.first).rows)
        order = np.arange(total) if lengths is None else np.argsort(lengths, kind="stable")
        was_training = backbone.training
        backbone.eval().to(self.device)
        try:
            with memory.kept():
                network = folded(backbone, self.layers)
                for start in range(0, total, self.batch_size):
                    slots = order[start : start + self.batch_size]
                    inputs = backbone.collate(self.domain.rows.take(self.first[slots]))
                    yield slots, self._run(network, inputs)
                    if self.progress:
                        self.progress(min(start + self.batch_size, total), total)
        finally:
            backbone.train(was_training)

    def _run(self, network: Backbone, inputs: Any) -> dict[str, Tensor]:
        low = torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.precision == "bf16")
        with torch.inference_mode(), low:
            return network(move(inputs, self.device), list(self.layers))

    def to_memory(self) -> dict[str, Any]:
        """All features in memory; sparse ones as CSR."""
        slots, parts = [], []
        for place, features in self.batches():
            slots.append(place)
            parts.append(
                {k: csr_matrix(v) if v.is_sparse_csr else v.float().cpu().numpy() for k, v in features.items()}
            )
        back = np.argsort(np.concatenate(slots)) if slots else np.zeros(0, dtype=int)
        stacked = {}
        for name in self.layers:
            values = [part[name] for part in parts]
            if values and sparse.issparse(values[0]):
                stacked[name] = sparse.vstack(values, format="csr")[back]
            else:
                empty = np.zeros((0, self.backbone.size(name)), np.float32)
                stacked[name] = np.concatenate([*values, empty])[back]
        return stacked

    def to_disk(self, paths: Mapping[str, Path]) -> dict[str, Any]:
        """All features as memory maps of whole files.

        Rows are written by seek and write: a full disk is then an error, where writing to a memory
        map would kill the process.

        Raises:
            AcclimateError: exactly this class where the cache cannot be written.
        """
        if self.backbone.spec.sparse or not len(self.first):
            return self.to_memory()
        sizes = {name: self.backbone.size(name) for name in paths}
        entries.make_room(sum(sizes.values()) * len(self.first) * _KIND.itemsize)
        with ExitStack() as stack:
            files = {name: self._create(stack, path, sizes[name]) for name, path in paths.items()}
            for slots, features in self.batches():
                for name, (stream, start, width) in files.items():
                    rows = features[name].float().cpu().numpy()
                    for slot, row in zip(slots, rows, strict=True):
                        stream.seek(start + int(slot) * width)
                        stream.write(row.tobytes())
            return {name: self._whole(stream) for name, (stream, *_) in files.items()}

    def _create(self, stack: ExitStack, path: Path, size: int) -> tuple[IO[bytes], int, int]:
        """An .npy file with its header: the stream, where the rows start, and the bytes of one."""
        stream = stack.enter_context(stack.enter_context(writing(path)).open("w+b"))
        entries.share(stream)
        header = {"descr": _KIND.str, "fortran_order": False, "shape": (len(self.first), size)}
        np.lib.format.write_array_header_1_0(stream, header)
        return stream, stream.tell(), size * _KIND.itemsize

    def _whole(self, stream: IO[bytes]) -> np.ndarray:
        """The file as a memory map, taken before it has its name: from then on others may remove it."""
        stream.flush()
        os.fsync(stream.fileno())  # a name must not outlive a power cut that the rows do not
        return entries.mapped(stream)
