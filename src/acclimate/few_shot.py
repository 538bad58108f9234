"""Few labelled rows to a calibrated classifier, as a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags, column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from acclimate.domains.domain import Domain
from acclimate.domains.labels import canonical
from acclimate.domains.read import read
from acclimate.errors import DataError
from acclimate.runs import given
from acclimate.runs.few_shot import store
from acclimate.runs.few_shot.classifier import Said
from acclimate.runs.few_shot.model import FewShotModel, learn


def _abstains(estimator: FewShot) -> bool:
    return estimator.abstain is not None


class FewShot(ClassifierMixin, BaseEstimator):
    """A classifier of a few labelled rows of each class, on features of a frozen pretrained backbone.

    Which level answers (prototypes, a linear adapter, a probe) and how sure it may be follow from rows of the support
    that are held out: one of each class at a time, or 20 parts where there are more. Rows to be answered play no part
    in that. One row a class works; then nothing can be held out, and `report_` says so.

    Helps where labels are few and the backbone knows the kind of input. **Hurts** nothing, but with hundreds of rows
    a class `acclimate.adapt` with a tuned backbone is better.

    Example::

        clf = ac.FewShot(backbone="minilm").fit(texts, labels)
        clf.predict_proba(queries), clf.report_["held_out"]

    Args:
        backbone: a name, the folder of `pretrain`, `meta_train` or a run, ``{"name": ..., setting: ...}``, or a
            `torch.nn.Module`; None: minilm for texts, efficientnet_lite0 for images, scaled columns for numbers.
        level: "auto", a name of `acclimate.methods.few_shot.registry.LEVELS`, "lora" (the backbone itself is tuned, for
            minutes), or ``{"name": ..., setting: ...}``. Transductive ones (tim, pt_map, laplacian_shot) answer all
            rows of a call together; where classes come equally often among these, set ``balanced`` to True.
        abstain: the share of rows of the known classes that may be taken for rows of none of them, such as 0.1;
            None: every row is given a class. `predict` then has None for a row of none of the classes.
        input: input columns, where the support is a table that is read from a file.
        label: of a support that is a file or folder: the column, or "label" for the class folder.
        seed: of the parts in which rows are held out.
        device: auto, cpu, cuda, ...
        precision: fp32, bf16 or auto: bf16 where it is fast and agrees with fp32.

    Attributes:
        classes_: the classes, sorted.
        n_features_in_: of arrays.
        report_: what was chosen and why: ``rows``, ``classes``, ``level``, ``temperature``, ``candidates``,
            ``held_out`` (accuracy with its 95 % interval, log-loss), ``abstain`` (stated rate, the least that the rows
            support, the share of rows of unknown classes that is recognised), ``notes`` and ``warnings``.
    """

    def __init__(
        self,
        backbone: Any = None,
        level: str | Mapping[str, Any] = "auto",
        *,
        abstain: float | None = None,
        input: str | list[str] | None = None,
        label: str = "label",
        seed: int = 0,
        device: str = "auto",
        precision: str = "auto",
    ):
        self.backbone = backbone
        self.level = level
        self.abstain = abstain
        self.input = input
        self.label = label
        self.seed = seed
        self.device = device
        self.precision = precision

    def fit(self, X: Any, y: Any = None) -> FewShot:
        """Learn from a labelled support.

        Args:
            X: texts, images, paths of files, an array ``[n, d]``, a DataFrame, or with labels of its own: a Domain, a
                path or locator.
            y: labels ``[n]``; None where X has its own.

        Raises:
            AcclimateError: data or settings that do not fit; a ValueError too where scikit-learn wants one.
        """
        if y is None and not isinstance(X, Domain | str | Path):
            raise DataError("FewShot requires y to be passed, but the target y is None")
        if y is None:
            support = read(X, input=self.input, label=self.label)
            self.classes_ = np.unique(_labels(support))
        else:
            support, y = self._support(X, y)
            self.classes_ = np.unique(y)
        self._names = canonical(self.classes_, "y").tolist()
        options = {"level": self.level, "abstain": self.abstain, "seed": self.seed}
        place = {"device": self.device, "precision": self.precision}
        self._model = learn(support, backbone=self.backbone, **options, **place)  # type: ignore[arg-type]
        self.report_ = self._model.report
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Classes ``[n]``; with ``abstain`` an object array that has None for rows of none of the classes."""
        probabilities, said = self._answered(X)
        found = self.classes_[probabilities.argmax(axis=1)]
        if said.refused is None:
            return found
        found = found.astype(object)
        found[said.refused] = None
        return found

    def predict_proba(self, X: Any) -> np.ndarray:
        """Calibrated probabilities ``[n, classes]`` float32 of rows that belong to one of the ``classes_``."""
        return self._answered(X)[0]

    @available_if(_abstains)
    def conformal_p(self, X: Any) -> np.ndarray:
        """p-values ``[n]`` of belonging to any class; `predict` refuses rows where it is at most ``abstain``."""
        values = self._answered(X)[1].p_values
        assert values is not None
        return values

    def save(self, folder: Path | str) -> None:
        """Write backbone, support features and choices: safetensors and JSON, enough to answer without network.

        The features of the support are in it, and they tell much about its rows: who may not see these should not be
        given the folder.

        Raises:
            AcclimateError: the disk is full or refuses, or the backbone came from Python code.
        """
        check_is_fitted(self)
        named = given.named(self.backbone)
        named = named if named is None or isinstance(named, str | Mapping) else self._model.backbone.spec.name
        parameters = {**self.get_params(), "backbone": named}
        store.save(self._model, Path(folder), {"parameters": parameters, "classes": self.classes_.tolist()})

    @classmethod
    def load(cls, folder: Path | str, device: str = "auto") -> FewShot:
        """What `save` wrote; answers are the same bits on the same machine.

        Raises:
            DataError: the folder is missing, damaged or something else.
        """
        model, more = store.load(Path(folder), device)
        loaded = cls(**{**more["parameters"], "device": device})
        loaded.classes_ = np.array(more["classes"])
        loaded._names = canonical(loaded.classes_, "y").tolist()
        loaded._model, loaded.report_ = model, model.report
        return loaded

    def __sklearn_tags__(self) -> Tags:
        """What scikit-learn is told of this estimator."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _support(self, X: Any, y: Any) -> tuple[Domain, np.ndarray]:
        """Rows with the labels that were given beside them."""
        if isinstance(X, Domain | str | Path):
            rows = read(X, input=self.input)
        else:
            X = self._checked(X, reset=True)
            check_consistent_length(X, y)
            rows = read(X, input="*" if hasattr(X, "columns") and self.input is None else self.input, name="support")
        y = column_or_1d(y, warn=True)
        check_consistent_length(rows, y)
        check_classification_targets(y)
        return replace(rows, labels=canonical(y, "y"), schema=replace(rows.schema, label="label")), y

    def _checked(self, X: Any, *, reset: bool) -> Any:
        """Arrays and frames held against what `fit` saw; everything else is left to `acclimate.read`."""
        if hasattr(X, "columns") and hasattr(X, "dtypes"):
            if all(kind.kind in "biuf" for kind in X.dtypes):  # others are read by name, in any order
                validate_data(self, X, reset=reset, skip_check_array=True)
            return X
        if not _numbers(X):
            return X
        X = validate_data(self, X, reset=reset, accept_sparse="csr", ensure_min_samples=2 if reset else 1)
        return sparse.csr_matrix(X) if sparse.issparse(X) else X

    def _answered(self, X: Any) -> tuple[np.ndarray, Said]:
        """Probabilities in the order of ``classes_`` and all that is said of the rows."""
        check_is_fitted(self)
        model: FewShotModel = self._model
        said = model.say(self._rows(X))
        order = [model.classifier.classes.index(name) for name in self._names]
        return said.probabilities[:, order], said

    def _rows(self, X: Any) -> Domain:
        if isinstance(X, Domain):
            return X.sealed()
        schema = self._model.schema
        if isinstance(X, str | Path):
            return read(X, input=schema.inputs or None, modality=schema.modality, like=schema)
        X = self._checked(X, reset=False)
        return read(X, input=schema.inputs or None, modality=schema.modality, like=schema, name="X")


def _numbers(X: Any) -> bool:
    """Whether these are rows of numbers for scikit-learn to check."""
    if isinstance(X, np.ndarray):
        return X.ndim == 2 or (X.ndim < 2 and X.dtype.kind in "biufc")
    return sparse.issparse(X) or (hasattr(X, "__array__") and not hasattr(X, "iloc"))


def _labels(support: Domain) -> np.ndarray:
    if support.labels is None:
        raise DataError(f"{support.name}: the support has no labels; read it with label=")
    return support.labels.astype(str)
