"""Arms that train together are arms like any other."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import acclimate as ac
from acclimate.runs import workers
from acclimate.runs.arms import plan
from acclimate.runs.fleet import crews
from acclimate.runs.prepare import prepare
from acclimate.runs.reading import read_source, read_target
from acclimate.runs.recipe import parse
from acclimate.training import checkpoint

METHODS = ["mcc", "mcc:strength=0.1", "dann", "mcc:strength=3", "mcc+mlls:mcc.strength=0.5", "coral"]
TOGETHER = {"mcc": 4, "mcc:strength=0.1": 4, "mcc:strength=3": 4, "mcc+mlls:mcc.strength=0.5": 4}
QUICK = {"backbone": "columns", "precision": "fp32", "plain_baseline": False}
TRAINING = {"steps": 30, "batch_size": 8, "checkpoint_seconds": 0}
TUNE = {"kind": "frozen", "bottleneck": 8}


@pytest.fixture
def compare(tables, tmp_path):
    """``compare(name, methods, **options)``: a run in a folder of that name."""

    def run(name: str, methods: Any = tuple(METHODS), **options: Any) -> ac.Run:
        given = {**tables(), **QUICK, "tune": TUNE, "training": TRAINING, **options}
        return ac.compare(given.pop("source"), given.pop("target"), methods=methods, out=tmp_path / name, **given)

    return run


def weights(run: ac.Run, arm: str) -> dict[str, np.ndarray]:
    return load_file(run.folder / "arms" / arm.replace(":", ",") / "model" / "weights.safetensors")


def written(folder: Path) -> dict[str, bytes]:
    """The models and the log of a run."""
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.suffix in (".safetensors", ".jsonl")
    }


def test_arms_of_a_fleet_are_those_that_they_would_have_been_alone(compare):
    run = compare("together")
    rows = {row["name"]: row for row in run.result["arms"]}
    assert list(rows) == ["source_only", *METHODS, "auto"]
    assert {name: row["stages"][0].get("together") for name, row in rows.items() if name in TOGETHER} == TOGETHER
    assert "together" not in rows["dann"]["stages"][0]
    assert [stage["stage"] for stage in rows["mcc+mlls:mcc.strength=0.5"]["stages"]] == ["mcc", "mlls"]
    assert not (run.folder / "checkpoints").exists()
    for name in ("mcc:strength=0.1", "mcc+mlls:mcc.strength=0.5"):
        alone = compare(f"alone-{name}", [name])
        assert not any("together" in stage for row in alone.result["arms"] for stage in row["stages"])
        other = weights(alone, name)
        for key, value in weights(run, name).items():
            np.testing.assert_allclose(value, other[key], rtol=1e-4, atol=1e-5, err_msg=f"{name} {key}")
        row = next(row for row in alone.result["arms"] if row["name"] == name)
        assert rows[name]["label_free"]["infomax"] == pytest.approx(row["label_free"]["infomax"], abs=1e-4)
        logs = [[json.loads(line) for line in (r.folder / "metrics.jsonl").open()] for r in (run, alone)]
        told = [[row["step"] for row in log if row["arm"] == name and "losses" in row] for log in logs]
        assert told[0] == told[1]


@pytest.mark.parametrize("training", [{"keep": "source", "patience": 3}, {"accumulate": 2}])
def test_what_a_fleet_cannot_do_is_trained_alone(compare, training):
    run = compare("run", ["mcc", "mcc:strength=0.1"], training={**TRAINING, "steps": 4, **training})
    assert not any("together" in stage for row in run.result["arms"] for stage in row["stages"])


def test_processes_train_the_same_fleets(compare):
    options = {"methods": METHODS[:4], "training": {**TRAINING, "steps": 6}}
    one, two = compare("one", **options), compare("two", jobs=2, **options)
    for name in (*METHODS[:4], "auto"):
        left, right = weights(one, name), weights(two, name)
        assert all(np.array_equal(left[key], right[key]) for key in left), name


def test_one_that_diverges_is_left_out_and_named(compare):
    training = {**TRAINING, "clip": 0.0, "optimizer": "sgd", "learning_rate": 0.1, "warmup": 0.0}
    with pytest.warns(UserWarning, match="arm 'mcc:strength=1e\\+38' is left out: mcc: .* is not finite"):
        run = compare("run", ["mcc", "mcc:strength=1e+38", "mcc:strength=0.1"], training=training)
    assert [row["name"] for row in run.result["arms"]] == ["source_only", "mcc", "mcc:strength=0.1", "auto"]


def test_a_killed_fleet_resumes_bit_for_bit(compare, tables, tmp_path, processes, own_cache):
    methods = METHODS[:2] + METHODS[3:5]
    whole = compare("whole", methods)
    folder = tmp_path / "killed"
    auto = {"name": "auto", "candidates": methods}
    options = {**tables(), **QUICK, "tune": TUNE, "training": TRAINING, "method": auto, "out": str(folder)}

    def newest() -> int:
        return max((int(path.name) for path in folder.glob("checkpoints/*fleet/*/*") if path.name.isdigit()), default=0)

    where = {"environment": {"XDG_CACHE_HOME": str(own_cache)}}
    assert processes.run("adapt", lambda: newest() >= 7, signal.SIGKILL, **options, **where) == -signal.SIGKILL
    (stage,) = folder.glob("checkpoints/mcc,fleet/*")
    assert 7 <= int(checkpoint.saved(stage)[-1].name) < 30

    def some_arms() -> bool:
        return len(list(folder.glob("arms/mcc*/arm.json"))) >= 1

    status = processes.run("resume", some_arms, signal.SIGKILL, folder=str(folder), **where)
    assert status == -signal.SIGKILL
    assert not (folder / "result.json").exists()
    ac.resume(folder)
    assert written(folder) == written(whole.folder)


def test_arms_of_one_shape_make_a_crew(tables):
    recipe = parse(
        {**tables(), **QUICK, "tune": TUNE, "method": {"name": "auto", "candidates": METHODS, "settings": 2}}
    )
    labelled = read_source(recipe, None)
    arms = plan(recipe, prepare(recipe, labelled, read_target(recipe, labelled, None)))
    found = [[arm.name for arm in crew] for crew in crews(arms)]
    assert found[1][:2] == ["mcc", "mcc:strength=0.3"]
    assert "mcc+mlls:mcc.strength=0.5" in found[1]
    assert found[2] == ["dann", "dann:strength=0.3"]
    assert found[0] == ["source_only"]
    assert found[-1] == ["auto"]
    assert sum(map(len, found)) == len(arms)


def test_workers_share_the_threads_unless_the_user_set_them(monkeypatch):
    own = torch.get_num_threads()
    try:
        torch.set_num_threads(6)
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        assert [workers.threads(jobs) for jobs in (1, 2, 4, 12)] == [6, 3, 1, 1]
        monkeypatch.setenv("OMP_NUM_THREADS", "6")
        assert workers.threads(4) == 6
    finally:
        torch.set_num_threads(own)


def test_a_crew_gets_as_many_seconds_as_its_arms(tables):
    import time

    recipe = parse({**tables(), **QUICK, "tune": TUNE, "method": {"name": "auto", "candidates": METHODS}})
    labelled = read_source(recipe, None)
    *arms, _ = plan(recipe, prepare(recipe, labelled, read_target(recipe, labelled, None)))
    left = crews(arms)
    assert [len(crew) for crew in left] == [1, 4, 1, 1]
    shares = [workers._share(time.monotonic() + 70, crew, left) for crew in left]
    assert shares == pytest.approx([10, 40, 10, 10], rel=1e-2)
    assert workers._share(time.monotonic() + 70, left[1], left, together=2) == pytest.approx(70, rel=1e-2)
    assert workers._share(None, left[1], left) is None
