"""Two processes train the model that one process trains."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
from safetensors.numpy import load_file
from torch import nn

import acclimate as ac
from acclimate.runs import workers

SCRIPT = """
import json, sys
import acclimate as ac
run = ac.adapt(**json.loads(sys.argv[1]))
sys.stdout.write(run.decision + chr(10))  # at once: two processes share this pipe
"""
PLAIN = """
import sys
import numpy as np
from torch import nn
import acclimate as ac
from acclimate.errors import AcclimateError
options = {"method": "dann", "training": {"steps": 2, "batch_size": 8}, "jobs": 2, "device": "cpu"}
rows = np.random.default_rng(0).normal(size=(60, 2)).astype("float32")
domains = ac.read((rows, rows[:, 0] > 0), label=True), ac.read(rows[::-1] + 1)
print(ac.adapt(*domains, **options, backbone="mlp", out=sys.argv[1] + "/one").decision)
class Own(nn.Linear):
    pass
try:
    ac.adapt(*domains, **options, backbone=Own(2, 4), tune="full", out=sys.argv[1] + "/two")
except AcclimateError as error:
    print(error)
"""
COMMAND = "import sys; from acclimate.cli.main import main; sys.exit(main())"


def test_two_processes_train_as_one(tables, tmp_path, own_cache):
    options = {
        **tables(),
        "backbone": "mlp",
        "method": "dann",
        "training": {"steps": 12, "batch_size": 8, "keep": "source", "checkpoint_seconds": 0},
        "budget": "10m",
        "precision": "fp32",
    }
    one = ac.adapt(**options, out=tmp_path / "one")
    (tmp_path / "train.py").write_text(SCRIPT)
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
            str(tmp_path / "train.py"), json.dumps({**options, "out": str(tmp_path / "two"), "device": "cpu"}),
        ],
        capture_output=True, text=True, timeout=300, env={**os.environ, "XDG_CACHE_HOME": str(own_cache)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    two = ac.Run(tmp_path / "two")
    assert done.stdout.split() == [two.decision] * 2
    assert two.result["environment"]["processes"] == 2
    for arm in ("source_only", "dann", "plain"):
        left, right = (load_file(run.folder / "arms" / arm / "model" / "weights.safetensors") for run in (one, two))
        for name, value in left.items():
            np.testing.assert_allclose(value, right[name], rtol=1e-4, atol=1e-5, err_msg=f"{arm} {name}")
    logs = [(run.folder / "metrics.jsonl").read_text().splitlines() for run in (one, two)]
    assert len(logs[0]) == len(logs[1])
    assert two.decision == one.decision


def test_a_script_without_a_guard_may_have_jobs_unless_workers_need_its_classes(tmp_path, own_cache):
    done = subprocess.run(
        [sys.executable, "-", str(tmp_path)], input=PLAIN, capture_output=True, text=True, timeout=300,
        env={**os.environ, "XDG_CACHE_HOME": str(own_cache)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    decision, error = done.stdout.splitlines()
    assert decision == ac.Run(tmp_path / "one").decision
    assert error.startswith("a worker process ended before its arm was trained")


def test_what_stands_in_the_script_is_found_beside_long_arrays(monkeypatch):
    arrays = {"long": np.zeros(2**20), "turned": np.zeros((2**11, 2**9)).T, "parted": np.zeros((2**11, 2**9))[::2]}
    assert not workers._of_script((arrays, nn.Linear(2, 2)))
    own = type("Own", (), {"__module__": "__main__"})
    monkeypatch.setattr(sys.modules["__main__"], "Own", own, raising=False)
    assert workers._of_script((arrays, own()))


def test_a_signal_ends_all_jobs(tables, tmp_path, own_cache):
    """Also those that wait: with steps without end, a worker that began another arm would never come back."""
    folder, at = tmp_path / "run", tables()
    words = ["--source", at["source"], "--target", at["target"], "--input", "x0", "--input", "x1"]
    methods = ["--label", "label", "--backbone", "mlp", "--methods", "dann,mcc,bnm,mmd,coral,cdan,mcd,afn"]
    training = ["--set", "training.steps=100000000", "--set", "training.checkpoint_seconds=0"]
    run = subprocess.Popen(
        [
            sys.executable, "-c", COMMAND, "compare", *words, *methods, *training,
            "--jobs", "2", "--plain-baseline", "no", "-o", str(folder),
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(own_cache)},
    )  # fmt: skip
    begun: set[str] = set()
    while len(begun) < 2:
        assert run.poll() is None, run.communicate()[1]
        time.sleep(0.1)
        begun = {path.parts[-4] for path in folder.glob("checkpoints/*/*/*/state.json")}
    run.send_signal(signal.SIGTERM)
    told = run.communicate(timeout=120)[1]
    assert run.returncode == 143 and "acclimate resume" in told
    assert {path.parts[-4] for path in folder.glob("checkpoints/*/*/*/state.json")} == begun
