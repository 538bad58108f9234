"""Influence verified by removal: random parts of the source are left out, and the head is trained again."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

import acclimate as ac
from acclimate.domains.domain import Domain
from acclimate.runs.influence.asked import Asked
from acclimate.runs.influence.influence import study_of
from acclimate.seeds import generator
from acclimate.trust.influence.scores import alignment
from benchmarks.common import DATA, RESULTS, SEEDS, say, write
from benchmarks.hospitals import patients

NAME = "influence"
REVIEWS = str(DATA / "text" / "amazon4_blitzer_raw.jsonl.gz")
SHARES = (0.1, 0.3, 0.5)
SUBSETS = 20
"""Random parts of each size."""
CELLS = {
    "reviews: electronics to kitchen": ("reviews", "electronics", "kitchen"),
    "reviews: kitchen to electronics": ("reviews", "kitchen", "electronics"),
    "hospitals: cleveland to hungarian": ("hospitals", "cleveland", "hungarian"),
    "hospitals: hungarian to cleveland": ("hospitals", "hungarian", "cleveland"),
}


def main(seeds: tuple[int, ...] = SEEDS) -> None:
    """Protocol: a linear head on frozen features (reviews of the Blitzer files: MiniLM; heart disease at hospitals:
    imputed, standardised columns), layer and penalty chosen on 20 % of the source, learns from the rest. 60 random
    parts of these rows, 20 each of 10, 30 and 50 %, are removed, and the head is fitted again with the same layer and
    penalty. Spearman's correlation of the predicted with the measured change of the mean loss on the target: predicted
    by one Newton step without these rows, by the sum of their influence scores, by the sum of gradient products (TracIn
    at the last state), or by the number of rows that were removed; over all 60 parts, and the mean over sizes of that
    among the 20 of one size, where numbers are equal. Scores are taken from one half of the target's labelled rows; the
    change is measured on these and on the other half. Nothing was tuned. What was measured is kept."""
    path = RESULTS / f"{NAME}.json"
    runs: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []
    done = {(run["cell"], run["seed"]) for run in runs}
    for seed in seeds:
        for name in CELLS:
            if (name, seed) in done:
                continue
            runs.append({"cell": name, "seed": seed, **cell(*CELLS[name], seed)})
            say(name, seed, runs[-1]["correlation"])
            write(NAME, {"protocol": main.__doc__, "runs": runs})


def cell(kind: str, here: str, there: str, seed: int) -> dict[str, Any]:
    """One pair of domains."""
    source, target = domain(kind, here), domain(kind, there)
    with tempfile.TemporaryDirectory() as folder:
        run = ac.adapt(
            source, target, label=source.schema.label, backbone="minilm" if kind == "reviews" else "columns",
            method="source_only", tune="frozen", plain_baseline=False, seed=seed, out=Path(folder) / "run",
        )  # fmt: skip
        study, _, _ = study_of(run.folder, run.arm, source=[source], target=[target])
        asked, judged = Asked(target, "opened").halves(seed)
        scores = study.scores(asked)
        products = alignment(study.criterion, study.head, study.labelled(study.source), study.labelled(asked))
        first, before = np.isin(target.ids, asked.ids), study.losses(target)[0]
        halves = (first, ~first)
        parts = []
        for share in SHARES:
            for k in range(SUBSETS):
                order = generator(seed, NAME, share, k).permutation(len(scores))
                gone = np.sort(order[: round(share * len(scores))])
                change = study.without(gone, target).losses - before
                changes = [float(change[half].mean()) for half in halves]
                sums = [float(each[gone].sum()) for each in (scores, products)]
                parts.append([share, study.predicted(gone, asked), *sums, *changes])
    return {
        "rows": len(scores),
        "judged": [len(asked), len(judged)],
        "form": study.form,
        "loss": [float(before[half].mean()) for half in halves],
        "correlation": correlations(np.array(parts)),
        "parts": [[float(f"{value:.6g}") for value in part] for part in parts],
    }


@cache
def domain(kind: str, name: str) -> Domain:
    """The labelled rows of one category, or of one hospital."""
    if kind == "reviews":
        return ac.read(f"{REVIEWS}?domain={name}", input="text", label="label")
    table = patients()
    table = table[table.hospital == name].reset_index(drop=True)
    columns = [column for column in table if column not in ("hospital", "disease")]
    return ac.read(table, input=columns, label="disease", name=name)


def correlations(parts: np.ndarray) -> dict[str, dict[str, float]]:
    """By predictor: over all parts, and within sizes, on the rows that gave the scores and on others."""
    predictors = dict(zip(("rows removed", "newton", "influence", "gradient"), parts.T[:4], strict=True))
    found: dict[str, dict[str, float]] = {}
    for name, predicted in predictors.items():
        found[name] = {}
        for where, measured in (("same", parts[:, 4]), ("other", parts[:, 5])):
            found[name][where] = _spearman(predicted, measured)
            if name != "rows removed":
                each = [_spearman(predicted[at], measured[at]) for at in (parts[:, 0] == share for share in SHARES)]
                found[name][f"{where}, one size"] = float(np.mean(each))
    return found


def _spearman(first: np.ndarray, second: np.ndarray) -> float:
    return float(spearmanr(first, second).statistic)


if __name__ == "__main__":
    main()
