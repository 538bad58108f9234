"""What the guard says of an arm reaches the screen, the log, the arm's record and the result."""

from __future__ import annotations

import json
import warnings

import pytest

import acclimate as ac


def far(points):
    """Target points whose second number gives every one of them away."""
    rows = [line.split(",") for line in points(100, where="target")]
    return [f"{a},{float(b) + 9:.4f},{label}" for a, b, label in rows]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_warning_is_said_once_and_kept(tmp_path, points, write_csv, jobs):
    source = write_csv(tmp_path / "source.csv", "x0,x1,label", points(100))
    target = write_csv(tmp_path / "target.csv", "x0,x1,label", far(points))
    with pytest.warns(UserWarning, match="arm 'dann': the discriminator is always right") as caught:
        run = ac.adapt(
            str(source), str(target), input=["x0", "x1"], label="label", method={"name": "dann", "strength": 1e-6},
            training={"steps": 200}, plain_baseline=False, jobs=jobs, out=tmp_path / "run",
        )  # fmt: skip
    arms = {row["name"]: row["warnings"] for row in run.result["arms"]}
    assert arms["source_only"] == []
    (kept,) = [sentence for sentence in arms["dann"] if "always right" in sentence]
    assert [str(w.message) for w in caught if "always right" in str(w.message)] == [f"arm 'dann': {kept}"]
    assert json.loads((run.folder / "arms" / "dann" / "arm.json").read_text())["warnings"] == arms["dann"]
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    (logged,) = [row for row in rows if row.get("warning") == kept]
    assert (logged["arm"], logged["stage"]) == ("dann", "dann")
    looks = [row["measured"] for row in rows if "measured" in row and row["arm"] == "dann"]
    assert looks[-1]["domain_accuracy"] == 1.0
    assert {"largest_share", "shares_distance"} <= looks[-1].keys()


def test_a_healthy_run_is_silent(tmp_path, points, write_csv):
    source = write_csv(tmp_path / "source.csv", "x0,x1,label", points(200))
    target = write_csv(tmp_path / "target.csv", "x0,x1,label", points(200, seed=1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = ac.adapt(
            str(source), str(target), input=["x0", "x1"], label="label", method="dann", training={"steps": 300},
            plain_baseline=False, out=tmp_path / "run",
        )  # fmt: skip
    assert [row["warnings"] for row in run.result["arms"]] == [[], []]
