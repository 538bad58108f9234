from __future__ import annotations

import csv
import json

import pytest

METRICS = {"accuracy", "balanced_accuracy", "macro_f1", "log_loss", "ece", "roc_auc", "pr_auc"}


def test_opens_the_seal_and_writes_it_down(acclimate, run, tables):
    done = acclimate("evaluate", run, "--data", tables / "test.csv", "--label", "label", "--json")
    assert (done.code, done.err) == (0, "")
    found = done.json
    assert found["primary"] == "accuracy"
    assert set(found["metrics"]) == METRICS
    assert set(found["against_source_only"]["metrics"]) == METRICS
    assert {"value", "low", "high"} <= set(found["against_source_only"]["difference"]["accuracy"])
    low, high = found["interval"]
    assert low <= found["metrics"]["accuracy"] <= high
    assert found["n"] == 100
    result = json.loads((run / "result.json").read_text())
    assert result["verdict"] == found["verdict"]
    assert result["seal"]["opened"] == 1
    assert result["seal"]["openings"][0]["rows"] == 100
    assert result["transductive"] is False


def test_the_metrics_are_those_of_the_predictions(acclimate, run, tables, tmp_path):
    """The table against a count by hand."""
    data = tables / "test.csv"
    found = acclimate("evaluate", run, "--data", data, "--label", "label", "--json").json
    assert acclimate("predict", run, "--data", data, "-o", tmp_path / "answers.csv").code == 0
    with (tmp_path / "answers.csv").open() as file:
        rows = list(csv.DictReader(file))
    right = sum(row["label"] == row["prediction"] for row in rows)
    assert found["metrics"]["accuracy"] == pytest.approx(right / 100)


def test_the_table_for_people(acclimate, run, tables):
    words = ("evaluate", run, "--data", tables / "test.csv", "--label", "label")
    acclimate(*words)
    done = acclimate(*words)
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].startswith("arm")
    for column in ("accuracy (95 %)", "against source_only", "macro_f1", "log_loss", "ece"):
        assert column in lines[0]
    assert [line.split()[0] for line in lines[1:4]] == ["source_only", "dann", "plain"]
    assert "verdict: " in done.out
    assert "seal: opened 2 times, on 100 rows now" in done.out


def test_one_model_alone_is_not_judged_against_another(acclimate, tables, columns, tmp_path):
    alone = ("--method", "source_only", "--plain-baseline", "no", "--backbone", "mlp", "--set", "training.steps=5")
    assert acclimate("adapt", *columns, *alone, "-o", tmp_path / "run").code == 0
    done = acclimate("evaluate", tmp_path / "run", "--data", tables / "test.csv", "--label", "label")
    assert "no verdict: one model alone was trained" in done.out
    for word in ("adapting", "regret", "decision"):
        assert word not in done.out
    assert "regret" not in acclimate("resume", tmp_path / "run").out


def test_few_rows_have_no_interval(acclimate, run, tables, tmp_path):
    few = tmp_path / "few.csv"
    few.write_text("".join((tables / "test.csv").read_text().splitlines(keepends=True)[:6]))
    done = acclimate("evaluate", run, "--data", few, "--label", "label")
    assert done.code == 0
    assert " to " not in done.out.splitlines()[2]
    assert "note: no interval from 5 rows: a 95% interval needs at least 6" in done.err


def test_label_may_be_left_out_where_the_source_has_the_same_name(acclimate, run, tables):
    assert acclimate("evaluate", run, "--data", tables / "test.csv").code == 0


def test_rows_seen_without_labels_are_marked(acclimate, tables, columns, tmp_path):
    """Standard protocol: adapt to the rows that are evaluated later."""
    words = [word.replace("target.csv", "test.csv") for word in columns]
    quick = ("--backbone", "mlp", "--set", "training.steps=4", "--plain-baseline", "no")
    assert acclimate("adapt", *words, *quick, "-o", tmp_path / "run").code == 0
    done = acclimate("evaluate", tmp_path / "run", "--data", tables / "test.csv")
    assert done.code == 0
    assert "100 of these rows were seen in training, without labels (transductive)" in done.err
    assert json.loads((tmp_path / "run" / "result.json").read_text())["transductive"] is True


def test_rows_trained_on_are_refused_unless_forced(acclimate, run, tables):
    words = ("evaluate", run, "--data", tables / "source.csv")
    done = acclimate(*words)
    assert done.code == 3
    assert "150 of 150 rows were trained on with their labels" in done.err
    assert "--force" in done.err
    assert json.loads((run / "result.json").read_text())["seal"]["opened"] == 0
    done = acclimate(*words, "--force")
    assert done.code == 0
    assert "150 of these rows were trained on with their labels: the figures flatter" in done.err


def test_labels_never_seen_are_errors_and_said(acclimate, run, tables, tmp_path):
    data = tmp_path / "new.csv"
    lines = (tables / "test.csv").read_text().splitlines()
    data.write_text("\n".join([lines[0], *(line.rsplit(",", 1)[0] + ",maybe" for line in lines[1:31]), *lines[31:]]))
    known = acclimate("evaluate", run, "--data", data, "--label", "label", "--json")
    assert known.code == 0
    assert known.json["unseen_labels"] == {"maybe": 30}
    assert known.json["metrics"]["accuracy"] <= 0.7
    done = acclimate("evaluate", run, "--data", data, "--label", "label")
    assert "note: rows have labels that training never saw (maybe 30): counted as errors" in done.err
    assert "open-set" in done.err


@pytest.mark.parametrize(
    ("data", "label", "said"),
    [
        ("test.csv", "sentiment", "a, b, c, label"),
        ("target.csv", "label", "label"),
        ("nothing.csv", "label", "no such file"),
    ],
)
def test_what_cannot_be_evaluated_leaves_the_seal(acclimate, run, tables, data, label, said):
    done = acclimate("evaluate", run, "--data", tables / data, "--label", label)
    assert done.code == 3
    assert said in done.err
    assert json.loads((run / "result.json").read_text())["seal"]["opened"] == 0


def test_an_unfinished_run(acclimate, run, tables):
    (run / "result.json").unlink()
    done = acclimate("evaluate", run, "--data", tables / "test.csv")
    assert done.code == 3
    assert f"acclimate resume {run}" in done.err
