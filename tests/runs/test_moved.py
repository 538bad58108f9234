"""What moved in a network: something where it was trained, nothing where it was frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import acclimate as ac
from acclimate.cli.main import main
from acclimate.errors import DataError, SettingsError
from acclimate.files import read_json
from acclimate.runs.report.moved import words


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Rows of two classes, and smaller ones; a network that is trained by DANN for some steps, and a frozen run."""
    folder = tmp_path_factory.mktemp("moved")
    rng = np.random.default_rng(0)
    for name, n, scale in (("source", 100, 1.0), ("target", 60, 0.6)):
        y = rng.integers(0, 2, n)
        x = rng.uniform(0, 120, size=(n, 8))
        x[:, 0] += 100 * y
        np.savez(folder / f"{name}.npz", x=(scale * x).astype(np.float32), y=y)
    source, target = f"{folder / 'source.npz'}?x=x&y=y", f"{folder / 'target.npz'}?x=x"
    options = {"label": "y", "plain_baseline": False, "method": "dann"}
    training = {"steps": 40, "batch_size": 16}
    trained = ac.adapt(source, target, out=folder / "run", backbone="mlp", training=training, **options)
    frozen = ac.adapt(
        source, target, out=folder / "frozen", backbone="columns", tune="frozen", training={"steps": 4}, **options
    )
    return {"folder": folder, "trained": trained, "frozen": frozen}


def test_a_trained_network_moved_less_than_random_weights(world: dict[str, Any], tmp_path: Path) -> None:
    run = world["trained"]
    found = run.moved(out=tmp_path, others=[run.folder])
    assert found["moved"] and found["rows"] == {"source": 20, "target": 60}
    inputs, *learned = found["layers"]
    assert inputs["source"]["cka"] == pytest.approx(1) == inputs["source"]["floor"]  # the columns, which nothing moves
    for layer in learned:
        for side in ("source", "target"):
            one = layer[side]
            assert one["floor"] < one["cka"] < 1 and one["low"] == one["high"] == one["cka"]
    lost = found["forgotten"]
    rows = {row["name"]: row["source_validation"]["metrics"]["accuracy"] for row in run.result["arms"]}
    assert (lost["before"], lost["after"]) == (rows["source_only"], rows["dann"])
    assert read_json(tmp_path / "moved.json") == found
    section = read_json(run.folder / "trust" / "moved.json")
    assert len(section["figure"]["series"]) == 3 and not section["opened"]
    assert len(section["table"]["rows"]) == len(found["layers"])


def test_frozen_weights_cannot_have_moved(world: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(world["frozen"].folder), "--kind", "moved"]) == 0
    said = capsys.readouterr().out
    assert "Nothing can have moved: the network was frozen" in said and "the bottleneck above it has learned" in said
    assert "held-out source rows went from" in said


def test_forgetting_is_said_by_its_interval() -> None:
    found = {"moved": False, "why": "it was frozen", "layers": [], "forgotten": {
        "metric": "mae", "higher_is_better": False, "reference": "source_only", "rows": 90, "before": 1.0, "after": 1.4,
        "difference": {"value": 0.4, "low": 0.1, "high": 0.7, "note": ""},
    }}  # fmt: skip
    assert "some of the source was forgotten" in words(found)[1][0]
    found["forgotten"]["difference"]["low"] = -0.1
    assert "no evidence that anything was forgotten" in words(found)[1][0]
    found["forgotten"]["difference"] |= {"low": -0.7, "high": -0.1}
    assert "better than before" in words(found)[1][0]


def test_what_is_refused(world: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such arm"):
        world["trained"].moved(arm="mcc")
    place = world["folder"] / "source.npz"
    kept = place.read_bytes()
    try:
        place.unlink()
        with pytest.raises(DataError, match="put the file back"):
            world["trained"].moved(out=tmp_path)
    finally:
        place.write_bytes(kept)
