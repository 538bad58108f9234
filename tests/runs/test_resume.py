"""A run that is killed and resumed is the run that was never killed, bit for bit."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

import acclimate as ac
from acclimate.errors import DataError, SettingsError

STEPS = 40


def newest(folder: Path, arm: str) -> int:
    """Steps that the checkpoints of an arm hold, over its stages."""
    steps: dict[str, int] = {}
    for path in folder.glob(f"checkpoints/{arm}/*/*/state.json"):
        if path.parent.name.isdigit():
            steps[path.parts[-3]] = max(steps.get(path.parts[-3], 0), int(path.parent.name))
    return sum(steps.values())


CASES = {
    "source_only-frozen": ("columns", {"kind": "frozen", "bottleneck": 6}, "source_only", {}),
    "dann-frozen": ("columns", {"kind": "frozen", "bottleneck": 6}, "dann", {"optimizer": "sgd"}),
    "source_only-full": ({"name": "mlp", "dropout": 0.2}, {"kind": "full"}, "source_only", {"keep": "source"}),
    "dann-full": ({"name": "mlp", "dropout": 0.2}, {"kind": "full"}, {"name": "dann", "form": "alternating"}, {}),
    "finetune-full": ({"name": "mlp", "dropout": 0.2}, {"kind": "full"}, "finetune", {"steps": 20}),
}


@pytest.mark.parametrize("case", list(CASES))
def test_killed_at_random_steps(tables, tmp_path, processes, own_cache, case, everything):
    backbone, tune, method, training = CASES[case]
    options = {
        **tables(),
        "backbone": backbone,
        "tune": tune,
        "method": method,
        "training": {"steps": STEPS, "batch_size": 8, "checkpoint_seconds": 0, **training},
        "target_label": "label" if method == "finetune" else None,
        "plain_baseline": False,
    }
    whole = ac.adapt(**options, out=tmp_path / "whole")
    arm = whole.result["adapted"]
    folder = tmp_path / "killed"
    environment = {"XDG_CACHE_HOME": str(own_cache)}
    rng = np.random.default_rng()
    stops = sorted(int(k) for k in rng.integers(1, STEPS - 8, 2))
    print("killed at", stops)
    for number, stop in enumerate(stops):

        def reached(stop: int = stop) -> bool:
            return newest(folder, arm) >= stop

        where = {"folder": str(folder)} if number else {"out": str(folder), **options}
        call = "resume" if number else "adapt"
        status = processes.run(call, reached, signal.SIGKILL, environment=environment, **where)
        assert status == -signal.SIGKILL
        assert not (folder / "result.json").exists()
    run = ac.resume(folder)
    assert run.result["steps"] == whole.result["steps"]
    killed, unbroken = everything(folder), everything(whole.folder)
    assert killed.keys() == unbroken.keys()
    for name in unbroken:
        assert killed[name] == unbroken[name], name


def test_channels_last_and_text_resume_to_the_bit(
    tmp_path, points, reviews, write_csv, tiny_text, processes, own_cache, everything
):
    lines = [reviews(topic="phone"), reviews(topic="film", seed=1)]
    texts = [write_csv(tmp_path / f"text{k}.csv", "text,label", line) for k, line in enumerate(lines)]
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, 40, 16, 16)).astype(np.uint8)
    for k in range(2):
        np.savez(tmp_path / f"digits{k}.npz", x=pixels[k], y=np.arange(40) % 2)
    digits = [str(tmp_path / f"digits{k}.npz") for k in range(2)]
    training = {"steps": 14, "batch_size": 8, "checkpoint_seconds": 0}
    common = {"label": "label", "method": "dann", "training": training, "plain_baseline": False}
    cases = {
        "cnn": {"source": digits[0], "target": digits[1], "backbone": {"name": "small_cnn", "size": 16, "width": 8}},
        "lora": {
            "source": str(texts[0]), "target": str(texts[1]), "input": "text", "modality": "text",
            "backbone": str(tiny_text), "tune": {"kind": "lora", "rank": 2},
        },
    }  # fmt: skip
    for name, case in cases.items():
        whole = ac.adapt(**case, **common, out=tmp_path / name)
        folder = tmp_path / f"killed-{name}"
        environment = {"XDG_CACHE_HOME": str(own_cache)}
        status = processes.run(
            "adapt",
            lambda at=folder: newest(at, "dann") >= 5,
            environment=environment,
            out=str(folder),
            **case,
            **common,
        )
        assert status == -signal.SIGKILL
        ac.resume(folder)
        killed, unbroken = everything(folder), everything(whole.folder)
        assert killed.keys() == unbroken.keys()
        assert [key for key in unbroken if killed[key] != unbroken[key]] == []


@pytest.fixture
def stopped(tables, tmp_path, processes, own_cache):
    """A run that SIGTERM stopped, and the same run unbroken."""
    options = {
        **tables(),
        "backbone": "mlp",
        "method": "source_only",
        "training": {"steps": STEPS, "batch_size": 8, "checkpoint_seconds": 0},
        "plain_baseline": False,
    }
    folder = tmp_path / "stopped"
    status = processes.run(
        "adapt", lambda: newest(folder, "source_only") >= 12, signal.SIGTERM,
        environment={"XDG_CACHE_HOME": str(own_cache)}, out=str(folder), **options,
    )  # fmt: skip
    return folder, status, ac.adapt(**options, out=tmp_path / "whole")


def test_sigterm_saves_and_exits_143(stopped, everything):
    folder, status, whole = stopped
    assert status == 143
    assert newest(folder, "source_only") >= 12
    ac.resume(folder)
    assert everything(folder) == everything(whole.folder)


def test_a_truncated_checkpoint_is_not_trusted(stopped, everything):
    folder, _, whole = stopped
    kept = [path / ".git" for path in (folder, whole.folder)]
    for path in kept:
        path.mkdir()
        (path / "HEAD").touch()
    (folder / ".model.a1b2c3d4.part").mkdir()  # a kill leaves such
    (newest_file,) = folder.glob("checkpoints/source_only/*/*/state.safetensors")
    newest_file.write_bytes(newest_file.read_bytes()[:-100])
    ac.resume(folder)  # from the start, and the log is cut back to it
    assert everything(folder) == everything(whole.folder)


def test_changed_data_are_refused(stopped):
    folder, _, _ = stopped
    source = Path(folder.parent / "source.csv")
    lines = source.read_text().splitlines()
    source.write_text("\n".join([*lines[:-1], "9.0,9.0,yes"]) + "\n")
    with pytest.raises(DataError, match="data have changed"):
        ac.resume(folder)


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(DataError, match="no run to resume"):
        ac.resume(tmp_path)


def test_a_finished_run_is_returned_as_it_is(tables, tmp_path):
    run = ac.adapt(**tables(), backbone="mlp", method="source_only", training={"steps": 2}, out=tmp_path / "run")
    before = {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in run.folder.rglob("*")}
    assert ac.resume(run.folder).result == run.result
    assert before == {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in run.folder.rglob("*")}


def test_data_from_memory_are_to_be_given_again(tmp_path, monkeypatch, timeless):
    rng = np.random.default_rng(0)
    source = ac.read((rng.normal(size=(40, 2)).astype(np.float32), np.arange(40) % 2), label="label")
    options = {"backbone": "mlp", "method": "source_only", "training": {"steps": 4}, "plain_baseline": False}
    run = ac.adapt(source, **options, out=tmp_path / "run")
    os.remove(run.folder / "result.json")
    with pytest.raises(SettingsError, match="the source was a Python object"):
        ac.resume(run.folder)
    assert timeless(ac.resume(run.folder, source=source).result) == timeless(run.result)


def test_the_recipe_that_was_written_gives_the_same_run(tables, tmp_path, everything):
    from acclimate.runs.recipe import parse, read

    options = {"backbone": "columns", "method": "dann", "training": {"steps": 4, "batch_size": 8}}
    run = ac.adapt(**tables(), **options, out=tmp_path / "one")
    recipe = parse(read(run.folder / "recipe.yaml"), "recipe")
    again = ac.api.carry_out(recipe, tmp_path / "two")
    assert everything(run.folder) == everything(again.folder)
