"""Exported models: what was to be forgotten is in no file, the rest answers as before, and residues are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import acclimate as ac
from acclimate.cli.main import main
from acclimate.errors import SettingsError
from acclimate.files import read_json
from acclimate.runs.export import words

CLASSES = np.array(["axolotl", "cat", "dog"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Three classes in the source, two in the target; a frozen run that was told so, and one of a trained network."""
    folder = tmp_path_factory.mktemp("export")
    rng = np.random.default_rng(0)
    centers = np.array([[2.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 2.0, 0]])
    for name, n, classes in (("source", 240, 3), ("target", 100, 2)):
        y = rng.integers(3 - classes, 3, n)
        x = rng.normal(size=(n, 4)) + centers[y]
        rows = [",".join([*(f"{v:.4f}" for v in row), CLASSES[k]]) for row, k in zip(x, y, strict=True)]
        (folder / f"{name}.csv").write_text("\n".join(["a,b,c,d,kind", *rows]) + "\n", "utf-8")
    source, target = str(folder / "source.csv"), str(folder / "target.csv")
    options = {"label": "kind", "input": "*", "method": "source_only", "plain_baseline": False}
    shares = {"axolotl": 0.0, "cat": 0.5, "dog": 0.5}
    frozen = ac.adapt(source, target, out=folder / "frozen", backbone="columns", target_shares=shares, **options)
    training = {"steps": 60, "batch_size": 32}
    trained = ac.adapt(source, target, out=folder / "trained", backbone="mlp", training=training, **options)
    return {"folder": folder, "source": source, "target": target, "frozen": frozen, "trained": trained}


def test_a_forgotten_class_is_in_no_file(world: dict[str, Any], tmp_path: Path) -> None:
    run = world["frozen"]
    found = run.export(tmp_path / "out", only_target=True)
    assert (found["forgotten"], found["classes"], found["named"]) == (["axolotl"], ["cat", "dog"], {})
    for path in (tmp_path / "out").rglob("*"):
        assert not path.is_file() or b"axolotl" not in path.read_bytes()
    assert b"axolotl" in (run.folder / "model" / "model.json").read_bytes()
    assert not list((tmp_path / "out").glob("certainty*"))
    config = read_json(tmp_path / "out" / "model.json")
    assert len(config["offsets"]) == 2 and config["origin"]["forgotten_classes"] == 1
    model = ac.load(tmp_path / "out")
    before = run.model.predict_proba(world["target"])[:, 1:]
    assert model.predict_proba(world["target"]) == pytest.approx(before / before.sum(1, keepdims=True), abs=1e-6)
    assert "never learned of the class" in " ".join(words(found))


def test_what_a_network_learned_of_it_is_told(world: dict[str, Any], tmp_path: Path) -> None:
    found = world["trained"].export(tmp_path / "out", forget_classes=["axolotl"])
    left = found["residue"]["axolotl"]
    assert left["auc"] > 0.8 and left["floor"]["auc"] > 0.5 and left["rows"] >= 10
    assert "a linear probe still tells its rows from others" in " ".join(words(found))
    assert any("the model answers 'axolotl'" in note for note in found["notes"]) == (
        (world["trained"].model.predict(world["target"])["prediction"] == "axolotl").mean() >= 0.05
    )
    again = world["trained"].export(tmp_path / "two", forget_classes=["axolotl"])
    assert again["residue"] == found["residue"]


def test_without_the_source_it_is_said_that_nothing_was_measured(world: dict[str, Any], tmp_path: Path) -> None:
    kept = Path(world["source"]).read_bytes()
    try:
        Path(world["source"]).unlink()
        found = world["frozen"].export(tmp_path / "out", forget_classes=["axolotl"])
    finally:
        Path(world["source"]).write_bytes(kept)
    assert found["residue"] == {} and "was not measured" in found["notes"][-1]
    assert "not looked for in the features" in words(found)[1]


def test_what_is_refused(world: dict[str, Any], tmp_path: Path) -> None:
    frozen, trained = world["frozen"], world["trained"]
    with pytest.raises(SettingsError, match="the target has class 'cat' too"):
        frozen.export(tmp_path / "out", forget_classes=["cat"])
    with pytest.raises(SettingsError, match="is not known, for its labels are sealed"):
        trained.export(tmp_path / "out", only_target=True)
    with pytest.raises(SettingsError, match="none would be left"):
        trained.export(tmp_path / "out", forget_classes=list(CLASSES))
    with pytest.raises(SettingsError, match="'cow' is none of the model's"):
        trained.export(tmp_path / "out", forget_classes=["cow"])
    assert not (tmp_path / "out").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    with pytest.raises(SettingsError, match="absent or empty"):
        trained.export(tmp_path / "full")


def test_on_the_command_line(world: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(world["frozen"].folder)
    assert main(["export", run, "-o", str(tmp_path / "all")]) == 0
    assert (
        ac.load(tmp_path / "all").predict_proba(world["target"]) == world["frozen"].predict_proba(world["target"])
    ).all()
    assert main(["export", run, "-o", str(tmp_path / "some"), "--forget-source-classes", "axolotl"]) == 0
    said = capsys.readouterr().out
    assert "1 class forgotten; it answers with one of cat, dog" in said
    assert "'axolotl': its name stands in no file" in said
