from __future__ import annotations

import json

import pandas as pd
import pytest

from acclimate.cli.main import main


@pytest.fixture
def files(tmp_path, planted, own_cache):
    found = planted(users=60, items=16, hits=5, warm=40)
    items = pd.DataFrame({"item": sorted({*found["source"]["item"], *found["warm"]["item"]})})
    found["items"] = items.assign(kind=[name[0] for name in items["item"]])
    paths = {}
    for name, frame in found.items():
        paths[name] = str(tmp_path / f"{name}.csv")
        frame.to_csv(paths[name], index=False)
    return paths


@pytest.fixture
def adapted(files, tmp_path):
    run = str(tmp_path / "run")
    words = ["adapt", "--task", "rank", "--source", files["source"], "--target", files["warm"], "--user", "user"]
    words += ["--item", "item", "--items", files["items"], "--method", "emcdr", "--set", "training.steps=20"]
    assert main([*words, "-o", run, "--quiet"]) == 0
    return run


def test_from_files_to_lists(files, adapted, capsys):
    capsys.readouterr()
    assert main(["predict", adapted, "--data", files["cold"], "-k", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "user,rank,item"
    assert len(lines) == 1 + 2 * 20
    assert {line.split(",")[1] for line in lines[1:]} == {"1", "2"}


def test_users_that_nobody_knew_are_named_as_such(files, adapted, tmp_path, capsys):
    known = pd.read_csv(files["cold"]).iloc[:1]
    pd.concat([known, known.assign(user="nobody")]).to_csv(tmp_path / "new.csv", index=False)
    capsys.readouterr()
    assert main(["predict", adapted, "--data", str(tmp_path / "new.csv")]) == 0
    assert "note: users that training never knew: 1" in capsys.readouterr().err
    assert main(["predict", adapted, "--data", files["cold"]]) == 0
    assert "never knew" not in capsys.readouterr().err


def test_evaluate_shows_the_plain_recommenders(files, adapted, capsys):
    capsys.readouterr()
    assert main(["evaluate", adapted, "--data", files["cold"], "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["baselines"]) == {"popularity", "knn", "mf"}
    assert set(found["metrics"]) == {"ndcg_at_10", "recall_at_10", "mrr", "coverage"}
    assert main(["evaluate", adapted, "--data", files["cold"]]) == 0
    assert "popularity (baseline)" in capsys.readouterr().out


def test_k_is_for_rankings(files, adapted, tmp_path, capsys):
    rated = pd.read_csv(files["source"]).assign(rating=lambda frame: frame.index % 5)
    rated.to_csv(tmp_path / "rated.csv", index=False)
    words = ["adapt", "--task", "rate", "--source", str(tmp_path / "rated.csv"), "--user", "user", "--item", "item"]
    words += ["--rating", "rating", "--set", "training.steps=2", "-o", str(tmp_path / "rates"), "--quiet"]
    assert main(words) == 0
    assert main(["predict", str(tmp_path / "rates"), "--data", files["cold"], "-k", "2"]) == 2
    assert "this model is of task rate" in capsys.readouterr().err


def test_a_column_that_is_not_there(files, tmp_path, capsys):
    words = ["adapt", "--task", "rank", "--source", files["source"], "--target", files["warm"], "--user", "usr"]
    assert main([*words, "--item", "item", "-o", str(tmp_path / "x")]) == 3
    assert "no column 'usr'; did you mean 'user'?" in capsys.readouterr().err
