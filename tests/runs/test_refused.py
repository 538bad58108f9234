"""What is refused before a run takes a folder, and folders that are left alone."""

from __future__ import annotations

import os

import pytest
import torch

import acclimate as ac
from acclimate.errors import AcclimateError, DataError, SettingsError
from acclimate.runs import execute
from acclimate.training.device import Place

QUICK = {"steps": 3, "batch_size": 8}


def adapt(tables, tmp_path, **options):
    given = {"backbone": "mlp", "training": QUICK, "plain_baseline": False, "out": tmp_path / "run"}
    return ac.adapt(**{**tables(), **given, **options})


def rows(run):
    return {row["name"]: row for row in run.result["arms"]}


REFUSED = {
    "no such method": ({"method": "dan"}, "did you mean 'dann'"),
    "no such backbone": ({"backbone": "mpl"}, "did you mean 'mlp'"),
    "no such tune": ({"tune": "frosen"}, "tune"),
    "unknown setting of the method": ({"method": {"name": "dann", "strenght": 1}}, "did you mean 'strength'"),
    "unknown setting of the tune": ({"tune": {"bottlenek": 1}}, "did you mean 'bottleneck'"),
    "unknown setting of the training": ({"training": {"step": 1}}, "did you mean 'steps'"),
    "unknown setting": ({"budgett": 1}, "did you mean 'budget'"),
    "unknown layer": ({"tune": {"kind": "full", "layer": "hidden_9"}}, "did you mean 'hidden_1'"),
    "frozen from scratch": ({"tune": "frozen"}, "starts from scratch: frozen it knows nothing; use --tune full"),
    "nothing to train": ({"backbone": "columns", "tune": "full"}, "nothing to train; use --tune frozen"),
    "nothing can move": (
        {"backbone": "columns", "method": "dann", "tune": {"kind": "frozen", "bottleneck": 0}},
        "cannot move; leave tune.bottleneck out",
    ),
    "labels are missing": (
        {"method": "finetune"},
        "needs target labels, which are not given; --target-label COLUMN .* would work: source_only, dann",
    ),
    "inputs are missing": ({"method": "dann", "target": None}, "needs target inputs.* would work: source_only$"),
    "a probe is frozen": ({"method": "linear_probe", "tune": "full"}, "leave --tune out"),
    "no rows to choose by": ({"validation": 0.0, "training": {"keep": "source"}}, "needs validation rows"),
    "no such device": ({"device": "gpu"}, "cannot be used"),
    "fp16 on a processor": ({"device": "cpu", "precision": "fp16"}, "fp16 is for GPUs"),
    "a budget that is none": ({"budget": "soon"}, "is not a duration"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_bad_settings_are_refused_before_anything_is_written(tables, tmp_path, case):
    options, message = REFUSED[case]
    with pytest.raises(SettingsError, match=message):
        adapt(tables, tmp_path, **options)
    assert not (tmp_path / "run").exists()


def test_bad_data_are_refused_before_anything_is_written(tables, tmp_path):
    for options, message in (
        ({"label": "lable"}, "lable.*columns found"),
        ({"target": str(tmp_path / "absent.csv")}, "absent.csv"),
        ({"target_label": "lable"}, "lable.*columns found"),
    ):
        with pytest.raises(DataError, match=message):
            adapt(tables, tmp_path, **options)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_in_use_is_not_touched(tables, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(SettingsError, match="not empty, and no run wrote thesis"):
        adapt(tables, tmp_path, force=True)
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_an_empty_folder_will_do_and_force_replaces_a_run(tables, tmp_path):
    (tmp_path / "run").mkdir()
    first = adapt(tables, tmp_path, method="source_only")
    with pytest.raises(SettingsError, match=r"holds a run; --force replaces it, `acclimate resume"):
        adapt(tables, tmp_path)
    again = adapt(tables, tmp_path, method="source_only", seed=1, force=True)
    assert (first.result["seed"], again.result["seed"]) == (0, 1)
    assert {p.name for p in again.folder.iterdir()} == {
        ".lock", "arms", "data.json", "metrics.jsonl", "model", "recipe.yaml", "result.json", "rows.npz", "trust",
    }  # fmt: skip


def test_force_replaces_a_run_and_nothing_else(tables, tmp_path):
    """A project with a recipe is no run, and what lies beside a run is not removed with it."""
    folder = tmp_path / "run"
    (folder / ".git").mkdir(parents=True)
    (folder / "recipe.yaml").write_text("method: source_only")
    with pytest.raises(SettingsError, match=r"no run wrote \.git, recipe\.yaml; name another folder"):
        adapt(tables, tmp_path, force=True)
    assert (folder / "recipe.yaml").read_text() == "method: source_only"
    (folder / "recipe.yaml").unlink()
    (folder / ".git").rmdir()
    adapt(tables, tmp_path, method="source_only")
    (folder / ".git").mkdir()
    with pytest.raises(SettingsError, match=r"no run wrote \.git; name another folder"):
        adapt(tables, tmp_path, force=True)
    assert (folder / "result.json").is_file()


def test_jobs_beside_processes_are_refused_before_a_run_is_replaced(tables, tmp_path, monkeypatch):
    run = adapt(tables, tmp_path, method="source_only")
    monkeypatch.setattr(execute, "place", lambda *given: Place(torch.device("cpu"), "fp32", 0, 2))
    with pytest.raises(SettingsError, match="jobs 2: with several processes"):
        adapt(tables, tmp_path, method="source_only", jobs=2, force=True)
    assert (run.folder / "result.json").is_file()


def test_a_plain_baseline_that_cannot_read_the_data_is_left_out(tables, tmp_path, monkeypatch):
    def fit(self, domain):
        raise DataError("nothing to count")

    monkeypatch.setattr("acclimate.backbones.columns.Columns.fit", fit)
    with pytest.warns(UserWarning, match="arm 'plain' is left out: nothing to count"):
        run = adapt(tables, tmp_path, method="dann", plain_baseline=True)
    assert list(rows(run)) == ["source_only", "dann"]
    assert "arm 'plain' is left out: nothing to count" in run.result["data"]["notes"]
    with pytest.raises(DataError, match="nothing to count"):
        adapt(tables, tmp_path, backbone="columns", method="source_only", out=tmp_path / "other")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission_is_said(tables, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(AcclimateError, match="cannot write"):
        adapt(tables, tmp_path, out=closed / "run")
