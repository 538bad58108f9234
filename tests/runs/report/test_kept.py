"""What is kept of a run for its report: figures worked out by hand, and no trace of sealed labels."""

from __future__ import annotations

import numpy as np
import pytest

from acclimate.files import read_json
from acclimate.runs.report.kept import _varied, bins
from acclimate.runs.report.view import projected, read_view, write_view


def test_reliability_worked_out_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.94, 0.06], [0.38, 0.62], [0.35, 0.65]])
    found = bins(probabilities, np.array([0, 1, 1, 1]))
    assert found["bins"] == [
        {"rows": 2, "confidence": 0.635, "accuracy": 1.0},
        {"rows": 2, "confidence": 0.945, "accuracy": 0.5},
    ]
    assert found["ece"] == pytest.approx((2 * 0.365 + 2 * 0.445) / 4, abs=1e-4)


def test_a_label_that_training_never_saw_counts_as_wrong():
    assert bins(np.array([[0.9, 0.1]]), np.array([-1]))["bins"][0]["accuracy"] == 0.0


def test_points_of_one_line_lie_on_one_axis():
    rng = np.random.default_rng(0)
    along = rng.normal(size=(50, 1))
    source, target, share = projected(along @ [[1.0, 1.0, 1.0]], (along + 4) @ [[1.0, 1.0, 1.0]])
    assert share == pytest.approx(1.0) and np.abs(source[:, 1]).max() < 1e-3
    assert np.median(target[:, 0]) != pytest.approx(np.median(source[:, 0]), abs=1.0)


def test_a_view_says_how_well_domains_are_told_apart(tmp_path):
    rng = np.random.default_rng(0)
    sides = {"source": rng.normal(size=(80, 3)), "target": rng.normal(size=(90, 3)) + np.array([6, 0, 0])}
    write_view(tmp_path / "view.npz", sides, 0)
    view = read_view(tmp_path / "view.npz")
    assert view is not None and view["gap"]["accuracy"] > 0.95 and len(view["target"]) == 90
    write_view(tmp_path / "same.npz", {"source": sides["source"], "target": rng.normal(size=(80, 3))}, 0)
    same = read_view(tmp_path / "same.npz")
    assert same is not None and 0.3 < same["gap"]["accuracy"] < 0.65


def test_what_cannot_be_projected_is_left_out(tmp_path):
    write_view(tmp_path / "view.npz", {"source": np.full((9, 2), np.nan), "target": np.zeros((9, 2))}, 0)
    assert read_view(tmp_path / "view.npz") is None


def test_examples_vary_before_they_repeat():
    before, after = np.array(list("aaaab")), np.array(list("bbbca"))
    assert _varied(np.arange(5), before, after).tolist() == [0, 3, 4, 1, 2]


def test_labels_turned_round_in_the_file_change_nothing_that_is_kept(toy):
    (honest, _), (poisoned, _) = toy(), toy(flip=True)
    paths = [run.folder / "report.json" for run in (honest, poisoned)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    kept = read_json(paths[0])
    assert kept["opened"] is None and all("truth" not in one for one in kept["changed"]["examples"])


def test_changed_rows_are_those_whose_answers_differ(toy):
    run, _ = toy()
    kept = read_json(run.folder / "report.json")
    data = str(run.folder.parent / "target.csv")
    answers = [run.arm(name).predict(data)["prediction"].to_numpy() for name in ("source_only", "shot")]
    assert kept["changed"]["rows"] == (answers[0] != answers[1]).sum() > 12 and len(kept["changed"]["examples"]) == 12
    assert all(one["before"] != one["after"] for one in kept["changed"]["examples"])
