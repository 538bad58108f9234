"""Series through the command line, on generated vibration and engines."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest

QUICK = ("--precision", "fp32", "--seed", "0")


def vibration(path, seed, gain=1.0, offset=0.0, classes=("inner", "outer"), flip=False, n=96):
    """Classes are frequencies; a sensor of another gain and offset gives the target."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % len(classes)
    phase, time = rng.uniform(0, 6.3, (n, 1)), np.arange(128)
    x = np.sin(2 * np.pi * np.array([5, 9, 17])[y][:, None] * time / 128 + phase) + rng.normal(0, 0.3, (n, 128))
    said = 1 - y if flip else y
    np.savez(path, x=(gain * x + offset).astype(np.float32), y=said, class_names=np.array(classes), load=y * 0 + seed)
    return path


@pytest.fixture(scope="module")
def bearings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bearings")
    vibration(folder / "source.npz", 0, classes=("inner", "outer", "normal"))
    vibration(folder / "target.npz", 1, gain=0.25, offset=2.5)
    vibration(folder / "poisoned.npz", 1, gain=0.25, offset=2.5, flip=True)
    return folder


def adapted(acclimate, folder, target, method, out):
    domains = ["--source", f"{folder}/source.npz?y!=normal", "--target", f"{folder}/{target}"]
    done = acclimate(
        "adapt", "--modality", "series", *domains, "--method", method, *QUICK, "--set", "training.steps=40",
        "--set", "training.batch_size=32", "-o", out, "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    return done.json


def test_another_sensor_is_learned_without_its_labels(acclimate, bearings, tmp_path):
    found = adapted(acclimate, bearings, "target.npz", "adabn", tmp_path / "run")
    assert (found["modality"], found["task"]) == ("series", "classify")
    assert [(arm["name"], arm["backbone"]) for arm in found["arms"]] == [
        ("source_only", "series_cnn"), ("adabn", "series_cnn"), ("plain", "statistics"),
    ]  # fmt: skip
    done = acclimate("evaluate", tmp_path / "run", "--data", bearings / "target.npz", "--json")
    assert done.code == 0, done.err
    arms = {name: arm["metrics"]["accuracy"] for name, arm in done.json["arms"].items()}
    assert arms["source_only"] < 0.8 and arms["adabn"] > 0.95
    _answers_of_longer_series_are_those_of_their_windows(acclimate, bearings, tmp_path)
    adapted(acclimate, bearings, "poisoned.npz", "adabn", tmp_path / "again")
    for arm in ("source_only", "adabn"):
        weights = [
            (tmp_path / run / "arms" / arm / "model/weights.safetensors").read_bytes() for run in ("run", "again")
        ]
        assert weights[0] == weights[1], "labels of the target, which are in the file, must not matter"


def _answers_of_longer_series_are_those_of_their_windows(acclimate, bearings, tmp_path):
    with np.load(bearings / "target.npz") as arrays:
        np.savez(tmp_path / "long.npz", x=arrays["x"].reshape(-1, 256))
    done = acclimate("predict", tmp_path / "run", "--data", tmp_path / "long.npz")
    assert done.code == 0, done.err
    assert "note: long.npz: 48 series of 256 steps are cut into 96 windows of 128\n" in done.err
    long = list(csv.DictReader(done.out.splitlines()))
    short = csv.DictReader(acclimate("predict", tmp_path / "run", "--data", bearings / "target.npz").out.splitlines())
    assert [(row["row"], row["start"]) for row in long[:3]] == [("0", "0"), ("0", "128"), ("1", "0")]
    assert [row["prediction"] for row in long] == [row["prediction"] for row in short]


def test_weight_nothing_is_source_only(acclimate, bearings, tmp_path):
    adapted(acclimate, bearings, "target.npz", "dann", tmp_path / "run")
    done = acclimate(
        "adapt",
        "--recipe",
        tmp_path / "run/recipe.yaml",
        "--set",
        "method.strength=0",
        "-o",
        tmp_path / "zero",
        "--json",
    )
    assert done.code == 0, done.err
    arms = tmp_path / "zero/arms"
    assert (arms / "dann/model/weights.safetensors").read_bytes() != b""
    from safetensors.numpy import load_file

    dann, plain = (load_file(arms / name / "model/weights.safetensors") for name in ("dann", "source_only"))
    assert dann.keys() == plain.keys() and all(np.array_equal(dann[key], plain[key]) for key in plain)


def test_classes_that_only_the_source_has_are_told(acclimate, bearings, tmp_path):
    done = acclimate(
        "adapt", "--modality", "series", "--source", bearings / "source.npz", "--target", bearings / "target.npz",
        "--method", "source_only", *QUICK, "--set", "training.steps=5", "-o", tmp_path / "run", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    done = acclimate("evaluate", tmp_path / "run", "--data", bearings / "target.npz")
    assert "no row here is of normal, which the model knows" in done.err


def engines(path, seed, drift=0.0, cut=False, label="rul"):
    """Engines whose ``wear`` grows towards their end; test engines are cut off before it."""
    rng, rows = np.random.default_rng(seed), []
    for unit in range(12):
        life = int(rng.integers(40, 70))
        stop = life - int(rng.integers(5, 30)) if cut else life
        for cycle in range(stop):
            left = life - 1 - cycle
            wear = np.exp(-left / 15) + drift + rng.normal(0, 0.03)
            rows.append((unit, cycle, round(wear, 4), 7.0, left))
    pd.DataFrame(rows, columns=["unit", "cycle", "wear", "still", label]).to_csv(path, index=False)
    return path


def test_the_life_of_engines(acclimate, tmp_path):
    source, target = engines(tmp_path / "source.csv", 0), engines(tmp_path / "target.csv", 1, cut=True)
    run = tmp_path / "run"
    done = acclimate(
        "adapt", "--modality", "series", "--task", "remaining_life", "--group", "unit", "--label", "steps_left",
        "--input", "wear", "--input", "still", "--set", "head.cap=30",
        "--source", f"{source}?time=cycle&window=8&stride=2", "--target", target, "--method", "source_only",
        *QUICK, "--set", "training.steps=150", "-o", run, "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    done = acclimate("evaluate", run, "--data", f"{target}?take=last", "--label", "rul", "--json")
    assert done.code == 0, done.err
    assert (done.json["primary"], done.json["n"]) == ("rmse", 12)
    assert done.json["metrics"]["rmse"] < 5 < done.json["baselines"]["mean life"]["metrics"]["rmse"]
    assert done.json["metrics"]["nasa_score"] < done.json["baselines"]["mean life"]["metrics"]["nasa_score"]
    done = acclimate("predict", run, "--data", f"{target}?take=last", "-o", tmp_path / "lives.csv")
    assert done.code == 0, done.err
    with (tmp_path / "lives.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["unit"] for row in rows] == sorted(str(k) for k in range(12))
    assert "note: target.csv?take=last: constant: still\n" in done.err
    error = [float(row["prediction"]) - min(float(row["rul"]), 30) for row in rows]
    rmse = acclimate("evaluate", run, "--data", f"{target}?take=last", "--label", "rul", "--json").json["metrics"][
        "rmse"
    ]
    assert np.sqrt(np.mean(np.square(error))) == pytest.approx(rmse, abs=1e-4)


def test_a_cap_is_of_lives_alone(acclimate, bearings, tmp_path):
    domains = ["--source", bearings / "source.npz", "--target", bearings / "target.npz"]
    done = acclimate("adapt", "--modality", "series", *domains, "--set", "head.cap=9", "-o", tmp_path / "run")
    assert done.code == 2 and "task 'classify' has no settings, found head.cap" in done.err


def test_inspect_tells_which_channel_moved(acclimate, bearings):
    domains = ["--source", bearings / "source.npz", "--target", bearings / "target.npz"]
    done = acclimate("inspect", "--modality", "series", *domains, "--json")
    assert done.code == 0, done.err
    shifts = [shift["name"] for shift in done.json["shifts"]]
    assert {"level of channel 1", "spread of channel 1"} <= {*shifts[:3]}
