from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("gymnasium")

SHORT = (
    *("--bodies", "4", "--seconds", "3", "--method", "fomaml", "--set", "fit.steps=20", "--set", "fit.queries=20"),
    *("--set", "planner.samples=16", "--set", "planner.elites=4", "--set", "planner.horizon=5"),
)


def test_it_trains_and_adapts_to_a_file(acclimate, tmp_path):
    from acclimate.robots.bodies import Body
    from acclimate.robots.controller import Controller
    from acclimate.robots.robot import find
    from acclimate.robots.train import watch

    folder, log, out = tmp_path / "run", tmp_path / "log.csv", tmp_path / "controller"
    done = acclimate("control", *SHORT, "--episodes", "1", "-o", str(folder))
    assert done.code == 0, done.err
    record = json.loads((folder / "control.json").read_text())
    assert f"{record['held_out']['before']:.4f} before, {record['held_out']['after']:.4f} after 3 s" in done.out
    assert "mass 0." in done.out and "return unadapted" in done.out
    assert record["settings"]["fit"]["steps"] == 20
    assert record["settings"]["fit"]["queries"] == 20
    assert len(record["played"]) == 1
    again = acclimate("resume", str(folder))
    assert "was finished before" in again.err and "mass 0." in again.out
    (folder / "control.json").unlink()  # as if killed before the end
    again = acclimate("resume", str(folder))
    assert "bodies of Pendulum-v1: 4" in again.err and "error one step ahead" in again.out

    watch(find("Pendulum-v1"), Body(mass=2.0), 50, 0).write(log)
    told = acclimate("control", "--adapt", str(folder), "--data", str(log), "-o", str(out), "--json").json
    assert (told["method"], told["transitions"], told["held_out"]) == ("fomaml", 40, 10)
    assert np.abs(Controller.load(out).act(np.array([1.0, 0.0, 0.0]))) <= 2
    assert acclimate("control", "--adapt", str(folder), "--data", str(log), "-o", str(out)).code == 2  # it is not empty


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--env", "Walker-v9"), 2, "known: Pendulum-v1, CartPole-v1"),
        (("--method", "dann"), 2, "unknown method 'dann'"),
        (("--set", "fit.rate=1"), 2, "fit: unknown setting 'rate'"),
        (("--bodies", "0"), 2, "bodies must lie in"),
        (("--adapt", "nowhere"), 2, "an adaptation needs both"),
        (("--adapt", "nowhere", "--data", "log.csv"), 3, "no finished control run"),
        (("--adapt", "nowhere", "--data", "log.csv", "--seed", "1"), 2, "--seed: options of a training"),
    ],
)
def test_what_cannot_be_is_told(acclimate, tmp_path, words, code, said):
    done = acclimate("control", *words, "-o", str(tmp_path / "out"))
    assert (done.code, said in done.err) == (code, True), done.err
    assert not (tmp_path / "out").exists()
