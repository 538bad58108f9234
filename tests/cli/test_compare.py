from __future__ import annotations

import json

import numpy as np
from safetensors.numpy import load_file

import acclimate as ac

QUICK = ("--backbone", "columns", "--precision", "fp32", "--set", "training.steps=20")


def test_candidates_are_told_beside_each_other_and_the_last_arm_is_the_model(acclimate, columns, tables, tmp_path):
    folder = tmp_path / "run"
    done = acclimate("compare", *columns, *QUICK, "--methods", "coral, mlls", "-o", folder, "--jobs", "2")
    assert done.code == 0
    result = json.loads((folder / "result.json").read_text())
    assert [row["name"] for row in result["arms"]] == ["source_only", "coral", "mlls", "forest", "auto"]
    members = result["arms"][-1]["stages"][-1]["members"]
    assert members and "forest" not in members
    assert [row["name"] for row in result["arms"] if row["name"] in done.out] == [
        "source_only",
        "coral",
        "mlls",
        "forest",
        "auto",
    ]
    assert result["adapted"] == "auto"
    assert "decision: " in done.out
    found = acclimate("evaluate", folder, "--data", tables / "test.csv", "--label", "label", "--json").json
    assert set(found["arms"]) == {"source_only", "coral", "mlls", "forest", "auto"}


def test_one_method_is_refused(acclimate, columns, tmp_path):
    done = acclimate("compare", *columns, *QUICK, "--set", "method.name=dann", "-o", tmp_path / "run")
    assert done.code == 2 and "name them with --methods" in done.err


def test_python_takes_names_with_commas(tables, tmp_path):
    place = [str(tables / f"{side}.csv") for side in ("source", "target")]
    options = {"input": ["a", "b"], "label": "label", "backbone": "columns", "plain_baseline": False}
    run = ac.compare(*place, methods="coral,mlls", training={"steps": 5}, out=tmp_path / "run", **options)
    assert [row["name"] for row in run.result["arms"]] == ["source_only", "coral", "mlls", "auto"]


def test_it_is_adapt_with_method_auto(acclimate, columns, tmp_path):
    assert acclimate("compare", *columns, *QUICK, "--methods", "coral,mlls", "-o", tmp_path / "one").code == 0
    settings = ("--set", "method.candidates=[coral, mlls]")
    assert acclimate("adapt", *columns, *QUICK, "--method", "auto", *settings, "-o", tmp_path / "two").code == 0
    weights = [tmp_path / name / "arms" / "auto" / "model" / "weights.safetensors" for name in ("one", "two")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    again = acclimate("adapt", "--recipe", tmp_path / "one" / "recipe.yaml", "-o", tmp_path / "three")
    assert again.code == 0
    assert (tmp_path / "three" / "arms" / "auto" / "model" / "weights.safetensors").read_bytes() == weights[
        0
    ].read_bytes()


def test_the_same_from_python(acclimate, columns, tables, tmp_path):
    assert acclimate("compare", *columns, *QUICK, "--methods", "coral,mlls", "-o", tmp_path / "one").code == 0
    run = ac.compare(
        str(tables / "source.csv"), str(tables / "target.csv"), methods=("coral", "mlls"), input=["a", "b", "c"],
        label="label", backbone="columns", precision="fp32", training={"steps": 20}, out=tmp_path / "two",
    )  # fmt: skip
    weights = "arms/auto/model/weights.safetensors"
    assert (run.folder / weights).read_bytes() == (tmp_path / "one" / weights).read_bytes()


def test_an_unknown_candidate(acclimate, columns, tmp_path):
    done = acclimate("compare", *columns, *QUICK, "--methods", "corall", "-o", tmp_path / "run")
    assert done.code == 2
    assert "did you mean 'coral'" in done.err
    empty = acclimate("compare", *columns, *QUICK, "--methods", "coral,", "-o", tmp_path / "run")
    assert empty.code == 2 and "one is empty" in empty.err
    assert not (tmp_path / "run").exists()


def test_a_recipe_of_combined_methods_makes_the_same_run(acclimate, columns, tmp_path):
    words = ("--backbone", "mlp", "--precision", "fp32", "--set", "training.steps=10", "--plain-baseline", "no")
    setting = ("--method", "dann+mcc+mlls", "--set", "method.dann.strength=0.3")
    assert acclimate("adapt", *columns, *words, *setting, "-o", tmp_path / "one").code == 0
    assert acclimate("adapt", "--recipe", tmp_path / "one" / "recipe.yaml", "-o", tmp_path / "two").code == 0
    weights = [tmp_path / n / "arms" / "dann+mcc+mlls" / "model" / "weights.safetensors" for n in ("one", "two")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert json.loads((tmp_path / "two" / "result.json").read_text())["method"] == "dann+mcc+mlls"


def test_one_method_in_several_settings(acclimate, columns, tables, tmp_path):
    folder = tmp_path / "run"
    words = ("--methods", "mlls,mcc:strength=0.30,mcc", "--plain-baseline", "no")
    assert acclimate("compare", *columns, *QUICK, *words, "-o", folder).code == 0
    result = json.loads((folder / "result.json").read_text())
    names = ["source_only", "mlls", "mcc:strength=0.3", "mcc", "auto"]
    assert [row["name"] for row in result["arms"]] == names
    folders = ["source_only", "mlls", "mcc,strength=0.3", "mcc", "auto"]
    assert {path.name for path in (folder / "arms").iterdir()} == set(folders)
    weights = {name: load_file(folder / "arms" / name / "model" / "weights.safetensors") for name in folders}
    assert np.abs(weights["mcc"]["head.weight"] - weights["mcc,strength=0.3"]["head.weight"]).max() > 1e-3
    found = acclimate("evaluate", folder, "--data", tables / "test.csv", "--label", "label", "--json").json
    assert set(found["arms"]) == set(names)
    single = ("--method", "mcc", "--set", "method.strength=0.3", "--plain-baseline", "no")
    assert acclimate("adapt", *columns, *QUICK, *single, "-o", tmp_path / "one").code == 0
    alone = load_file(tmp_path / "one" / "arms" / "mcc" / "model" / "weights.safetensors")
    for name, value in weights["mcc,strength=0.3"].items():
        np.testing.assert_allclose(value, alone[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_candidates_that_are_the_same_are_refused(acclimate, columns, tmp_path):
    done = acclimate("compare", *columns, *QUICK, "--methods", "mcc,mcc:strength=1", "-o", tmp_path / "run")
    assert done.code == 2
    assert "'mcc' is named twice" in done.err
    done = acclimate("compare", *columns, *QUICK, "--methods", "mcc,auto", "-o", tmp_path / "run")
    assert done.code == 2
    assert "'auto' averages the others" in done.err
    assert not (tmp_path / "run").exists()


def test_settings_come_from_the_search_range(acclimate, columns, tmp_path):
    words = ("--methods", "bnm:strength=0.3,bnm,coral,source_only", "--plain-baseline", "no")
    done = acclimate("compare", *columns, *QUICK, *words, "--set", "method.settings=3", "-o", tmp_path / "run")
    assert done.code == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    names = ["source_only", "bnm:strength=0.3", "bnm", "bnm:strength=3", "coral", "auto"]
    assert [row["name"] for row in result["arms"]] == names
