"""A backbone whose inputs already are features: what frozen-feature training runs on."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from acclimate.backbones.base import Backbone, Identity


class PassThrough(Identity):
    """Stands for one layer of a frozen backbone whose features `acclimate.backbones.cache.embed` has read.

    It has no parameters and is never saved: a model is saved with the backbone that made the features.
    """

    kind = "passthrough"

    def __init__(self, backbone: Backbone, layer: str | None = None):
        super().__init__()
        layer = backbone.check_layer(layer)
        self.settings = backbone.settings
        self.spec = replace(
            backbone.spec, modality="array", layers={layer: backbone.size(layer)}, default=layer, trainable=False
        )

    @property
    def steady(self) -> bool:
        return not self.spec.sparse

    def collate(self, raw: Any, *, training: bool = False, rng: np.random.Generator | None = None) -> Any:
        if sparse.issparse(raw):
            return csr_tensor(raw)
        return torch.from_numpy(np.ascontiguousarray(raw, dtype=np.float32))

    def config(self) -> dict[str, Any]:
        raise TypeError("a pass-through is never saved: save the backbone that made its features")


def csr_tensor(matrix: sparse.csr_matrix) -> Tensor:
    """A SciPy CSR matrix ``[n, d]`` as a float32 `torch.sparse_csr` tensor; `nn.Linear` takes it as it is."""
    matrix = sparse.csr_matrix(matrix)
    matrix.sum_duplicates()  # sorts the indices of each row too, as torch expects
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int64)),
            torch.from_numpy(matrix.indices.astype(np.int64)),
            torch.from_numpy(matrix.data.astype(np.float32)),
            size=matrix.shape,
            check_invariants=True,
        )


def csr_matrix(tensor: Tensor) -> sparse.csr_matrix:
    """A `torch.sparse_csr` tensor as a SciPy CSR matrix."""
    tensor = tensor.detach().cpu()
    parts = (tensor.values().numpy(), tensor.col_indices().numpy(), tensor.crow_indices().numpy())
    return sparse.csr_matrix(parts, shape=tuple(tensor.shape))
