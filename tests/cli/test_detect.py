from __future__ import annotations

import csv
import json

import pytest

from acclimate.domains.boxes import with_scores

pytest.importorskip("faster_coco_eval")


def test_boxes_from_the_command_line(tmp_path, scenes, acclimate):
    for name, n, style in (("source", 12, "day"), ("target", 8, "haze")):
        scenes(tmp_path / name, n, style)
    source, target, run = (str(tmp_path / name) for name in ("source", "target", "run"))
    small = ("--backbone", "small_cnn", "--set", "backbone.size=32", "--set", "training.steps=4")
    assert acclimate("adapt", "--task", "detect", "--source", source, "--target", target, *small, "-o", run).code == 0
    scored = acclimate("evaluate", run, "--data", target, "--json").json
    assert scored["primary"] == "ap50" and set(scored["metrics"]) == {"ap50", "map"}
    assert set(scored["baselines"]) == {"average", "blobs"}
    answers = tmp_path / "answers.csv"
    assert acclimate("predict", run, "--data", target, "-o", str(answers)).code == 0
    with answers.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8 and all(0 <= float(row["confidence"]) <= 1 for row in rows)
    for row in rows:
        names, boxes, scores = with_scores(row["prediction"])
        assert set(names) <= {"disc"} and (boxes >= 0).all() and (boxes <= 32).all() and (scores >= 0.05).all()
    shown = acclimate("predict", run, "--data", target, "--json").json["rows"]
    assert [row["prediction"] for row in shown] == [row["prediction"] for row in rows]


def test_boxes_that_are_none_are_named(tmp_path, scenes, acclimate):
    source = scenes(tmp_path / "source", 8)
    listed = json.loads((source / "annotations.json").read_text())
    listed["003"]["boxes"] = [["disc", 9, 9, 2, 12]]
    (source / "annotations.json").write_text(json.dumps(listed))
    small = ("--backbone", "small_cnn", "--set", "backbone.size=32", "--set", "training.steps=4")
    done = acclimate("adapt", "--task", "detect", "--source", str(source), *small, "-o", str(tmp_path / "run"))
    assert done.code == 3 and "003.png: a box is x1, y1, x2, y2 with x1 <= x2" in done.err
