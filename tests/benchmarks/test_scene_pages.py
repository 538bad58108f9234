"""Pages of scenes say what follows from the figures, also while only some of them are there."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("rdkit")
from acclimate.domains.masks import from_text, to_text
from benchmarks import machines_page, molecules_page, report, retina_page


def bearing(seed, decision="adapt", verdict="helped", deployed="dann", **accuracies):
    arms = {name: {"accuracy": value} for name, value in accuracies.items()}
    return {"seed": seed, "decision": decision, "verdict": verdict, "deployed": accuracies[deployed], "arms": arms}


BEARINGS = {
    "protocol": "Protocol: two pairs.",
    "runs": {
        "0 to 1": [
            bearing(0, source_only=0.8, dann=0.9, plain=0.7),
            bearing(1, source_only=0.6, dann=0.9, plain=0.7),
        ],
        "1 to 0": [
            bearing(0, "keep_source", "no evidence", "source_only", source_only=0.5, dann=0.4, plain=0.9),
        ],
        "2 to 3": [],
    },
}


def life(seed, **errors):
    arms = {name: {"rmse": value, "mae": value - 1, "nasa_score": 100 * value} for name, value in errors.items()}
    return {"seed": seed, "decision": "adapt", "verdict": "helped", "n": 100, "arms": arms}


TURBOFANS = {
    "protocol": "Protocol: engines.",
    "runs": {
        "FD001 dann": [life(0, source_only=15.0, dann=16.0)],
        "FD003 dann": [life(0, source_only=20.0, dann=18.0), life(1, source_only=22.0, dann=20.0)],
        "FD003 coral": [life(0, source_only=20.0, coral=25.0), life(1, source_only=22.0, coral=27.0)],
    },
}


def row(page, *start):
    found = [line for line in page.splitlines() if line.startswith("| " + " | ".join(start) + " |")]
    assert len(found) == 1, found
    return [cell.strip() for cell in found[0].strip("|").split("|")]


def test_bearings_by_hand():
    said = machines_page.page({"bearings": BEARINGS})
    assert row(said, "0 to 1")[:6] == ["0 to 1", "2", "70.0 (14.1)", "90.0 (0.0)", "70.0 (0.0)", "90.0 (0.0)"]
    assert row(said, "**mean of pairs**")[2:6] == ["60.0", "65.0", "80.0", "70.0"]
    assert "`dann` is +5.0 points from source_only on average; below it for 1 of 2 pairs (1 to 0)." in said
    assert "of 3 decisions, 0 adapted and hurt, and 1 did not adapt where an arm was better" in said
    assert "## Engines" not in said and "2 to 3" not in said


def test_engines_by_hand():
    said = machines_page.page({"turbofans": TURBOFANS})
    assert row(said, "FD003", "dann")[2:4] == ["2", "19.0 (1.4)"]
    assert row(said, "FD003", "source_only")[2:4] == ["2", "21.0 (1.4)"]
    assert "Engines of FD001: source_only has an RMSE of 15.0; no arm is better; not better: `dann` (16.0)." in said
    assert (
        "Engines of FD003: source_only has an RMSE of 21.0; the best other arm is `dann` (19.0); not better: " in said
    )
    assert "`coral` (26.0)" in said and "the second fault costs 6.0 cycles" in said


MOLECULES = {
    "protocol": "Protocol: scaffolds.",
    "runs": {
        **{f"bbbp morgan {k}": {"roc_auc": 0.80 + 0.01 * k, "pr_auc": 0.9} for k in range(2)},
        **{f"bbbp forest {k}": {"roc_auc": 0.90 + 0.01 * k, "pr_auc": 0.8} for k in range(2)},
        "bace morgan 0": {"roc_auc": 0.85, "pr_auc": 0.8},
        "bace forest 0": {"roc_auc": 0.84, "pr_auc": 0.8},
        "hiv morgan 0": {"roc_auc": 0.7, "pr_auc": 0.3},
        "tox21 protonet 0": {"SR-p53 16": {"mean": 0.60, "sd": 0.1}, "SR-p53 64": {"mean": 0.7, "sd": 0.1}},
        "tox21 forest 0": {"SR-p53 16": {"mean": 0.65, "sd": 0.1}, "SR-p53 64": {"mean": 0.6, "sd": 0.1}},
        "tox21 morgan 0": {"SR-p53 16": {"mean": 0.66, "sd": 0.1}},
    },
}


def test_where_the_forest_wins():
    said = molecules_page.page(MOLECULES)
    assert row(said, "bbbp", "ROC-AUC")[2:] == ["2", "80.5 (0.7)", "", "", "", "**90.5 (0.7)**"]
    assert row(said, "bbbp", "PR-AUC")[3] == "**90.0 (0.0)**"
    assert "the forest wins on: bbbp (+10.0 to fingerprints, linear)." in said
    assert "It loses on: bace (-1.0 to fingerprints, linear, within the deviations between seeds)." in said
    assert row(said, "SR-p53", "64") == ["SR-p53", "64", "**70.0**", "", "", "", "", "60.0"]
    assert "From 16 molecules meta-training does not pay for: ProtoNet, graph network; the forest is better." in said
    assert "From 64 molecules meta-training" not in said
    assert "Not measured, or not by every arm: bbbp, bace, clintox, hiv." in said
    assert "random forest, each support by itself: 1." in said


def retina(seed, shown=None, **dice):
    arms = {name: {"dice": value, "miou": value, "boundary_f1": value} for name, value in dice.items()}
    if shown:
        arms["source_only"]["shown"] = shown
    return {"seed": seed, "arms": arms, "plain": {"otsu": {"dice": 0.3, "miou": 0.4, "boundary_f1": 0.2}}}


RETINA = {
    "protocol": "Protocol: eyes.",
    "runs": {
        "drive to chase": [
            retina(0, source_only=0.5, dann_output=0.6, dann=0.4, fda=0.5, coral=0.6, self_training=0.4, oracle=0.7),
            retina(1, source_only=0.5, dann_output=0.6, dann=0.7, fda=0.5, coral=0.4, self_training=0.4, oracle=0.7),
        ],
        "chase to drive": [],
    },
}


def test_retinas_by_hand():
    said = retina_page.page(RETINA)
    assert row(said, "drive to chase", "dann_output")[2:] == ["2", "60.0 (0.0)", "60.0 (0.0)", "60.0 (0.0)", "+10.0"]
    assert "no better than source_only in Dice: `fda` (+0.0), `coral` (+0.0), `self_training` (-10.0)." in said
    assert "the best, `dann_output`, closes 50 % of the 20.0 points" in said
    assert "better with some seeds and worse with others: `dann`, `coral`." in said
    assert "White is found" not in said


def test_pictures_are_drawn(tmp_path, shared_data):
    """Of what is there: a mask of one arm, half of the benchmarks."""
    from benchmarks.common import first_image, images_of

    image = first_image(images_of(retina_page.SITES["drive"][1]))
    truth = from_text(str(image.labels[0])).index(["vessels"])
    kept = to_text(np.where(truth == 0, 0, 255).astype(np.uint8), ["vessels"])
    runs = {"chase to drive": [retina(0, kept, **dict.fromkeys(retina_page.SHOWN, 0.5))]}
    tiles = retina_page._tiles("drive", retina_page._kept(runs["chase to drive"]))
    assert list(tiles) == ["photo", "vessels", "source_only"]
    assert (tiles["source_only"] == tiles["vessels"]).all(), "nothing missed, nothing false"
    retina_page.draw({"runs": runs}, tmp_path / "retina.svg")
    machines_page.draw({"bearings": BEARINGS}, tmp_path / "machines.svg")
    molecules_page.draw(MOLECULES, tmp_path / "molecules.svg")
    for name in ("retina", "machines", "molecules"):
        assert "<svg" in (tmp_path / f"{name}.svg").read_text()[:1000]


def test_a_scene_of_two_files_is_there_with_one(monkeypatch, tmp_path):
    (tmp_path / "bearings.json").write_text(json.dumps(BEARINGS))
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    assert {name: list(found) for name, (_, found) in report.scenes().items()} == {"machines": ["bearings"]}
