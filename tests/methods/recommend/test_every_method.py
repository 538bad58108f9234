from __future__ import annotations

import pytest

import acclimate as ac
from acclimate.errors import SettingsError
from acclimate.methods.registry import METHODS

WORK = {
    *("source_only", "target_only", "finetune", "joint", "dann", "mmd", "coral", "deepjdot", "afn"),
    *("importance_weighting", "auto", "cmf", "emcdr", "ptupcdr"),
}


@pytest.mark.parametrize("task", ["rank", "rate"])
def test_every_method_works_on_interactions_or_says_why_not(planted, tmp_path, task):
    found = planted(users=24, items=12, hits=4, warm=16)
    for name, frame in found.items():
        found[name] = frame.assign(rating=frame.index % 5)
    options = {"task": task, "user": "user", "item": "item", "rating": "rating", "training": {"steps": 2}}
    works = set()
    for method in METHODS:
        try:
            run = ac.adapt(found["source"], found["warm"], method=method, out=tmp_path / method, **options)
        except SettingsError as error:
            assert method in str(error)
            continue
        metrics = run.evaluate(found["cold"])["arms"][method]["metrics"]
        assert all(value == value for value in metrics.values())
        works.add(method)
    assert works == WORK
