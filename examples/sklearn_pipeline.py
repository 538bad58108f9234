"""`Adapter` inside scikit-learn: a Pipeline that scales source and target alike, and a grid over its settings.

The folds score on held-out source rows: no target label is seen, and none could choose. So the grid is for what
source rows can judge (width, rate, epochs) and not for the choice between methods, where source accuracy is
close to chance. What was chosen is read beside source-only on target labels that nothing else has seen.

    python examples/sklearn_pipeline.py
"""

from __future__ import annotations

import warnings

import numpy as np
import sklearn
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler

import acclimate as ac
from acclimate.domains.sample import toy_shift


def main(seed: int = 0, epochs: int = 120) -> dict[str, float]:
    """Accuracy on the target of source-only and of the chosen adapter."""
    source, target, answers = toy_shift(400, seed)
    X, X_target = (domain.rows.take(np.arange(len(domain))) for domain in (source, target))
    y, y_target = (np.asarray(values).astype(int) for values in (source.labels, answers))
    # Cross-validation cuts each fit parameter that has as many rows as X; 399 rows are not 400.
    X_unlabelled = X_target[1:]

    training = {"epochs": epochs, "batch_size": 64, "learning_rate": 3e-3, "schedule": "constant"}
    adapter = ac.Adapter(
        {"name": "dann", "hidden": 32}, {"name": "mlp", "hidden": [32, 32]}, training=training, seed=seed
    )
    with sklearn.config_context(enable_metadata_routing=True):
        steps = [("scale", MinMaxScaler((-2, 2))), ("adapt", adapter.set_fit_request(X_target=True))]
        pipeline = Pipeline(steps, transform_input=["X_target"])  # the scaler that saw X is applied to X_target too
        grid = {"adapt__backbone": [{"name": "mlp", "hidden": width} for width in ([16, 16], [32, 32])]}
        search = GridSearchCV(pipeline, grid, cv=StratifiedKFold(2, shuffle=True, random_state=seed))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of folds whose decision is not to adapt
            search.fit(X, y, X_target=X_unlabelled)

        alone = Pipeline([("scale", MinMaxScaler((-2, 2))), ("adapt", ac.Adapter("source_only", training=training))])
        accuracy = {"source only": alone.fit(X, y).score(X_target, y_target)}
        accuracy["chosen"] = search.score(X_target, y_target)
    chosen = search.best_estimator_.named_steps["adapt"]
    print(f"chosen: {chosen.backbone}, source accuracy {search.best_score_:.3f}, decision {chosen.decision_}")
    for name, value in accuracy.items():
        print(f"{name:12s} {value:.3f} of the target right")
    return accuracy


if __name__ == "__main__":
    main()
