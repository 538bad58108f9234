"""Groups of people: does adaptation widen gaps, and what narrows them? Adult, German credit and COMPAS."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import acclimate as ac
from acclimate.domains.labels import canonical_groups, canonical_one
from acclimate.errors import AcclimateError
from acclimate.seeds import generator
from acclimate.trust.fairness.groups import columns, gaps, judged
from benchmarks.common import DATA, RESULTS, SEEDS, say, write

TABULAR = DATA / "tabular"
METHODS: dict[str, dict[str, Any]] = {
    "dann": {},
    "coral": {},
    "importance_weighting": {},
    "reweighing": {},
    "dfr": {},
    "adversarial_debiasing": {},
    "groupdro": {"groups": "sensitive"},
}
TEST = 0.5


def adult() -> pd.DataFrame:
    frame = pd.read_csv(TABULAR / "adult.csv.gz")
    frame["region"] = np.where(frame["native-country"] == "United-States", "United States", "abroad")
    frame["race"] = np.where(frame["race"] == "White", "White", "other")
    return frame.drop(columns=["fnlwgt"]).rename(columns={"income-per-year": "label"})


def german() -> pd.DataFrame:
    frame = pd.read_csv(TABULAR / "german.csv.gz").rename(columns={"credit": "label"})
    frame["sex"] = np.where(frame["personal_status"].isin(["A92", "A95"]), "female", "male")
    frame["age_group"] = np.where(frame.pop("age") > 25, "over 25", "to 25")
    frame["label"] = np.where(frame["label"] == 1, "good", "bad")  # the second class is the one that is wanted
    return frame.assign(job=np.where(frame["skill_level"].isin(["A173"]), "skilled", "other")).drop(
        columns=["personal_status", "skill_level"]
    )


def compas() -> pd.DataFrame:
    frame = pd.read_csv(TABULAR / "compas_two_years.csv.gz")
    days = frame["days_b_screening_arrest"]  # ProPublica's filter
    frame = frame[days.between(-30, 30) & (frame["is_recid"] != -1) & (frame["c_charge_degree"] != "O")]
    kept = ["sex", "age", "race", "juv_fel_count", "juv_misd_count", "juv_other_count", "priors_count"]
    found = frame[[*kept, "c_charge_degree", "two_year_recid"]].rename(columns={"two_year_recid": "label"})
    found["race"] = found["race"].where(found["race"].isin(["African-American", "Caucasian"]), "other")
    found["age_group"] = np.where(found["age"] < 25, "under 25", "25 and over")
    found["label"] = np.where(found["label"] == 1, "yes", "no")
    return found.reset_index(drop=True)


CELLS: dict[str, tuple[Callable[[], pd.DataFrame], str, str, str, str]] = {
    "adult: United States to abroad": (adult, "region", "United States", "abroad", "sex,race"),
    "adult: craft to office": (adult, "occupation", "Craft-repair", "Adm-clerical", "sex,race"),
    "adult: professional to sales": (adult, "occupation", "Prof-specialty", "Sales", "sex,race"),
    "german: skilled to other work": (german, "job", "skilled", "other", "sex,age_group"),
    "compas: 25 and over to under 25": (compas, "age_group", "25 and over", "under 25", "sex,race"),
}
"""Frame, the column of domains, source, target, and the columns of groups."""


def main(seeds: tuple[int, ...] = SEEDS, names: tuple[str, ...] = tuple(CELLS)) -> None:
    """Protocol: one part of each table is the source, another the target; half of the target's rows are there without
    labels, the other half is what is measured on, drawn once. Groups are no inputs. Columns standardised and one-hot
    coded into a small network (mlp), methods with their defaults, source_only beside each, 3 seeds. Gaps are those of
    accuracy, selection rate and true positive rate between groups of at least 10 rows; `widened` is the permutation
    test of each method against source_only on the same rows. Nothing was tuned. What was measured is kept."""
    path = RESULTS / "fairness.json"
    runs: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []
    done = {(run["cell"], run["method"], run["seed"]) for run in runs}
    for seed in seeds:
        for name in names:
            for method in METHODS:
                if (name, method, seed) in done:
                    continue
                try:
                    runs.append(cell(name, method, seed))
                except AcclimateError as error:
                    say(f"{name} {method} seed {seed} FAILED: {error}")
                    continue
                say(name, method, seed, runs[-1]["arms"])
                write("fairness", {"protocol": main.__doc__, "runs": runs})


def cell(name: str, method: str, seed: int) -> dict[str, Any]:
    """One method on one pair of domains."""
    read, column, here, there, sensitive = CELLS[name]
    frame = read()
    source = frame[frame[column] == here].drop(columns=column)
    target = frame[frame[column] == there].drop(columns=column)
    order = generator(0, "fairness", name).permutation(len(target))
    cut = int(TEST * len(target))
    tested, shown = target.iloc[order[:cut]], target.iloc[order[cut:]].drop(columns="label")
    with tempfile.TemporaryDirectory() as folder:
        run = ac.adapt(
            source, shown, input="*", label="label", sensitive=sensitive, backbone="mlp",
            method={"name": method, **METHODS[method]}, seed=seed, out=Path(folder) / "run",
        )  # fmt: skip
        found = run.evaluate(tested, label="label", force=True)  # some people have all columns in common
        arms = {row["name"]: judge(run.arm(row["name"]), tested, sensitive) for row in run.result["arms"]}
        if method == next(iter(METHODS)):
            for column in sensitive.split(","):
                known = run.arm("source_only")._thresholds
                if known is not None and set(known.columns.get(column, ())) >= set(tested[column]):
                    arms[f"thresholds by {column}"] = judge(run.arm("source_only"), tested, sensitive, column)
    groups = found["fairness"]["target"]
    return {
        "cell": name,
        "method": method,
        "seed": seed,
        "rows": groups["rows"],
        "decision": found["decision"],
        "deployed": groups["arm"],
        "arms": arms,
        "groups": groups["groups"],
        "widened": groups["widened"],
        "on_source": found["fairness"]["source"]["widened"],
    }


def judge(model: ac.Predictor, tested: pd.DataFrame, sensitive: str, threshold: str | None = None) -> dict[str, Any]:
    """Accuracy of one model, and its gaps by column and by all columns together."""
    said = model.predict(tested.drop(columns="label"), equal_opportunity=threshold)["prediction"].to_numpy(object)
    labels = np.array([canonical_one(value) for value in tested["label"]], dtype=object)
    seen = judged(said, labels, model.classes)
    groups = columns({name: canonical_groups(tested[name]) for name in sensitive.split(",")})
    return {"accuracy": round(float(seen["accuracy"].values.mean()), 4), "gaps": gaps(seen, groups)}


if __name__ == "__main__":
    main()
