"""Opening the seal: what is refused, written down, and concluded."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import acclimate as ac
from acclimate.errors import DataError, SettingsError


@pytest.fixture(scope="module")
def trained(tmp_path_factory, points, write_csv):
    """DANN helps here."""
    folder = tmp_path_factory.mktemp("trained")
    source = write_csv(folder / "source.csv", "x0,x1,label", points(200))
    target = write_csv(folder / "target.csv", "x0,x1,label", points(200, where="target"))
    ac.adapt(
        str(source), str(target), input=["x0", "x1"], label="label", backbone="mlp", plain_baseline=False,
        method={"name": "dann", "form": "alternating", "hidden": 64}, training={"steps": 500}, out=folder / "run",
    )  # fmt: skip
    return folder


@pytest.fixture
def run(trained, tmp_path):
    """A copy whose seal may be opened."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return ac.Run(tmp_path / "run")


@pytest.fixture
def labelled(tmp_path, points, write_csv):
    def make(n=100, seed=5, name="test", **options):
        return write_csv(tmp_path / f"{name}.csv", "x0,x1,label", points(n, where="target", seed=seed, **options))

    return make


def test_metrics_intervals_and_the_difference(run, labelled):
    found = run.evaluate(labelled(), label="label")
    assert (found["primary"], found["n"]) == ("accuracy", 100)
    assert list(found["metrics"]) == [
        "accuracy",
        "balanced_accuracy",
        "macro_f1",
        "log_loss",
        "ece",
        "roc_auc",
        "pr_auc",
    ]
    frame = run.predict(labelled())
    arm = run.arm(found["model"]).predict(labelled())
    assert (frame["prediction"] == arm["prediction"]).all()
    assert found["metrics"]["accuracy"] == pytest.approx((frame["prediction"] == frame["label"]).mean())
    reference = run.arm("source_only").predict(labelled())
    accuracy = (reference["prediction"] == reference["label"]).mean()
    dann, against = found["arms"]["dann"], found["against_source_only"]
    assert against["metrics"]["accuracy"] == pytest.approx(accuracy)
    difference = dann["differences"]["accuracy"]
    assert difference["value"] == pytest.approx(dann["metrics"]["accuracy"] - accuracy)
    assert 0 < difference["low"] < difference["value"] < difference["high"]
    assert found["verdict"] == run.verdict == "helped"
    low, high = found["interval"]
    assert low <= found["metrics"]["accuracy"] <= high
    json.dumps(found, allow_nan=False)
    row = next(row for row in run.result["arms"] if row["name"] == "dann")
    assert row["target"]["metrics"] == dann["metrics"]


def test_poisoned_labels_turn_the_verdict(run, labelled):
    assert run.evaluate(labelled(flip=True), label="label")["verdict"] == "hurt"
    assert run.evaluate(labelled(n=5), label="label")["verdict"] == "no_evidence"


def test_the_order_of_the_rows_changes_nothing(run, labelled, tmp_path, write_csv):
    header, *lines = labelled().read_text().splitlines()
    turned = write_csv(tmp_path / "turned.csv", header, lines[::-1])
    one, two = (run.evaluate(path, label="label") for path in (labelled(), turned))
    assert one["arms"] == two["arms"]
    hashes = [opening["hash"] for opening in run.result["seal"]["openings"]]
    assert hashes[0] == hashes[1]


def test_the_seal_remembers_every_opening(run, labelled):
    run.evaluate(labelled(), label="label")
    run.evaluate(labelled(50, seed=6, name="more"), label="label")
    seal = json.loads((run.folder / "result.json").read_text())["seal"]
    assert seal["opened"] == 2
    assert [(o["data"], o["rows"], o["label"]) for o in seal["openings"]] == [
        ("test.csv", 100, "label"), ("more.csv", 50, "label"),
    ]  # fmt: skip
    assert len({o["hash"] for o in seal["openings"]}) == 2


def test_the_seal_is_recorded_before_anything_is_scored(run, labelled, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("power cut")

    monkeypatch.setattr("acclimate.runs.evaluate.evaluate", fail)
    with pytest.raises(RuntimeError, match="power cut"):
        run.evaluate(labelled(), label="label")
    value = json.loads((run.folder / "result.json").read_text())
    assert value["seal"]["opened"] == 1
    assert value["verdict"] is None


def test_rows_trained_on_are_refused_unless_forced(run, tmp_path):
    source = tmp_path / "source.csv"
    with pytest.raises(
        DataError, match=r"200 of 200 rows .* labels \(row 1, row 2, row 3, \.\.\.\); take others, or --force"
    ):
        run.evaluate(source, label="label")
    assert run.result["seal"]["opened"] == 0
    assert json.loads((run.folder / "result.json").read_text())["seal"]["opened"] == 0
    forced = run.evaluate(source, label="label", force=True)
    assert forced["metrics"]["accuracy"] > 0.9
    assert forced["seal"]["openings"][0]["trained_on"] == 200


def test_rows_seen_without_labels_are_marked(run, tmp_path, labelled):
    assert run.evaluate(labelled(), label="label")["transductive"] is False
    found = run.evaluate(tmp_path / "target.csv", label="label")
    assert found["transductive"] is True
    assert found["seal"]["openings"][-1]["seen_unlabelled"] == 200


def test_labels_never_seen_count_as_errors(run, labelled, tmp_path, write_csv):
    header, *lines = labelled().read_text().splitlines()
    changed = [line.replace(",yes", ",perhaps") for line in lines[:20]] + lines[20:]
    found = run.evaluate(write_csv(tmp_path / "unseen.csv", header, changed), label="label")
    assert found["unseen_labels"] == {"perhaps": 10}
    plain = run.evaluate(labelled(), label="label")
    right = run.predict(labelled())
    lost = (right["prediction"] == right["label"])[:20][right["label"][:20] == "yes"].sum() / 100
    assert found["metrics"]["accuracy"] == pytest.approx(plain["metrics"]["accuracy"] - lost)


def test_labels_under_other_names_leave_the_seal_closed(run, labelled, tmp_path, write_csv):
    header, *lines = labelled().read_text().splitlines()
    renamed = [line.replace(",yes", ",1").replace(",no", ",0") for line in lines]
    with pytest.raises(DataError, match=r"Labels: 0, 1; the model knows no, yes\. .*the seal was not opened"):
        run.evaluate(write_csv(tmp_path / "numbers.csv", header, renamed), label="label")
    assert ac.Run(run.folder).result["seal"]["opened"] == 0
    assert run.evaluate(write_csv(tmp_path / "one.csv", header, [lines[0], *renamed[1:]]), label="label")["n"] == 100


def test_intervals_are_clustered_by_group(run, labelled, tmp_path, write_csv):
    header, *lines = labelled(200).read_text().splitlines()
    ordered = sorted(lines)  # like rows share a group
    grouped = write_csv(
        tmp_path / "grouped.csv", f"{header},speaker", [f"{line},s{k // 8}" for k, line in enumerate(ordered)]
    )
    alone = run.evaluate(labelled(200), label="label")["arms"]["source_only"]
    together = run.evaluate(grouped, label="label", group="speaker")["arms"]["source_only"]
    assert alone["metrics"]["accuracy"] == together["metrics"]["accuracy"]
    width = [np.ptp(arm["intervals"]["accuracy"]) for arm in (alone, together)]
    assert width[1] > 1.5 * width[0]


def test_labels_are_needed(run, tmp_path):
    rng = np.random.default_rng(0).normal(size=(10, 2)).astype(np.float32)
    with pytest.raises(DataError, match="no labels"):
        run.evaluate(ac.read(rng, modality="table"))
    with pytest.raises(DataError, match="lable"):
        run.evaluate(tmp_path / "target.csv", label="lable")


def test_an_unfinished_run_is_not_evaluated(tmp_path, labelled):
    with pytest.raises((DataError, SettingsError), match="no run there"):
        ac.Run(tmp_path)
