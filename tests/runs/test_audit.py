"""Audits of a run that has learned its rows by heart, of one that has not, and of what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import acclimate as ac
from acclimate.errors import DataError, SettingsError
from acclimate.files import read_json
from acclimate.runs.audit import _broken
from acclimate.runs.report.several import as_text, compare_runs


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory):
    """Rows whose labels are half chance, so that only learning by heart explains them; an overfit and a private run."""
    folder = tmp_path_factory.mktemp("audit")
    rng = np.random.default_rng(0)
    for name, n in (("source", 200), ("other", 240)):
        x = rng.normal(size=(n, 30)).astype(np.float32)
        y = (x[:, 0] + rng.normal(scale=1.5, size=n) > 0).astype(int)
        np.savez(folder / f"{name}.npz", x=x, y=np.array(["no", "yes"])[y])
    places = {name: f"{folder / name}.npz?x=x&y=y" for name in ("source", "other")}
    target = f"{folder / 'other'}.npz?x=x"
    np.savez(folder / "target.npz", x=rng.normal(size=(60, 30)).astype(np.float32))
    target = f"{folder / 'target'}.npz?x=x"
    shared = {"method": "source_only", "plain_baseline": False}
    training = {"steps": 250, "batch_size": 40, "learning_rate": 0.01, "weight_decay": 0.0}
    overfit = ac.adapt(places["source"], target, out=folder / "overfit", training=training, **shared)
    private = ac.adapt(
        places["source"], target, out=folder / "private", training={**training, "steps": 40}, **shared,
        privacy={"epsilon": 2, "delta": 1e-3, "seeded": True},
    )  # fmt: skip
    return places, overfit, private


def test_audits_order_as_they_must(world):
    """By loss alone: who has learned by heart tells a lot, who is private next to nothing."""
    places, overfit, private = world
    audits = [run.audit(places["source"], places["other"]) for run in (overfit, private)]
    told = [found["arms"]["source_only"]["loss"]["auc"] for found in audits]
    assert told[0] > 0.75
    assert told[1] < 0.58
    assert told[0] > told[1] + 0.15


def test_runs_are_compared_by_what_an_audit_told(world, tmp_path):
    places, overfit, private = world
    for run in (overfit, private):
        run.audit(places["source"], places["other"])
    rows = compare_runs([overfit.folder, private.folder])
    attacks = [read_json(run.folder / "audit.json")["arms"]["source_only"] for run in (overfit, private)]
    assert [row["membership_auc"] for row in rows] == [max(e["auc"] for e in each.values()) for each in attacks]
    assert rows[0]["epsilon"] is None and rows[1]["epsilon"] <= 2 and [row["gap"] for row in rows] == [None, None]
    page = ac.report([overfit, private], out=tmp_path / "runs.html").read_text(encoding="utf-8")
    assert "members told, AUC" in page and "gap between groups" not in page
    assert [list(row)[-2:] for row in as_text(rows)] == [["epsilon", "members told, AUC"]] * 2


def test_what_was_held_out_is_no_member(world):
    places, overfit, _ = world
    found = overfit.audit(places["source"], places["other"])
    assert (found["members"], found["others"]) == (160, 240)
    assert "40 of 200 rows were not learned from" in found["notes"][0]
    assert found["arms"]["source_only"]["loss"]["tpr"]["0.001"] is None
    assert read_json(overfit.folder / "audit.json") == found
    assert read_json(overfit.folder / "trust" / "audit.json")["level"] == "caution"


def test_shadows_and_planted_rows(world):
    places, overfit, _ = world
    found = overfit.audit(places["source"], places["other"], shadows=2, canaries=80)
    assert set(found["arms"]["source_only"]) == {"loss", "lira", "rmia"}
    assert found["arms"]["source_only"]["rmia"]["auc"] > 0.75
    planted = found["canaries"]
    assert 20 <= planted["planted"] <= 44 and 30 <= planted["others"] <= 50
    assert planted["arms"]["source_only"]["auc"] > 0.85  # a wrong label is found only where it was learned by heart
    again = overfit.audit(places["source"], places["other"], shadows=2, canaries=80)
    assert again == found
    assert overfit.audit(places["source"], places["other"]) == found  # a quick audit does not forget the slow one


def test_a_claim_is_held_against_what_is_proved(world):
    places, _, private = world
    found = private.audit(places["source"], places["other"])
    assert found["claimed"] == private.result["privacy"]["spent"]["source"]
    assert found["broken"] is False
    with np.load(private.folder / "rows.npz") as rows:
        kept = dict(rows)
    assert set(kept["learned"]) < set(kept["trained"])


def test_a_source_free_arm_still_tells_of_its_source(world):
    places, overfit, _ = world
    found = overfit.audit(places["source"], places["other"], source_free="shot")
    assert list(found["arms"]) == ["source_only", "shot"] and set(found["arms"]["shot"]) == {"loss"}
    assert found["arms"]["shot"]["loss"]["auc"] > 0.65
    assert "trained for this audit" in found["notes"][-1]
    later = overfit.audit(places["source"], places["other"])
    assert later["arms"]["shot"] == found["arms"]["shot"] and "'shot' is from an earlier audit" in later["notes"]
    proofs = {name: {"least_epsilon": proof} for name, proof in (("source_only", 0.0), ("shot", 9.0))}
    beside = {**found, "claimed": 0.1, "canaries": {"arms": proofs}}
    beside["arms"] = {name: {"loss": proof} for name, proof in proofs.items()}
    assert not _broken(beside, ["source_only"])  # what was not trained privately breaks no claim
    assert _broken(beside, ["source_only", "shot"])
    with pytest.raises(SettingsError, match="reads rows of the source while it adapts"):
        overfit.audit(places["source"], places["other"], source_free="dann")


def test_shadows_of_a_source_free_arm(world):
    """Each shadow is adapted as the arm was, and planted rows are looked for in it too."""
    places, overfit, _ = world
    alone = overfit.audit(places["source"], places["other"], shadows=3, canaries=80)
    found = overfit.audit(places["source"], places["other"], shadows=3, canaries=80, source_free="shot")
    arms = found["arms"]
    assert arms["source_only"] == alone["arms"]["source_only"]
    assert set(arms["shot"]) == {"loss", "lira", "rmia"} and arms["shot"]["rmia"]["auc"] > 0.65
    assert arms["shot"]["rmia"] != arms["source_only"]["rmia"]
    planted = found["canaries"]["arms"]
    assert planted["source_only"] == alone["canaries"]["arms"]["source_only"] and planted["shot"]["auc"] > 0.7


def test_what_is_refused(world, tmp_path):
    places, overfit, _ = world
    with pytest.raises(SettingsError, match="shadows is a number of 0 or more; found -1"):
        overfit.audit(places["source"], places["other"], shadows=-1)
    with pytest.raises(DataError, match=r"too few rows: 160 of the members .* and 0 of the others .* were never seen"):
        overfit.audit(places["source"], places["source"])
    frame = {"x": np.arange(60.0), "y": np.arange(60.0) / 7}
    import pandas as pd

    numbers = ac.adapt(pd.DataFrame(frame), input="x", label="y", backbone="columns", out=tmp_path / "numbers")
    with pytest.raises(SettingsError, match="task 'regress' has none"):
        numbers.audit(pd.DataFrame(frame), pd.DataFrame(frame))
