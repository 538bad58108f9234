from __future__ import annotations

import json

import pytest

from acclimate.runs import demo


@pytest.fixture
def small(monkeypatch):
    """The same demo on fewer rows and steps."""
    monkeypatch.setattr(demo, "SOURCE_ROWS", 400)
    monkeypatch.setattr(demo, "SETTINGS", {**demo.SETTINGS, "training": {"steps": 12, "batch_size": 32}})


def test_tells_the_story_in_order_and_may_be_told_again(acclimate, small, tmp_path):
    folder = tmp_path / "demo"
    done = acclimate("demo", "-o", folder)
    assert done.code == 0
    order = ["gap: proxy A-distance", "arms: source_only, mmd, plain", "decision: ", "Now the seal is opened"]
    places = [done.err.index(said) for said in order]
    assert places == sorted(places)
    assert "accuracy (95 %)" in done.out
    assert "verdict: " in done.out
    again = acclimate("demo", "-o", folder, "--json")
    assert (again.code, again.err) == (0, "")
    assert again.json["seal"]["opened"] == 1  # of the new run
    assert again.json["transductive"] is False
    result = json.loads((folder / "result.json").read_text())
    assert result["verdict"] == again.json["verdict"]


def test_no_row_is_on_both_sides_and_adapting_never_sees_labels(small):
    found = demo.digits()
    assert len(found.target) + len(found.sealed) == 1797
    assert not set(found.target.ids) & set(found.sealed.ids)
    assert found.target.labels is None
    counts = [(found.sealed.labels == str(digit)).sum() for digit in range(10)]
    assert min(counts) > 60  # every digit is there to be judged
