"""How far two domains are apart, as a classifier sees it. No labels are involved."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from acclimate.seeds import generator
from acclimate.selection.bootstrap import Interval, interval

LARGEST = 2000
SMALLEST = 10
FOLDS = 5


@dataclass(frozen=True)
class Gap:
    """How well a linear classifier tells target rows from source rows.

    Attributes:
        proxy_a_distance: 0 (cannot tell) to 2 (always can).
        domain_accuracy: on held-out rows, 0.5 is chance.
        interval: of the accuracy, 95 %.
        rows: how many of each side were used.
    """

    proxy_a_distance: float
    domain_accuracy: float
    interval: Interval | None
    rows: int


@dataclass(frozen=True)
class Apart:
    """What a domain classifier says of rows that it was not trained on.

    Attributes:
        source: indices of the source's rows that were used.
        target: likewise, as many.
        score: ``[2 rows]`` of those, source first; positive looks like the target.
        content: ``[2 rows]`` equal for rows of equal content.
    """

    source: np.ndarray
    target: np.ndarray
    score: np.ndarray
    content: np.ndarray

    def gap(self, seed: int = 0) -> Gap:
        """The gap that these scores show."""
        rows = len(self.source)
        right = (self.score > 0) == np.repeat([False, True], rows)
        accuracy = float(right.mean())
        return Gap(
            proxy_a_distance=max(0.0, 2 * (2 * accuracy - 1)),
            domain_accuracy=accuracy,
            interval=interval(lambda weight: float(weight @ right / weight.sum()), 2 * rows, self.content, seed=seed),
            rows=rows,
        )


def gap(
    source_features: Any,
    target_features: Any,
    seed: int = 0,
    source_ids: np.ndarray | None = None,
    target_ids: np.ndarray | None = None,
) -> Gap | None:
    """The proxy A-distance, ``2 (1 - 2 error)`` of a cross-validated domain classifier (see `told_apart`).

    Ben-David et al., Analysis of Representations for Domain Adaptation, NIPS 2006, section 4.

    Returns:
        The gap, or None if a side has fewer than 10 rows.
    """
    found = told_apart(source_features, target_features, seed, source_ids, target_ids)
    return None if found is None else found.gap(seed)


def told_apart(
    source_features: Any,
    target_features: Any,
    seed: int = 0,
    source_ids: np.ndarray | None = None,
    target_ids: np.ndarray | None = None,
) -> Apart | None:
    """What a logistic regression on standardised features says of each row, target or source, out of fold.

    Both sides give equally many rows, at most 2,000. Rows of equal content are in one fold, otherwise a classifier
    could recognise them.

    Args:
        source_features: ``[n, d]``, array or sparse.
        target_features: ``[m, d]``, array or sparse.
        seed: of the sample and the folds.
        source_ids: ``[n]`` content hashes; without them rows of equal features count as equal.
        target_ids: ``[m]`` likewise.

    Returns:
        None if a side has fewer than 10 rows.
    """
    rows = min(source_features.shape[0], target_features.shape[0], LARGEST)
    if rows < SMALLEST:
        return None
    rng = generator(seed, "gap")
    chosen = [rng.permutation(side.shape[0])[:rows] for side in (source_features, target_features)]
    features = _stack(source_features[chosen[0]], target_features[chosen[1]])
    if source_ids is None or target_ids is None:
        content = _row_keys(features)
    else:
        content = np.concatenate([source_ids[chosen[0]], target_ids[chosen[1]]])
    owner = np.unique(content, return_inverse=True)[1]
    is_target = np.repeat([False, True], rows)
    score = _held_out(features, is_target, rng.permutation(owner.max() + 1)[owner] % FOLDS)
    return Apart(chosen[0], chosen[1], score, owner)


def _held_out(features: Any, is_target: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """What a classifier that saw the other folds says of each row, ``[n]``; positive means target."""
    from scipy.sparse import issparse
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    said = np.zeros(len(is_target))
    for held in np.unique(fold):
        train = fold != held
        if len(set(is_target[train])) < 2:  # one content fills a side: nothing else can be learnt
            said[~train] = 1.0 if is_target[train].any() else -1.0
            continue
        scaler = StandardScaler(with_mean=not issparse(features))
        model = make_pipeline(scaler, LogisticRegression(C=0.01, max_iter=500))
        said[~train] = model.fit(features[train], is_target[train]).decision_function(features[~train])
    return said


def _stack(first: Any, second: Any) -> Any:
    """Rows of one under the other, float64: standardising large float32 columns loses digits."""
    from scipy import sparse

    if sparse.issparse(first):
        return sparse.vstack([first, second], format="csr", dtype=np.float64)
    return np.concatenate([first, second]).astype(np.float64)


def _row_keys(features: Any) -> np.ndarray:
    """A hash of each row's values, ``[n]``."""
    from scipy.sparse import issparse

    def key(row: int) -> bytes:
        if not issparse(features):
            return features[row].tobytes()
        part = slice(features.indptr[row], features.indptr[row + 1])
        return features.indices[part].tobytes() + features.data[part].tobytes()

    return np.array([blake2b(key(row), digest_size=16).hexdigest() for row in range(features.shape[0])])
