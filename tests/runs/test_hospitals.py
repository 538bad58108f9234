"""Real negative transfer: a hospital where nearly everybody is ill must not teach another one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import acclimate as ac


@pytest.mark.parametrize(
    ("source", "choices"), [("switzerland", {"do_not_deploy"}), ("hungarian", {"keep_source", "adapt"})]
)
def test_the_choice_refuses_what_would_be_worse_than_chance(shared_data, tmp_path, source, choices):
    table = pd.read_csv(shared_data / "medical" / "heart_disease_3hospitals.csv.gz")
    table["ill"] = np.where(table.pop("num") > 0, "ill", "well")
    table["chol"] = table.chol.replace(0, np.nan)
    known, there = table[table.hospital == source], table[table.hospital == "cleveland"]
    columns = [name for name in table if name not in ("hospital", "ill")]
    run = ac.adapt(known, there, input=columns, label="ill", backbone="columns", tune="frozen", method="combat",
                   out=tmp_path / "run")  # fmt: skip
    model = run.arm("source_only")
    area = roc_auc_score(there.ill == "ill", model.predict_proba(there)[:, model.classes.index("ill")])
    assert (area < 0.5) == (source == "switzerland")
    assert run.decision in choices, run.reasons
