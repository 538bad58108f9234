"""Influence of source rows in whole runs: planted wrong labels are found, and the seal holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import acclimate as ac
from acclimate.cli.main import main
from acclimate.errors import DataError, SettingsError
from acclimate.files import read_json, write_json
from acclimate.runs.influence.influence import positions

ROWS, WRONG = 300, 30


def write(path: Path, x: np.ndarray, y: np.ndarray) -> str:
    names = [f"c{k}" for k in range(x.shape[1])]
    lines = [
        ",".join([*names, "y"]),
        *(",".join([*(f"{v:.5f}" for v in row), label]) for row, label in zip(x, y, strict=True)),
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return str(path)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Source rows of which a tenth is labelled wrongly, and a target a little aside; a run without target labels."""
    folder = tmp_path_factory.mktemp("influence")
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, ROWS)
    x = rng.normal(size=(ROWS, 4)) + 1.2 * np.outer(2 * truth - 1, [1, 0.5, 0, 0])
    wrong = np.sort(rng.permutation(ROWS)[:WRONG])
    labels = truth.copy()
    labels[wrong] = 1 - labels[wrong]
    there = rng.integers(0, 2, 400)
    z = rng.normal(size=(400, 4)) + 1.2 * np.outer(2 * there - 1, [1, 0.5, 0, 0]) + [0.3, 0, 0, 0]
    names = np.array(["no", "yes"])
    places = {
        "source": write(folder / "source.csv", x, names[labels]),
        "target": write(folder / "target.csv", z[:100], names[there[:100]]),
        "judges": write(folder / "judges.csv", z[100:], names[there[100:]]),
    }
    options = {"label": "y", "method": "source_only", "plain_baseline": False, "input": "*"}
    run = ac.adapt(places["source"], places["target"], out=folder / "run", backbone="columns", **options)
    return {"folder": folder, "places": places, "wrong": wrong, "run": run, "options": options}


def test_wrong_labels_are_found_and_removing_them_helps(world: dict[str, Any], tmp_path: Path) -> None:
    run = world["run"]
    opened = run.result["seal"]["opened"]
    found = run.influence(data=world["places"]["judges"], label="y", out=tmp_path, remove=0.1)
    assert found["form"] == "influence" and found["target"]["labels"] == "opened"
    rows = read_json(tmp_path / "influence.json")["rows"]
    assert len(rows) == found["source"]["rows"] == run.result["data"]["split"]["source"]
    worst = sorted(rows, key=lambda row: row["score"])[: WRONG // 2]
    assert np.isin([row["row"] for row in worst], world["wrong"]).mean() > 0.8
    assert {row["row"] for row in found["harmful"]} <= {row["row"] for row in worst}
    check = found["check"]
    assert check["removing_harmful_helps"] == "yes"
    assert check["harmful"]["measured"] < 0 and check["harmful"]["predicted"] < 0
    assert check["harmful"]["measured"] < min(one["measured"] for one in check["random"])
    assert check["helpful"]["measured"] > max(one["measured"] for one in check["random"])
    assert run.result["seal"]["opened"] == opened + 1
    last = run.result["seal"]["openings"][-1]
    assert (last["for"], last["label"], last["rows"]) == ("influence", "y", 300)
    section = read_json(run.folder / "trust" / "influence.json")
    assert section["opened"] is True and "helps: yes" in section["summary"]["en"]


def test_rows_are_numbered_as_in_their_file(world: dict[str, Any]) -> None:
    found = world["run"].influence(remove=0)
    source = ac.read(world["places"]["source"], input="*", label="y")
    for row in found["helpful"] + found["harmful"]:
        assert source.ids[row["row"]].decode() == row["id"] and source.labels[row["row"]] == row["label"]
        assert row["domain"] == source.name
    twice = source.select(np.array([3, 3, 5, 3]))
    assert positions(twice.select(np.array([2, 0, 1])), twice).tolist() == [2, 0, 1]


def test_on_the_command_line(world: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--data", world["places"]["judges"], "--target-label", "y", "--remove", "0.1", "-o", str(tmp_path)]
    assert main(["explain", str(world["run"].folder), "--kind", "influence", *asked]) == 0
    said = capsys.readouterr()
    assert "removing what was said to hurt helps: yes" in said.out
    assert "said to hurt  -" in said.out.replace("   ", "  ").replace("   ", "  ")
    assert "training again without 24 rows (harmful), 1 of 5" in said.err
    assert (tmp_path / "influence.json").is_file()


def test_without_permission_no_label_of_the_target_matters(world: dict[str, Any], tmp_path: Path) -> None:
    """The same rows with all labels turned round in the file give the same scores, and the seal stays as it is."""
    before = ac.Run(world["run"].folder).result["seal"]["opened"]
    text = Path(world["places"]["judges"]).read_text("utf-8")
    poisoned = tmp_path / "judges.csv"
    poisoned.write_text(text.replace("yes", "?").replace("no", "yes").replace("?", "no"), "utf-8")
    told = [world["run"].influence(data=str(place), remove=0.05, out=tmp_path / str(k))
            for k, place in enumerate((world["places"]["judges"], poisoned))]  # fmt: skip
    for found in told:
        assert found["target"]["labels"] == "predicted" and found["target"]["column"] is None
        assert "no label of the target was read" in found["notes"][0]
    scores = [[row["score"] for row in read_json(tmp_path / str(k) / "influence.json")["rows"]] for k in (0, 1)]
    assert scores[0] == scores[1] and told[0]["check"] == told[1]["check"]
    assert ac.Run(world["run"].folder).result["seal"]["opened"] == before


def test_an_arm_trained_by_steps_is_told_by_gradients(world: dict[str, Any], tmp_path: Path) -> None:
    training = {"steps": 30, "batch_size": 32, "learning_rate": 0.02}
    run = ac.adapt(
        world["places"]["source"], world["places"]["target"], out=tmp_path / "run", backbone="mlp", training=training,
        **world["options"],
    )  # fmt: skip
    found = run.influence(data=world["places"]["judges"], label="y", remove=0.1)
    assert found["form"] == "gradient" and found["harmful"][0]["predicted_change"] is None
    assert np.isin([row["row"] for row in found["harmful"]], world["wrong"]).mean() >= 0.7
    assert found["check"]["harmful"]["predicted"] is None
    assert found["check"]["removing_harmful_helps"] in ("yes", "no_evidence")


def test_what_is_refused(world: dict[str, Any], tmp_path: Path) -> None:
    run, places = world["run"], world["places"]
    opened = ac.Run(run.folder).result["seal"]["opened"]
    with pytest.raises(SettingsError, match="expected a share of the source"):
        run.influence(data=places["judges"], label="y", remove=0.9)
    with pytest.raises(SettingsError, match="no such arm"):
        run.influence(arm="dann")
    with pytest.raises(DataError, match="were trained on with their labels"):
        run.influence(data=places["source"], label="y")
    few = tmp_path / "few.csv"
    few.write_text("\n".join(Path(places["judges"]).read_text("utf-8").splitlines()[:9]), "utf-8")
    with pytest.raises(DataError, match=r"8 rows with a label in 'y'.*at least 20"):
        run.influence(data=str(few), label="y")
    assert ac.Run(run.folder).result["seal"]["opened"] == opened
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "recipe.yaml").write_text("version: 1\n", "utf-8")
    with pytest.raises(DataError, match="not finished"):
        ac.influence(unfinished)
    kept = Path(places["source"]).read_bytes()
    try:
        Path(places["source"]).unlink()
        with pytest.raises(DataError, match=r"source\.csv.*put the file back"):
            run.influence()
    finally:
        Path(places["source"]).write_bytes(kept)


def test_private_runs_tell_of_no_rows(world: dict[str, Any], tmp_path: Path) -> None:
    value = {**world["run"].result, "privacy": {"epsilon": 1.0}}
    write_json(tmp_path / "result.json", value)
    with pytest.raises(SettingsError, match="trained privately"):
        ac.influence(tmp_path)
