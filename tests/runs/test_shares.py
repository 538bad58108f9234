"""Stated class shares of the target, through a whole run."""

from __future__ import annotations

import numpy as np
import pytest

import acclimate as ac
from acclimate.errors import SettingsError
from acclimate.files import read_json
from acclimate.selection.shares import SLACK

CLOSED = {"backbone": "columns", "plain_baseline": False}


def points(n: int, yes: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < yes).astype(int)
    return (rng.normal(size=(n, 3)) + (2 * y - 1)[:, None] * [0.8, 0, 0]).astype(np.float32), np.array(["no", "yes"])[y]


@pytest.fixture
def shifted():
    """A source with even classes, a target with few of "yes", and the target's labels."""
    source = ac.read(points(1500, 0.5, 0), label="label", name="source")
    inputs, truth = points(600, 0.1, 1)
    return source, ac.read(inputs, name="target"), (inputs, truth)


def test_stated_shares_correct_every_arm_and_the_deployed_model(shifted, tmp_path):
    source, target, labelled = shifted
    blind = ac.adapt(source, target, method="source_only", out=tmp_path / "blind", **CLOSED)
    told = ac.adapt(
        source, target, method="mlls", target_shares={"yes": 0.12, "no": 0.88}, out=tmp_path / "told", **CLOSED
    )
    assert blind.result["shares"]["stated"] is None
    assert told.result["shares"]["stated"] == pytest.approx({"no": 0.88, "yes": 0.12})
    low, high = 0.12 * (1 - SLACK), 0.12 * (1 + SLACK)
    yes = {arm: told.arm(arm).predict_proba(labelled[0])[:, 1].mean() for arm in ("source_only", "mlls")}
    assert yes["source_only"] == pytest.approx(high, abs=1e-3), "to the edge of what was stated, no further"
    assert low < yes["mlls"] < high, "mlls found it by itself"
    accuracy = [run.evaluate(labelled, label="label")["metrics"]["accuracy"] for run in (blind, told)]
    assert accuracy[1] > accuracy[0] + 0.05
    own, corrected = (run.result["arms"][0]["source_validation"]["metrics"] for run in (blind, told))
    assert own == corrected  # the source has its own shares
    assert all("shares_fit" in row["label_free"] for row in told.result["arms"])
    assert "offsets" in read_json(tmp_path / "told" / "model" / "model.json")


def test_the_evidence_is_weighed_against_what_was_stated(shifted, tmp_path):
    source, target, _ = shifted
    shares = {"yes": 0.9, "no": 0.1}
    run = ac.adapt(source, target, method="source_only", target_shares=shares, out=tmp_path / "run", **CLOSED)
    notes = [note for note in run.result["data"]["notes"] if "contradict the evidence" in note]
    assert len(notes) == 1 and "no 0.10, which the answers put between" in notes[0]
    assert run.result["shares"]["estimated"]["yes"] == pytest.approx(0.1, abs=0.06)
    assert run.result["decision"] == "do_not_deploy"
    assert run.result["reasons"][0] == notes[0]
    assert read_json(tmp_path / "run" / "model" / "model.json")["origin"]["decision"] == "do_not_deploy"


def test_shares_that_are_rather_wrong_are_remarked_and_used(shifted, tmp_path):
    source, target, _ = shifted
    shares = {"yes": 0.4, "no": 0.6}
    run = ac.adapt(source, target, method="source_only", target_shares=shares, out=tmp_path / "run", **CLOSED)
    assert any("contradict the evidence" in note for note in run.result["data"]["notes"])
    assert run.result["decision"] == "keep_source"


def test_it_is_told_what_knowing_the_shares_would_be_worth(shifted, tmp_path):
    source, target, _ = shifted
    run = ac.adapt(source, target, method="source_only", out=tmp_path / "run", **CLOSED)
    assert 0.01 < run.result["shares"]["hinge"] < 0.3, run.result["shares"]
    low, high = run.result["shares"]["intervals"]["yes"]
    assert low <= 0.1 <= high


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"target_shares": {"yes": 0.5, "mo": 0.5}}, "unknown class 'mo'; did you mean 'no'"),
        ({"target_shares": "yes:0.5"}, "expected CLASS=SHARE"),
        ({"target_shares": "yes=0.5,yes=0.5"}, "named twice"),
        ({"target_shares": "yes=0.5,no=half"}, "expected CLASS=SHARE"),
        ({"target_shares": {"yes": 0.5, "no": "half"}}, "target_shares"),
        ({"target_shares": "yes=0.5,no=0.5", "target": None}, "there must be a target"),
    ],
)
def test_what_is_refused(shifted, tmp_path, options, why):
    source, target, _ = shifted
    with pytest.raises(SettingsError, match=why):
        ac.adapt(source, **{"target": target, "method": "source_only", "out": tmp_path / "run", **CLOSED, **options})
    assert not (tmp_path / "run").exists()


def test_shares_are_doubted_where_the_looks_changed_too(shifted, tmp_path):
    source, target, (inputs, _) = shifted
    moved = ac.read(inputs + np.float32([0, 3, 0]), name="moved")
    plain, doubted = (
        ac.adapt(source, rows, method="mlls", out=tmp_path / rows.name, **CLOSED).result["shares"]["doubts"]
        for rows in (target, moved)
    )
    assert plain == []
    assert [doubt for doubt in doubted if doubt.startswith("the shift looks like covariate")]
