from __future__ import annotations

import json

import numpy as np
import pytest

COLUMNS = ("--input", "x0", "--input", "x1")
LABELS = ("--label", "small", "--label", "large")


@pytest.fixture
def tables(tmp_path, write_csv):
    """Two numbers of very different size, each that of one column."""

    def rows(seed: int) -> list[str]:
        x = np.random.default_rng(seed).normal(size=(80, 2))
        return [f"{one},{two},{one},{100 * two}" for one, two in x]

    return [write_csv(tmp_path / f"{name}.csv", "x0,x1,small,large", rows(k)) for k, name in enumerate(("s", "t"))]


def test_several_label_columns_are_several_numbers(acclimate, tables, tmp_path):
    source, target = map(str, tables)
    run = str(tmp_path / "run")
    how = ("--task", "regress", "--method", "source_only", "--backbone", "columns")
    done = acclimate("adapt", "--source", source, "--target", target, *COLUMNS, *LABELS, *how, "-o", run)
    assert done.code == 0, done.err
    scores = acclimate("evaluate", run, "--data", target, *LABELS, "--json").json["metrics"]
    assert scores["r2"] > 0.99
    out = tmp_path / "answers.jsonl"
    assert acclimate("predict", run, "--data", target, *COLUMNS, "-o", str(out)).code == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    said = np.array([json.loads(row["prediction"]) for row in rows])
    truth = np.array([(float(row["x0"]), 100 * float(row["x1"])) for row in rows])
    assert np.abs(said - truth).max(axis=0) / truth.std(axis=0) == pytest.approx([0, 0], abs=0.1)


def test_a_word_among_the_numbers_is_told(acclimate, tables, tmp_path):
    source = tables[0]
    source.write_text(source.read_text() + "0.1,0.2,warm,3\n")
    words = ("--source", str(source), "--target", str(tables[1]), *COLUMNS, *LABELS, "--task", "regress")
    done = acclimate("adapt", *words, "-o", str(tmp_path / "run"))
    assert done.code == 3
    assert "expected a list of numbers" in done.err
