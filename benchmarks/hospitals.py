"""Heart disease at three hospitals: six directions and two-to-one; harmonisation, alignment, share correction."""

from __future__ import annotations

import json
import tempfile
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import acclimate as ac
from acclimate.selection.bootstrap import interval
from benchmarks.common import DATA, RESULTS, SEEDS, say, write

FILE = DATA / "medical" / "heart_disease_3hospitals.csv.gz"
HOSPITALS = ("cleveland", "hungarian", "switzerland")
CANDIDATES = ("site_standardize", "combat", "coral", "adabn", "mlls", "dann", "mcc")
NAME = "hospitals"


def main(seeds: tuple[int, ...] = SEEDS) -> None:
    """Protocol: all rows of one hospital, or of two, with labels; all rows of another without. 20 % of the source are
    held out. Every arm is a linear head, or for dann and mcc one hidden layer, on imputed, standardised columns
    (backbone `columns`); `auto` is the one model that `--method auto` makes of them without labels, and the last column
    what was decided of it. Area under the ROC curve on all rows of the target. `logistic` is
    scikit-learn's regression on mean-imputed columns, all rows of the source. A cholesterol of 0 is a missing one.
    Nothing was tuned on these hospitals. What was measured is kept."""
    path = RESULTS / f"{NAME}.json"
    runs: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []
    sources = [*((name,) for name in HOSPITALS), *combinations(HOSPITALS, 2)]
    for seed in seeds:
        for source, target in ((s, t) for s in sources for t in HOSPITALS if t not in s):
            key = [list(source), target, seed]
            if key in [[run["source"], run["target"], run["seed"]] for run in runs]:
                continue
            runs.append(cell(source, target, seed))
            areas = {name: round(arm["auc"], 3) for name, arm in runs[-1]["arms"].items()}
            say(*key, runs[-1]["decision"], runs[-1]["reasons"][:1], areas)
            write(NAME, {"protocol": main.__doc__, "runs": runs})


def cell(source: tuple[str, ...], target: str, seed: int) -> dict[str, Any]:
    """One direction."""
    table = patients()
    known, there = (
        [table[table.hospital == name].reset_index(drop=True) for name in names] for names in (source, (target,))
    )
    columns = [name for name in table if name not in ("hospital", "disease")]
    labels = (there[0].disease == "ill").to_numpy()
    with tempfile.TemporaryDirectory() as folder:
        run = ac.adapt(
            [ac.read(part, input=columns, label="disease", name=str(part.hospital.iloc[0])) for part in known],
            ac.read(there[0], input=columns, name=target), label="disease", backbone="columns", tune="frozen",
            method={"name": "auto", "candidates": CANDIDATES}, seed=seed, out=Path(folder) / "run",
        )  # fmt: skip
        arms = {}
        for name in [row["name"] for row in run.result["arms"]]:
            model = run.arm(name)
            scores = model.predict_proba(there[0])[:, model.classes.index("ill")]
            answers = np.where(scores > 0.5, "ill", "well")
            arms[name] = {**area(labels, scores), "accuracy": float((answers == there[0].disease).mean())}
    arms["logistic"] = logistic(pd.concat(known), there[0], columns)
    return {
        "source": list(source),
        "target": target,
        "seed": seed,
        "rows": [sum(map(len, known)), len(labels)],
        "ill": [round(float((pd.concat(known).disease == "ill").mean()), 3), round(float(labels.mean()), 3)],
        "decision": run.decision,
        "deployed": run.result["model"],
        "reasons": run.reasons,
        "arms": arms,
    }


def patients() -> pd.DataFrame:
    """All rows; disease is `ill` or `well`."""
    table = pd.read_csv(FILE)
    table["disease"] = np.where(table.pop("num") > 0, "ill", "well")
    table["chol"] = table.chol.replace(0, np.nan)
    return table


def logistic(known: pd.DataFrame, there: pd.DataFrame, columns: list[str]) -> dict[str, Any]:
    """Plain logistic regression on the columns that the source has."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    usable = [name for name in columns if known[name].notna().any()]
    model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(known[usable], known.disease == "ill")
    scores = model.predict_proba(there[usable])[:, 1]
    labels = (there.disease == "ill").to_numpy()
    return {**area(labels, scores), "accuracy": float(((scores > 0.5) == labels).mean())}


def area(labels: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    """Area under the ROC curve and its interval over rows."""
    from sklearn.metrics import roc_auc_score

    def weighted(weight: np.ndarray) -> float:
        both = len(set(labels[weight > 0])) > 1
        return float(roc_auc_score(labels, scores, sample_weight=weight)) if both else np.nan

    return {"auc": weighted(np.ones(len(labels))), "interval": interval(weighted, len(labels), replicates=500)}
