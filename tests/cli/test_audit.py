from __future__ import annotations

import csv

import numpy as np


def test_an_audit_ends_with_a_sentence(acclimate, run, tables, tmp_path):
    rng, others = np.random.default_rng(0), tmp_path / "others.csv"
    with others.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["a", "b", "c", "label"])
        lines.writerows([*map(float, rng.normal(size=3)), ("no", "yes")[k % 2]] for k in range(80))
    source = tables / "source.csv"
    done = acclimate("audit", run, "--members", source, "--non-members", others, "--device", "cpu")
    assert done.code == 0, done.err
    last = done.out.strip().splitlines()[-1]
    assert last.startswith(("None of these attacks tells rows", "An attack tells rows that were trained on"))
    assert "TPR at FPR" in done.out and "members, 80 others" in done.out
    same = acclimate("audit", run, "--members", source, "--non-members", source)
    assert same.code == 3 and "0 of" in same.err and "at least" in same.err
