from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

QUICK = (
    *("--backbone", "mlp", "--precision", "fp32", "--ways", "3", "--shots", "2", "--queries", "5"),
    *("--set", "training.steps=30", "--set", "training.learning_rate=0.01"),
)


@pytest.fixture
def places(tmp_path) -> tuple[Path, Path]:
    """Two NPZ files of 12 classes each, none in both."""
    made = []
    for first in (0, 100):
        rng = np.random.default_rng(first)
        centres = np.repeat(rng.normal(size=(12, 2)) * 3, 10, axis=0)
        values = np.concatenate([centres, np.zeros((120, 3))], axis=1) + rng.normal(size=(120, 5)) * [0.2, 0.2, 3, 3, 3]
        path = tmp_path / f"classes{first}.npz"
        np.savez(path, x=values.astype(np.float32), kind=np.repeat(np.arange(first, first + 12), 10))
        made.append(path)
    return made[0], made[1]


def test_it_is_trained_measured_and_told(acclimate, places, tmp_path):
    folder, (old, new) = str(tmp_path / "meta"), (f"{place}?x=x&y=kind" for place in places)
    done = acclimate("meta-train", "--source", old, *QUICK, "-o", folder)
    assert done.code == 0, done.err
    assert "9 classes to draw from, 3 held out" in done.err
    assert "an episode: 3 ways, 2 shots, 5 queries" in done.err
    assert f"acclimate few-shot --backbone {folder}" in done.err
    assert "all 3 held-out classes are in each of its episodes" in done.out
    record = json.loads((tmp_path / "meta" / "meta.json").read_text())
    held = record["held_out"]["accuracy"]
    assert f"accuracy {held['mean']:.3f} ({held['low']:.3f} to {held['high']:.3f})" in done.out
    assert record["method"] == "protonet"

    told = acclimate("evaluate", folder, "--data", new, "--episodes", "50")
    assert told.code == 0, told.err
    value = json.loads((tmp_path / "meta" / "meta.json").read_text())["evaluations"][0]
    assert value["episodes"] == 50
    row = told.out.splitlines()[1]
    assert row.startswith("meta-trained")
    assert f"{value['metrics']['accuracy']['mean']:.3f}" in row
    assert "prototypes on columns" in told.out
    assert f"verdict: {value['verdict']}" in told.out
    as_json = acclimate("evaluate", folder, "--data", new, "--episodes", "50", "--json")
    assert as_json.json["metrics"] == value["metrics"]
    five = acclimate("evaluate", folder, "--data", new, "--episodes", "20", "--ways", "5", "--seed", "3", "--json").json
    assert (five["shape"]["ways"], five["seed"]) == ("5", 3)


def test_tables_keep_their_columns(acclimate, places, tmp_path):
    for place in places:
        with np.load(place) as file:
            frame = pd.DataFrame(file["x"], columns=list("abcde")).assign(kind=file["kind"], note="none")
        frame.to_csv(place.with_suffix(".csv"), index=False)
    old, new = (place.with_suffix(".csv") for place in places)
    words = [word for name in "abcde" for word in ("--input", name)]
    done = acclimate("meta-train", "--source", old, *words, "--label", "kind", *QUICK, "-o", tmp_path / "m")
    assert done.code == 0, done.err
    few, rest = tmp_path / "few.csv", tmp_path / "rest.csv"
    frame = pd.read_csv(new)
    frame[::2].to_csv(few, index=False)
    frame[1::2].drop(columns="kind").to_csv(rest, index=False)
    told = acclimate(
        "few-shot", "--backbone", tmp_path / "m", "--support", few, "--data", rest, "-o", tmp_path / "a.csv"
    )
    assert told.code == 0, told.err
    assert (pd.read_csv(tmp_path / "a.csv")["prediction"].to_numpy() == frame["kind"].to_numpy()[1::2]).mean() > 0.5, (
        "one of twelve by chance"
    )


def test_json_is_the_record(acclimate, places, tmp_path):
    source = f"{places[0]}?x=x&y=kind"
    done = acclimate("meta-train", "--source", source, *QUICK, "--method", "maml", "--steps", "2", "-o",
                     tmp_path / "m", "--json")  # fmt: skip
    assert done.err == ""
    assert done.json == json.loads((tmp_path / "m" / "meta.json").read_text())
    assert done.json["settings"]["steps"] == 2
    again = acclimate("resume", tmp_path / "m", "--json")
    assert again.json == done.json
    assert "classes held out" in acclimate("resume", tmp_path / "m").out


def test_a_recipe_says_all_of_it(acclimate, places, tmp_path):
    first, second = tmp_path / "one", tmp_path / "two"
    source = f"{places[0]}?x=x&y=kind"
    assert acclimate("meta-train", "--source", source, *QUICK, "--method", "anil", "-o", first).code == 0
    assert acclimate("meta-train", "--recipe", first / "recipe.yaml", "-o", second).code == 0
    assert (first / "model" / "weights.safetensors").read_bytes() == (
        second / "model" / "weights.safetensors"
    ).read_bytes()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--ways", "30"), 3, "an episode needs 30 classes, and there are 12"),
        (("--queries", "30"), 3, "ask for fewer ways"),
        (("--ways", "three"), 2, "a range such as 5-20"),
        (("--method", "protonets"), 2, "did you mean 'protonet'"),
        (("--method", "dann"), 2, "is one of `acclimate adapt`; those that learn to learn: maml"),
        (("--steps", "3"), 2, "'protonet' has none. Steps of the training: --set training.steps=N"),
        (("--turns",), 2, "rotates images"),
        (("--groups", "nested"), 2, "unknown"),
        (("--set", "episodes.way=3"), 2, "did you mean 'ways'"),
    ],
)
def test_bad_settings(acclimate, places, tmp_path, words, code, said):
    source = f"{places[0]}?x=x&y=kind"
    done = acclimate("meta-train", "--source", source, *QUICK, *words, "-o", tmp_path / "m")
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert not (tmp_path / "m").exists()


def test_other_verbs_say_what_it_is(acclimate, places, tmp_path, run):
    source, folder = f"{places[0]}?x=x&y=kind", tmp_path / "m"
    assert acclimate("meta-train", "--source", source, *QUICK, "-o", folder).code == 0
    same = acclimate("evaluate", folder, "--data", source)
    assert (same.code, "were trained on" in same.err) == (3, True)
    predicted = acclimate("predict", folder, "--data", source)
    assert (predicted.code, "few-shot --backbone" in predicted.err) == (3, True)
    wrong = acclimate("adapt", "--source", source, "--label", "kind", "--task", "classify", "--method", "maml",
                      "-o", tmp_path / "run2")  # fmt: skip
    assert (wrong.code, "meta-train" in wrong.err) == (2, True)
    foreign = acclimate("evaluate", run, "--data", source, "--episodes", "5")
    assert (foreign.code, "was not meta-trained" in foreign.err) == (2, True)
    taken = acclimate("meta-train", "--source", source, *QUICK, "-o", folder)
    assert (taken.code, "--force" in taken.err) == (2, True)
