"""Two processes that share the tasks of each step learn what one process learns."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
from safetensors.numpy import load_file

import acclimate as ac

SCRIPT = """
import json, sys
import acclimate as ac
for given in json.loads(sys.argv[1]):
    ac.meta_train(**given)
"""
METHODS = ("maml", "protonet")


def test_two_processes_learn_as_one(classes, tmp_path, own_cache):
    (tmp_path / "train.py").write_text(SCRIPT)
    given = {
        "source": str(classes(0)), "input": [f"x{k}" for k in range(6)], "label": "label", "ways": 3, "shots": 2,
        "queries": 5, "backbone": {"name": "mlp"}, "training": {"steps": 12, "batch_size": 4}, "precision": "fp32",
        "device": "cpu",
    }  # fmt: skip
    both = [{**given, "method": method, "out": str(tmp_path / f"two-{method}")} for method in METHODS]
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
            str(tmp_path / "train.py"), json.dumps(both),
        ],
        capture_output=True, text=True, timeout=300, env={**os.environ, "XDG_CACHE_HOME": str(own_cache)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for method in METHODS:
        one, two = ac.meta_train(**given, method=method, out=tmp_path / method), ac.MetaRun(tmp_path / f"two-{method}")
        left, right = (load_file(run.folder / "model" / "weights.safetensors") for run in (one, two))
        for name, value in left.items():
            np.testing.assert_allclose(value, right[name], rtol=1e-4, atol=1e-5, err_msg=f"{method} {name}")
        assert two.result["held_out"].keys() == one.result["held_out"].keys()
