from __future__ import annotations

import json

import pytest

from acclimate.selection.validators import VALIDATORS


def test_a_sealed_run_shows_scores_without_labels_and_no_oracle(acclimate, run):
    done = acclimate("leaderboard", run)
    assert done.code == 0
    lines = done.out.splitlines()
    assert "InfoMax" in lines[0] and "target accuracy" not in lines[0]
    assert [line.split()[0] for line in lines[1:4]] == ["source_only", "dann", "plain"]
    assert "oracle" not in done.out and "decision: " in done.out


def test_an_opened_run_ranks_by_the_truth_and_says_the_regret(acclimate, run, tables):
    found = acclimate("evaluate", run, "--data", tables / "test.csv", "--label", "label", "--json").json
    accuracy = {name: arm["metrics"]["accuracy"] for name, arm in found["arms"].items()}
    best = max(accuracy.values())
    assert accuracy[found["oracle"]] == best
    assert found["regret"]["value"] == pytest.approx(best - accuracy[found["model"]])
    done = acclimate("leaderboard", run)
    ranked = [line.split()[0] for line in done.out.splitlines()[1:4]]
    assert [accuracy[name] for name in ranked] == sorted(accuracy.values(), reverse=True)
    assert f"oracle: {found['oracle']}" in done.out
    assert json.loads((run / "result.json").read_text())["regret"] == found["regret"]
    assert acclimate("evaluate", run, "--data", tables / "test.csv", "--label", "label").out.count("oracle: ") == 1


def test_true_scores_stand_before_those_of_a_few_labels(acclimate, tables, tmp_path):
    words = ("--source", tables / "source.csv", "--target", tables / "test.csv", "--label", "label")
    model = ("--input", "a", "--input", "b", "--backbone", "mlp", "--set", "training.steps=5", "--quiet")
    asked = ("--target-label", "label", "--method", "joint", "-o", tmp_path / "run")
    assert acclimate("adapt", *words, *model, *asked).code == 0
    other = tables / "source.csv"  # rows of another domain: the figures differ from those that were held out
    found = acclimate("evaluate", tmp_path / "run", "--data", other, "--label", "label", "--force", "--json").json
    lines = acclimate("leaderboard", tmp_path / "run").out.splitlines()
    row = next(line for line in lines if line.startswith("joint"))
    assert f"{found['arms']['joint']['metrics']['accuracy']:.3f} (" in row


def test_regret_is_never_negative_and_has_an_interval_around_it(acclimate, run, tables):
    """The deployed model is made a worse one than the oracle."""
    found = acclimate("evaluate", run, "--data", tables / "test.csv", "--label", "label", "--json").json
    accuracy = {name: arm["metrics"]["accuracy"] for name, arm in found["arms"].items()}
    worst = min(accuracy, key=accuracy.get)
    path = run / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model": worst}))
    found = acclimate("evaluate", run, "--data", tables / "test.csv", "--label", "label", "--json").json
    regret = found["regret"]
    assert regret["value"] == pytest.approx(max(accuracy.values()) - accuracy[worst]) and regret["value"] > 0
    assert regret["low"] <= regret["value"] <= regret["high"]
    line = next(line for line in acclimate("leaderboard", run).out.splitlines() if line.startswith("oracle"))
    assert f"regret of the deployed {worst}: {regret['value']:.3f} (" in line


def test_validators_of_every_arm(acclimate, run):
    done = acclimate("leaderboard", run, "--validators")
    table = done.out[done.out.index("validator ") :].splitlines()
    assert table[0].split() == ["validator", "source_only", "dann", "plain"]
    assert [line.split()[0] for line in table[1:]] == list(VALIDATORS)
    values = json.loads((run / "result.json").read_text())["arms"][1]["label_free"]["validators"]
    assert table[1].split()[2] == f"{values['entropy']:.3f}"


def test_epochs_and_the_best_one(acclimate, tables, tmp_path):
    words = (
        *("adapt", "--source", tables / "source.csv", "--target", tables / "target.csv", "--label", "label"),
        *("--input", "a", "--input", "b", "--method", "dann", "--plain-baseline", "no", "-o", tmp_path / "kept"),
        *("--set", "training.keep=source", "--set", "training.epochs=4"),
    )
    assert acclimate(*words).code == 0
    done = acclimate("leaderboard", tmp_path / "kept")
    rows = json.loads((tmp_path / "kept" / "result.json").read_text())["arms"]
    for row, line in zip(rows, done.out.splitlines()[1:], strict=False):
        (loop,) = row["stages"]
        assert loop["epochs"] == 4 and loop["best_epoch"] in (1, 2, 3, 4)
        assert f"4 (best {loop['best_epoch']:g})" in line


def test_no_run_there(acclimate, tmp_path):
    done = acclimate("leaderboard", tmp_path / "nothing")
    assert done.code == 3 and "no run there" in done.err
