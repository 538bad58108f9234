"""What tells two domains apart: a linear classifier on a model's features, explained by the parts of its rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import nn

from acclimate.backbones.base import Backbone
from acclimate.seeds import generator
from acclimate.tasks.classify import Classify
from acclimate.training.model import Model
from acclimate.trust.explain.explain import Explanation

SOURCE, TARGET = "source", "target"
PENALTY = 0.01
"""scikit-learn's C, as where the gap is measured (`acclimate.selection.gap`)."""
SAMPLES = 1000
"""Of a bootstrap."""
MOST = 30
"""Parts that are told."""


def domain_classifier(backbone: Backbone, layer: str, source: Any, target: Any) -> Model:
    """A model whose answer is the domain that a row is of: logistic regression on standardised features of a layer.

    It **helps** to see what a gap consists of: a name, a background, a column. It **hurts** where it is read as what an
    adapted model goes by: features may tell domains apart that its head never looks at.

    Args:
        backbone: in its place in the model, shared and not changed.
        layer: of it.
        source: its features ``[n, d]`` of source rows, array or sparse.
        target: likewise of target rows, ``[m, d]``; sides count alike.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    whole = sparse.issparse(source)
    features = sparse.vstack([source, target], format="csr") if whole else np.concatenate([source, target])
    scaler = StandardScaler(with_mean=not whole).fit(features.astype(np.float64))
    side = np.repeat([0, 1], [source.shape[0], target.shape[0]])
    fitted = LogisticRegression(C=PENALTY, max_iter=500, class_weight="balanced")
    fitted.fit(scaler.transform(features.astype(np.float64)), side)
    weight = fitted.coef_[0] / scaler.scale_
    bias = float(fitted.intercept_[0]) - (0.0 if whole else float(weight @ scaler.mean_))
    model = Model(backbone, Classify((SOURCE, TARGET)), layer=layer)
    assert isinstance(model.head, nn.Linear)
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(np.stack([-weight, weight]) / 2))
        model.head.bias.copy_(torch.tensor([-bias, bias]) / 2)
    return model


def telling(
    found: Sequence[Explanation], of_target: np.ndarray, seed: int = 0, most: int = MOST
) -> list[dict[str, Any]]:
    """The parts that tell the domains apart, those first that do so most.

    ``apart`` is a part's mean score in rows of the target less that in rows of the source, where rows without it count
    as 0: over all parts that adds up to the difference of the mean scores of both domains, where scores are complete;
    ``low`` and ``high`` are its 95 % interval by bootstrap over the rows of each domain. ``target`` and ``source`` are
    the means; ``rows`` have the part. Words count as one whatever their case.

    Args:
        found: explanations of the answer `TARGET`.
        of_target: of each row, whether it is of the target ``[n]`` bool.
        seed: of the bootstrap.
        most: how many are told.
    """
    rows: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for k, each in enumerate(found):
        for name, score in zip(each.parts.names, each.scores, strict=True):
            rows[name.lower() if each.parts.form == "words" else name][k] += float(score)
    values = {name: np.array([own.get(k, 0.0) for k in range(len(found))]) for name, own in rows.items()}
    apart = {name: each[of_target].mean() - each[~of_target].mean() for name, each in values.items()}
    order = sorted(apart, key=lambda name: (-apart[name], name))[:most]
    rng, sides = generator(seed, "telling"), (np.flatnonzero(of_target), np.flatnonzero(~of_target))
    drawn = [side[rng.integers(len(side), size=(SAMPLES, len(side)))] for side in sides]
    told = []
    for name in order:
        draws = values[name][drawn[0]].mean(1) - values[name][drawn[1]].mean(1)
        low, high = np.quantile(draws, (0.025, 0.975))
        means = {"target": values[name][of_target].mean(), "source": values[name][~of_target].mean()}
        numbers = {"apart": apart[name], "low": low, "high": high, **means}
        rounded = {key: round(float(value), 6) for key, value in numbers.items()}
        told.append({"name": name, **rounded, "rows": len(rows[name])})
    return told
