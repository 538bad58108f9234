"""Acclimate as a scikit-learn estimator."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import ClassifierTags, RegressorTags, Tags, assert_all_finite, column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from acclimate import api
from acclimate.domains.domain import Domain
from acclimate.domains.labels import canonical
from acclimate.domains.read import read
from acclimate.errors import DataError, SettingsError

Kind = Literal["text", "image", "table", "array"]
FROM_SCRATCH = {"epochs": 30.0, "learning_rate": 3e-3}
"""Training of the `mlp`, which starts from nothing, unless `Adapter.training` says otherwise."""


def _classifies(adapter: Adapter) -> bool:
    return adapter.task == "classify"


class Adapter(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A classifier or regressor that is trained on a source and used on a target.

    ``fit(X, y, X_target=...)`` does what `acclimate.adapt` does: it trains the method and, beside it, the same
    backbone on the source alone, and decides without target labels which of the two to use. Without
    ``X_target`` there is nothing to adapt to and the method is source_only.

    Inputs are an array ``[n, d]``, a sparse matrix, a DataFrame (missing values and categories allowed), a list or
    Series of texts, or images (uint8 ``[n, h, w]`` or ``[n, h, w, c]``, or a list of them).

    Note:
        scikit-learn's cross-validation cuts every fit parameter that has as many rows as X. Give it a target
        with another number of rows.

    Args:
        method: a name, or ``{"name": ..., setting: ...}``.
        backbone: a name, a mapping with ``name``, or a `torch.nn.Module`; None takes the default of the modality.
        tune: frozen, full, gradual, discriminative, lora, l2sp, or a mapping with ``kind``.
        task: classify or regress.
        training: settings of the loop (`acclimate.training.settings.Training`).
        validation: share of the labelled rows that is held out for calibration and the decision.
        target_shares: what is roughly known of the target's class shares, class to share.
        budget: time for the training loops: seconds, or "90s", "5m", "1.5h".
        jobs: arms that are trained at once (method auto).
        heed_decision: predict with the model that the decision chose; False: with the method's own, whatever
            the decision says.
        device: auto, cpu, cuda, ...
        precision: fp32, bf16, fp16 or auto.
        seed: from which all randomness comes.

    Attributes:
        classes_: the classes, sorted (classification).
        n_features_in_, feature_names_in_: of arrays and tables.
        decision_: adapt, keep_source or do_not_deploy.
        result_: the run's result.json as a mapping.
    """

    def __init__(
        self,
        method: Any = "dann",
        backbone: Any = None,
        tune: Any = None,
        *,
        task: str = "classify",
        training: Mapping[str, Any] | None = None,
        validation: float = 0.2,
        target_shares: Mapping[Any, float] | None = None,
        budget: float | str | None = None,
        jobs: int = 1,
        heed_decision: bool = True,
        device: str = "auto",
        precision: str = "fp32",
        seed: int = 0,
    ):
        self.method = method
        self.backbone = backbone
        self.tune = tune
        self.task = task
        self.training = training
        self.validation = validation
        self.target_shares = target_shares
        self.budget = budget
        self.jobs = jobs
        self.heed_decision = heed_decision
        self.device = device
        self.precision = precision
        self.seed = seed

    def fit(self, X: Any, y: Any, X_target: Any = None, y_target: Any = None, groups: Any = None) -> Adapter:
        """Train on a labelled source and a target.

        Args:
            X: inputs of the source.
            y: labels ``[n]`` of the source.
            X_target: inputs of the target, without labels.
            y_target: permission to train on these target labels (the inductive setting).
            groups: ``[n]``; rows of one group are held out together.

        Raises:
            AcclimateError: data or settings that do not fit; a ValueError too where scikit-learn wants one.
        """
        if self.task not in ("classify", "regress"):
            raise SettingsError(f"task '{self.task}' is not one of classify, regress")
        if y_target is not None and X_target is None:
            raise SettingsError("y_target is given without X_target")
        self._kind = _kind(X)
        X = self._checked(X, reset=True)
        y = self._answers(y, X)
        source = self._domain(X, y, "source")
        if groups is not None:
            check_consistent_length(X, groups)
            source = replace(source, groups=canonical(groups, "groups"))
        target = None
        if X_target is not None:
            X_target = self._checked(X_target, reset=False)
            if y_target is not None:
                y_target = self._answers(y_target, X_target, "y_target")
            target = self._domain(X_target, y_target, "target")
        if self.task == "classify":
            self.classes_ = np.unique(y if y_target is None else np.concatenate([y, y_target]))
            self._names = canonical(self.classes_, "y").tolist()
        with tempfile.TemporaryDirectory(prefix="acclimate-") as folder:
            run = api.adapt(
                source,
                target,
                backbone=self.backbone,
                method=self.method if target is not None else "source_only",
                tune=self.tune,
                target_label=None if y_target is None else "label",
                out=Path(folder) / "run",
                task=self.task,
                training=self._training(),
                validation=self.validation,
                target_shares=self.target_shares,
                budget=self.budget,
                jobs=self.jobs,
                plain_baseline=False,
                device=self.device,
                precision=self.precision,
                seed=self.seed,
            )
            self.result_ = run.result
            self.decision_ = run.decision
            self._predictor = run.arm(self.result_["model" if self.heed_decision else "adapted"], self.device)
        if target is not None and self.decision_ != "adapt":
            used = self.result_["model"] if self.heed_decision else self.result_["adapted"]
            warnings.warn(
                f"{self.decision_} ({run.reasons[0]}); predictions come from {used}", UserWarning, stacklevel=2
            )
        self._n_features_out = self._predictor.width
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Classes, or numbers (float32) of a regression, ``[n]``."""
        if self.task == "classify":
            best = self.predict_proba(X).argmax(axis=1)
            return self.classes_[best]
        rows = self._read(X)
        return self._predictor.answers(rows).prediction.astype(np.float32)

    @available_if(_classifies)
    def predict_proba(self, X: Any) -> np.ndarray:
        """Calibrated probabilities ``[n, classes]`` float32, columns in the order of ``classes_``."""
        rows = self._read(X)
        answers = self._predictor.answers(rows)
        found = np.zeros((len(answers.prediction), len(self.classes_)), dtype=np.float32)
        assert answers.probabilities is not None
        found[:, [self._names.index(name) for name in answers.classes]] = answers.probabilities
        return found

    def transform(self, X: Any) -> np.ndarray:
        """The features ``[n, width]`` float32 that the head reads."""
        rows = self._read(X)
        return self._predictor.features(rows)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy, or R² of a regression; of the target if X and y are the target's."""
        measure = accuracy_score if self.task == "classify" else r2_score
        return float(measure(y, self.predict(X), sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Tags:
        """What scikit-learn is told of this estimator."""
        tags = super().__sklearn_tags__()
        classifies = _classifies(self)
        tags.estimator_type = "classifier" if classifies else "regressor"
        tags.classifier_tags = ClassifierTags() if classifies else None
        tags.regressor_tags = None if classifies else RegressorTags()
        tags.target_tags.required = True
        tags.input_tags.sparse = True
        assert tags.transformer_tags is not None
        tags.transformer_tags.preserves_dtype = []  # features are float32 whatever goes in
        return tags

    def _training(self) -> dict[str, Any]:
        given = dict(self.training or {})
        name = self.backbone.get("name") if isinstance(self.backbone, Mapping) else self.backbone
        from_scratch = self._kind in ("table", "array") and name in (None, "mlp")
        return {**FROM_SCRATCH, **given} if from_scratch else given

    def _checked(self, X: Any, *, reset: bool) -> Any:
        """Inputs as `acclimate.read` takes them, held against what `fit` saw."""
        if self._kind in ("text", "image"):
            found = _kind(X)
            if found != self._kind:
                raise DataError(f"fitted on {self._kind} inputs, found {found}")
            return list(X)
        if self._kind == "table":
            return self._table(X, reset)
        if isinstance(X, np.ndarray) and X.ndim > 2:
            return X
        X = validate_data(self, X, reset=reset, accept_sparse="csr", ensure_min_samples=2 if reset else 1)
        return sparse.csr_matrix(X) if sparse.issparse(X) else X

    def _table(self, X: Any, reset: bool) -> Any:
        import pandas as pd

        if not isinstance(X, pd.DataFrame):
            X = validate_data(self, X, reset=reset, dtype=None, ensure_all_finite="allow-nan")
            return pd.DataFrame(X, columns=self._columns)
        validate_data(self, X, reset=reset, skip_check_array=True)
        if reset:
            self._columns: list[Any] = list(X.columns)
        return X

    def _answers(self, y: Any, X: Any, name: str = "y") -> np.ndarray:
        if y is None:
            raise DataError(f"Adapter requires {name} to be passed, but the target {name} is None")
        y = column_or_1d(y, warn=True)
        check_consistent_length(X, y)
        if self.task == "regress":
            y = np.asarray(y, dtype=np.float64)
            assert_all_finite(y, input_name=name)
        else:
            check_classification_targets(y)
        return y

    def _domain(self, X: Any, y: np.ndarray | None, name: str) -> Domain:
        inputs = X if y is None else (X, y)
        columns = "*" if self._kind == "table" else None
        return read(inputs, input=columns, label=None if y is None else "label", modality=self._kind, name=name)

    def _read(self, X: Any) -> Domain:
        check_is_fitted(self)
        return self._domain(self._checked(X, reset=False), None, "X")


def _kind(X: Any) -> Kind:
    """What the inputs are: numbers in a frame without gaps are an array, so that both give the same model."""
    if hasattr(X, "columns") and hasattr(X, "dtypes"):
        numbers = all(kind.kind in "biuf" for kind in X.dtypes)
        return "array" if numbers and not X.isna().to_numpy().any() else "table"
    if sparse.issparse(X):
        return "array"
    if isinstance(X, np.ndarray) and X.ndim > 1:
        return "image" if X.dtype == np.uint8 and X.ndim > 2 else "array"
    items = list(X) if hasattr(X, "__iter__") else []
    if items and all(isinstance(item, str) for item in items):
        return "text"
    if items and all(hasattr(item, "convert") or np.ndim(item) in (2, 3) for item in items):
        return "image"
    return "array"
