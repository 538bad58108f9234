from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

LAUNCH = (sys.executable, "-c", "from acclimate.cli.main import main; raise SystemExit(main())")
ONE_ARM = ("--method", "source_only", "--plain-baseline", "no", "--backbone", "mlp", "--precision", "fp32")


def wait_for(condition, process) -> None:
    """Until something is on disk; fails if the process ends before."""
    while not condition():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)


def logged(folder: Path) -> bool:
    path = folder / "metrics.jsonl"
    return path.is_file() and path.read_text().count("\n") >= 3


def stopped(number: int, words, folder: Path, ready) -> tuple[int, str]:
    """Start a command, send it a signal once it is ready, and give its exit code and stderr."""
    with subprocess.Popen(
        [*LAUNCH, *map(str, words), "-o", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for(lambda: ready(folder), process)
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    assert out == ""
    assert "Traceback" not in err
    return process.returncode, err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_a_checkpoint_and_resume_finishes(acclimate, columns, tmp_path, number, code):
    folder, whole = tmp_path / "run", tmp_path / "whole"
    words = ("adapt", *columns, *ONE_ARM, "--set", "training.steps=400")
    found, err = stopped(number, words, folder, logged)
    assert found == code
    assert "the checkpoint is saved" in err
    assert f"acclimate resume {folder}" in err
    assert len(list((folder / "checkpoints").rglob("state.json"))) == 1
    assert not (folder / "result.json").exists()

    done = acclimate("resume", folder, "--json")
    assert done.code == 0
    assert done.json == json.loads((folder / "result.json").read_text())
    assert done.json["steps"] == 400
    assert acclimate(*words, "-o", whole, "--quiet").code == 0
    weights = Path("model", "weights.safetensors")
    assert (folder / weights).read_bytes() == (whole / weights).read_bytes()


def test_a_signal_outside_of_a_loop_ends_the_run_too(tmp_path):
    """While a frozen backbone reads thousands of texts there is nothing to save: the run ends at once."""
    texts = tmp_path / "texts.jsonl"
    words = [" ".join(f"word{k}" for k in row) for row in np.random.default_rng(0).integers(0, 3000, (1500, 200))]
    texts.write_text("".join(json.dumps({"text": text, "label": k % 2}) + "\n" for k, text in enumerate(words)))
    options = ("adapt", "--source", texts, "--input", "text", "--label", "label", "--backbone", "minilm")
    options += ("--method", "source_only", "--plain-baseline", "no")
    folder = tmp_path / "run"
    code, err = stopped(signal.SIGTERM, options, folder, lambda folder: (folder / "recipe.yaml").is_file())
    assert code == 143
    assert f"stopped by SIGTERM; `acclimate resume {folder}` continues" in err
    assert not (folder / "arms").exists()


def test_a_signal_before_anything_was_written(tmp_path):
    """A reader that waits for a pipe: nothing begun, nothing to resume."""
    pipe = tmp_path / "rows.csv"
    os.mkfifo(pipe)
    words = (*LAUNCH, "adapt", "--source", str(pipe), "--input", "a", "--label", "b", "-o", str(tmp_path / "run"))
    # The pipe opens for writing once the reader has opened it.
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process, pipe.open("w"):
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert err.endswith("acclimate: error: stopped by SIGINT\n")
    assert not (tmp_path / "run").exists()


def test_the_workers_stop_with_their_parent(columns, tmp_path):
    folder = tmp_path / "run"
    words = ("adapt", *columns, "--backbone", "mlp", "--jobs", "2", "--set", "training.steps=100000")
    code, err = stopped(signal.SIGTERM, words, folder, logged)
    assert code == 143
    assert f"`acclimate resume {folder}` continues" in err
    assert len(list((folder / "checkpoints").rglob("state.json"))) >= 1
    size = (folder / "metrics.jsonl").stat().st_size
    time.sleep(0.5)
    assert (folder / "metrics.jsonl").stat().st_size == size  # nobody trains on


def test_the_workers_end_with_a_parent_that_was_killed(acclimate, columns, tmp_path):
    folder = tmp_path / "run"
    words = ("adapt", *columns, "--backbone", "mlp", "--jobs", "2", "--set", "training.steps=100000")
    assert stopped(signal.SIGKILL, words, folder, logged)[0] == -signal.SIGKILL
    with (folder / ".lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # comes when the last worker has ended
        size = (folder / "metrics.jsonl").stat().st_size
        time.sleep(0.5)
        assert (folder / "metrics.jsonl").stat().st_size == size
        for refused in (acclimate("resume", folder), acclimate(*words, "-o", folder, "--force")):
            assert refused.code == 1
            assert f"{folder}: another process works on this run" in refused.err
    assert (folder / "recipe.yaml").is_file()


def test_a_finished_run_is_told_as_it_is(acclimate, run):
    before = (run / "result.json").read_bytes()
    done = acclimate("resume", run, "--json")
    assert done.code == 0
    assert done.json == json.loads(before)
    assert (run / "result.json").read_bytes() == before
    assert "decision: " in acclimate("resume", run).out


def test_an_evaluated_run_is_told_with_its_target_metrics(acclimate, run, tables):
    assert "target accuracy" not in acclimate("resume", run).out
    found = acclimate("evaluate", run, "--data", tables / "test.csv", "--label", "label", "--json").json
    told = acclimate("resume", run).out
    assert "target accuracy (95 %)" in told
    assert f"{found['metrics']['accuracy']:.3f} (" in told


def test_no_run_there(acclimate, tmp_path):
    done = acclimate("resume", tmp_path / "nothing")
    assert done.code == 3
    assert "no run to resume" in done.err


def test_data_that_changed_since(acclimate, tables, columns, tmp_path):
    """The rows must be those of the run."""
    shutil.copytree(tables, tmp_path / "tables")
    words = [word.replace(str(tables), str(tmp_path / "tables")) for word in columns]
    folder = tmp_path / "run"
    assert acclimate("adapt", *words, *ONE_ARM, "--set", "training.steps=4", "-o", folder).code == 0
    (folder / "result.json").unlink()
    source = tmp_path / "tables" / "source.csv"
    source.write_text(source.read_text() + "1,2,3,yes\n")
    done = acclimate("resume", folder)
    assert done.code == 3
    assert "the data have changed" in done.err


def test_a_finished_run_says_that_it_is(acclimate, run):
    before = (run / "result.json").read_bytes()
    done = acclimate("resume", run)
    assert done.code == 0
    assert f"{run} was finished before" in done.err
    assert "decision: " in done.out
    assert (run / "result.json").read_bytes() == before
