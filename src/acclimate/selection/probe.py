"""What frozen features say before anything is trained: a reduced view of both domains, and a source classifier."""

from __future__ import annotations

from typing import Any

import numpy as np

SIZE = 64
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
"""C of scikit-learn's logistic regression, tried on held-out source rows."""


def reduced(source: Any, target: Any, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Both sides ``[n, at most 64]`` on the principal directions of both together.

    Directions keep their part of the variance (neighbours are nearer to the truth so), scaled to a mean square of 1.

    Args:
        source: features ``[n, d]``, array or sparse.
        target: features ``[m, d]``.
        seed: of the randomised decomposition.
    """
    from scipy import sparse
    from sklearn.decomposition import PCA, TruncatedSVD

    thin = sparse.issparse(source)
    both: Any = (sparse.vstack([source, target], format="csr") if thin else np.concatenate([source, target])).astype(
        float
    )
    size = min(SIZE, both.shape[1], both.shape[0] - 1)
    if thin and size < both.shape[1]:
        values = TruncatedSVD(size, random_state=seed).fit_transform(both)
    else:
        values = PCA(size, random_state=seed).fit_transform(both.toarray() if thin else both)
    values = values - values.mean(axis=0)
    values = values / max(float(np.sqrt(np.square(values).mean())), 1e-9)
    return values[: source.shape[0]], values[source.shape[0] :]


def answers(
    source: np.ndarray, targets: np.ndarray, held: np.ndarray, target: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """What a linear classifier of the source says of its held-out rows and of the target's, probabilities.

    Its penalty is the one with the best likelihood on the held-out rows.

    Args:
        source: ``[n, d]``, columns of like scale.
        targets: ``[n]`` class indices.
        held: ``[n]`` bool, the rows that are not trained on; the others show two classes at least.
        target: ``[m, d]``.
        classes: how many there are.
    """
    from sklearn.linear_model import LogisticRegression

    def said(model: Any, rows: np.ndarray) -> np.ndarray:
        every = np.full((len(rows), classes), 1e-6)
        every[:, model.classes_] = model.predict_proba(rows)
        return every / every.sum(axis=1, keepdims=True)

    models = [LogisticRegression(C=c, max_iter=300).fit(source[~held], targets[~held]) for c in PENALTIES]
    right = np.arange(held.sum()), targets[held]
    best = max(models, key=lambda model: float(np.log(said(model, source[held])[right]).mean()))
    return said(best, source[held]), said(best, target)
