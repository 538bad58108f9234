from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

QUICK = ("--backbone", "mlp", "--precision", "fp32", "--set", "training.steps=20")


def recipe_of(folder: Path) -> dict:
    return yaml.safe_load((folder / "recipe.yaml").read_text())


def test_tells_what_was_found_then_the_arms_and_the_decision(acclimate, columns, tmp_path):
    folder = tmp_path / "run"
    done = acclimate("adapt", *columns, *QUICK, "-o", folder)
    assert done.code == 0
    for said in ("modality table", "task: classify", "source.csv, 150 rows, 2 classes", "target.csv, 100 rows"):
        assert said in done.err
    assert "arms: source_only, dann, plain" in done.err
    assert "source_only: source  20/20  task" in done.err
    assert f"acclimate evaluate {folder}" in done.err
    assert "source accuracy (95 %)" in done.out
    assert "decision: " in done.out
    result = json.loads((folder / "result.json").read_text())
    assert all(f"  - {reason}" in done.out for reason in result["reasons"])
    assert result["seal"] == {"opened": 0, "openings": []}
    assert all(arm["target"] is None for arm in result["arms"])


def test_json_is_the_result_and_nothing_else(acclimate, columns, tmp_path):
    folder = tmp_path / "run"
    done = acclimate("adapt", *columns, *QUICK, "-o", folder, "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json == json.loads((folder / "result.json").read_text())
    assert [arm["name"] for arm in done.json["arms"]] == ["source_only", "dann", "plain"]


def test_quiet_gives_the_result_only(acclimate, columns, tmp_path):
    done = acclimate("adapt", *columns, *QUICK, "-o", tmp_path / "run", "--quiet", "--plain-baseline", "no")
    assert (done.code, done.err) == (0, "")
    assert "decision: " in done.out
    assert "plain" not in done.out


def test_command_line_over_environment_over_file_over_default(acclimate, columns, tmp_path, monkeypatch):
    recipe = tmp_path / "recipe.yaml"
    words = {"method": {"name": "dann", "strength": 0.3}, "seed": 5, "jobs": 1, "validation": 0.3, "precision": "bf16"}
    words |= {"training": {"steps": 4, "batch_size": 8}, "backbone": "mlp", "plain_baseline": False}
    recipe.write_text(yaml.safe_dump(words))
    monkeypatch.setenv("ACCLIMATE_SEED", "7")
    monkeypatch.setenv("ACCLIMATE_PRECISION", "fp32")
    folder = tmp_path / "run"
    options = ("--validation", "0.4", "--seed", "9", "--set", "training.steps=6")
    done = acclimate("adapt", "--recipe", recipe, *columns, *options, "-o", folder, "--json")
    assert done.code == 0
    found = recipe_of(folder)
    assert found["seed"] == 9  # command line, over environment and file
    assert found["precision"] == "fp32"  # environment, over file
    assert found["method"]["strength"] == 0.3  # file
    assert found["validation"] == 0.4
    assert (found["training"]["steps"], found["training"]["batch_size"]) == (6, 8)  # one section, key by key
    assert found["device"] == "auto"  # default
    assert done.json["seed"] == 9
    assert [arm["steps"] for arm in done.json["arms"]] == [6, 6]


def test_the_recipe_of_a_run_gives_the_same_run(acclimate, finished, tmp_path):
    again = tmp_path / "again"
    done = acclimate("adapt", "--recipe", finished / "recipe.yaml", "-o", again, "--json")
    assert done.code == 0
    for arm in ("source_only", "dann", "plain"):
        model = Path("arms", arm, "model", "weights.safetensors")
        assert (again / model).read_bytes() == (finished / model).read_bytes()


def test_target_label_is_a_permission_and_recorded(acclimate, tables, tmp_path):
    named = ("--source", tables / "source.csv", "--target", tables / "test.csv", "--input", "*", "--label", "label")
    words = ("--target-label", "label", "--method", "finetune", "--plain-baseline", "no")
    done = acclimate("adapt", *named, *words, *QUICK, "-o", tmp_path / "run", "--json")
    assert done.code == 0
    assert (done.json["setting"], done.json["permission"]) == ("inductive", "label")
    assert done.json["arms"][-1]["target_validation"]["n"] == 20


@pytest.mark.parametrize(
    ("method", "said"), [("finetune", "were trained on"), ("auto", "were used to choose by, not to train on")]
)
def test_what_was_done_with_permitted_labels_is_told(acclimate, tables, tmp_path, method, said):
    named = ("--source", tables / "source.csv", "--target", tables / "test.csv", "--input", "*", "--label", "label")
    few = ("--set", "method.candidates=[coral]") if method == "auto" else ()
    words = ("--target-label", "label", "--method", method, *few, "--plain-baseline", "no")
    done = acclimate("adapt", *named, *words, *QUICK, "-o", tmp_path / "run")
    assert done.code == 0, done.err
    assert f"target labels of column 'label' {said}, as permitted" in done.err


def test_several_sources_and_a_star(acclimate, tables, tmp_path):
    named = ("--source", tables / "source.csv", "--source", tables / "test.csv", "--input", "*", "--label", "label")
    words = ("--target", tables / "target.csv", "--plain-baseline", "no")
    done = acclimate("adapt", *named, *words, *QUICK, "-o", tmp_path / "run", "--json")
    assert done.code == 0
    assert done.json["data"]["source"]["rows"] == 250
    assert recipe_of(tmp_path / "run")["input"] == ["*"]


def test_a_run_is_replaced_by_force_only(acclimate, columns, run):
    before = (run / "result.json").read_bytes()
    done = acclimate("adapt", *columns, *QUICK, "-o", run)
    assert done.code == 2
    assert "--force" in done.err
    assert "resume" in done.err
    assert (run / "result.json").read_bytes() == before
    done = acclimate("adapt", *columns, *QUICK, "-o", run, "--force", "--seed", "3", "--plain-baseline", "no", "--json")
    assert done.code == 0
    assert done.json["seed"] == 3
    assert not (run / "arms" / "plain").exists()


def test_a_folder_of_something_else_is_never_replaced(acclimate, columns, tmp_path):
    (tmp_path / "thesis.tex").write_text("important")
    done = acclimate("adapt", *columns, *QUICK, "-o", tmp_path, "--force")
    assert done.code == 2
    assert (tmp_path / "thesis.tex").read_text() == "important"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--method", "finetune"), "Methods that would work: source_only, dann"),
        (("--method", "dan"), "unknown method 'dan'; did you mean 'dann'?"),
        (("--backbone", "minilmm"), "unknown backbone 'minilmm'; did you mean 'minilm'?"),
        (("--backbone", "minilm"), "does not read table input"),
        (("--set", "method.strenght=1"), "did you mean 'strength'?"),
        (("--set", "training.stepz=1"), "did you mean 'steps'?"),
        (("--set", "trainig.steps=1"), "--set trainig.steps=1"),
        (("--set", "seed"), "expected KEY=VALUE"),
        (("--set", "sed=1"), "did you mean 'seed'?"),
        (("--validation", "2"), "validation is a share"),
        (("--budget", "soon"), "'soon' is not a duration"),
        (("--device", "abacus"), "abacus"),
        (("--jobs", "0"), "jobs must be at least 1"),
    ],
)
def test_settings_that_cannot_be(acclimate, columns, tmp_path, words, said):
    folder = tmp_path / "run"
    done = acclimate("adapt", *columns, "-o", folder, *words)
    assert done.code == 2
    assert said in done.err
    assert not folder.exists()


def test_stated_shares_and_what_contradicts_them_are_told(acclimate, columns, tmp_path):
    words = ("adapt", *columns, "--backbone", "columns", "--method", "source_only", "--plain-baseline", "no", "-o")
    blind = acclimate(*words, tmp_path / "blind")
    assert "class shares of the target (" in blind.out
    told = acclimate(*words, tmp_path / "told", "--target-shares", "no=1,yes=3")
    assert told.code == 0
    assert "target_shares sum to 4, not to 1; taken as no 0.250, yes 0.750" in told.err
    assert "class shares of the target, as stated: no 0.25, yes 0.75" in told.out
    assert acclimate(*words, tmp_path / "bad", "--target-shares", "no=1").code == 2


def test_what_training_on_target_labels_costs_on_the_source_is_said(acclimate, tables, tmp_path):
    named = ("--source", tables / "source.csv", "--target", tables / "test.csv", "--input", "*", "--label", "label")
    words = ("--target-label", "label", "--method", "finetune", "--plain-baseline", "no")
    done = acclimate("adapt", *named, *words, *QUICK, "-o", tmp_path / "run")
    rows = json.loads((tmp_path / "run" / "result.json").read_text())["arms"]
    arms = {arm["name"]: arm["source_validation"]["metrics"]["accuracy"] for arm in rows}
    own, other = (f"{arms[name]:.3f}" for name in ("finetune", "source_only"))
    said = f"on held-out rows of the source, finetune has accuracy {own}, and source_only {other}"
    assert said in done.out
    sealed = acclimate("adapt", *named, *QUICK, "--plain-baseline", "no", "-o", tmp_path / "sealed")
    assert sealed.code == 0 and "on held-out rows of the source" not in sealed.out
