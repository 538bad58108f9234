"""Groups of people in a run."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest

import acclimate as ac
from acclimate.cli.main import main
from acclimate.errors import DataError, SettingsError
from acclimate.files import read_json
from acclimate.runs.fairness import lines
from acclimate.runs.report.several import compare_runs


def people(n: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    """What tells the label of group a tells the opposite of it in group b, the smaller one."""
    rng = np.random.default_rng(seed)
    b, yes = rng.random(n) < 0.3, rng.random(n) < 0.5
    x = rng.normal(size=n) * 0.5 + np.where(yes, 1, -1) * np.where(b, -1, 1) + shift
    return pd.DataFrame(
        {"x": x, "z": rng.normal(size=n), "sex": np.where(b, "b", "a"), "label": np.where(yes, "yes", "no")}
    )


def adapted(place, poison: bool = False, **options):
    source, target = people(600, 0), people(400, 1, 0.5)
    if poison:
        target["label"], target["sex"] = target["label"].to_numpy()[::-1], "q"
    source.to_csv(place / "source.csv", index=False)
    target.to_csv(place / "target.csv", index=False)
    return ac.adapt(
        str(place / "source.csv"), str(place / "target.csv"), label="label", sensitive="sex", backbone="columns",
        plain_baseline=False, out=place / "run",
        **{"method": "importance_weighting", "input": "*", **options},
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return adapted(tmp_path_factory.mktemp("fair"))


def test_groups_of_held_out_rows_are_told_apart_and_are_no_inputs(run):
    found = run.result["fairness"]
    assert found["columns"] == ["sex"] and found["target"] is None
    a, b = (each["metrics"]["accuracy"]["value"] for each in found["source"]["groups"])
    assert a > 0.9 and b < 0.2
    assert found["source"]["gaps"]["sex"]["accuracy"] == pytest.approx(a - b)
    assert compare_runs([run.folder])[0]["gap"] == found["source"]["gaps"]["sex"]["accuracy"]
    assert run.model.inputs == ("x", "z")
    assert any("sensitive, and no input: sex" in note for note in run.result["data"]["notes"])
    assert read_json(run.folder / "trust" / "fairness.json")["opened"] is False


def test_neither_labels_nor_groups_of_the_target_matter(run, tmp_path):
    other = adapted(tmp_path, poison=True)
    weights = "model/weights.safetensors"
    assert (other.folder / weights).read_bytes() == (run.folder / weights).read_bytes()
    assert other.result["fairness"]["source"]["groups"] == run.result["fairness"]["source"]["groups"]


def test_the_target_is_told_apart_once_the_seal_is_open(run, tmp_path):
    shutil.copytree(run.folder, tmp_path / "run")
    again, new = ac.Run(tmp_path / "run"), people(500, 3, 0.5)
    found = again.evaluate(new, label="label")["fairness"]["target"]
    said = again.predict(new)["prediction"]
    for each in found["groups"]:
        here = new["sex"] == each["group"]
        assert each["rows"] == here.sum()
        assert each["metrics"]["accuracy"]["value"] == pytest.approx((said == new["label"])[here].mean())
    assert found["widened"]["sex"]["accuracy"]["change"] in ("widened", "narrowed", "no_evidence")
    assert read_json(tmp_path / "run" / "trust" / "fairness.json")["opened"] is True
    without = again.evaluate(new.drop(columns="sex"), label="label")
    assert any("no table of groups" in note for note in without["notes"])
    assert without["fairness"] is None, "the table of other rows is not that of these"


def test_the_adapted_model_is_told_beside_the_one_in_use_and_each_gap_by_its_name(run, tmp_path):
    shutil.copytree(run.folder, tmp_path / "run")
    again, new = ac.Run(tmp_path / "run"), people(500, 3, 0.5)
    found = again.evaluate(new, label="label")["fairness"]["target"]
    assert (found["arm"], found["adapted"]["arm"]) == ("source_only", "importance_weighting")
    said = again.arm("importance_weighting").predict(new)["prediction"]
    for each in found["adapted"]["groups"]:
        right = (said == new["label"])[new["sex"] == each["group"]].mean()
        assert each["metrics"]["accuracy"]["value"] == pytest.approx(right)
    told = "\n".join(lines(again.result["fairness"]))
    for name in ("accuracy", "selection rate", "true positive rate", "false positive rate"):
        assert f"the gap in {name}: " in told
    assert "rates are of the answer 'yes'" in told


def test_the_worst_group_is_told_first_of_shares_and_of_errors():
    def said(metric: str) -> str:
        groups = [
            {"column": "sex", "group": name, "rows": 20, "metrics": {metric: {"value": value}}}
            for name, value in (("a", 0.25), ("b", 0.5))
        ]
        one = {"arm": "source_only", "groups": groups, "gaps": {"sex": {metric: 0.25}}}
        table = {**one, "adapted": None, "widened": None, "positive": None}
        return lines({"source": table, "target": None})[0]

    assert "accuracy a 0.250 (20), b 0.500 (20); gaps: accuracy 0.250" in said("accuracy")
    assert "mae b 0.500 (20), a 0.250 (20); gaps: mean absolute error 0.250" in said("mae")


def test_a_choice_by_groups_that_cannot_be_made_is_refused_before_training(tmp_path):
    frame = people(60, 0)
    options = {"input": ["x", "z"], "label": "label", "choose": "worst_group", "out": tmp_path / "run"}
    with pytest.raises(SettingsError, match="what is missing: groups of people in the source, by --sensitive"):
        ac.adapt(frame, frame.drop(columns="label"), backbone="columns", method="coral", **options)
    assert not (tmp_path / "run").exists()


def test_a_threshold_for_each_group_makes_the_positive_answer_as_frequent_for_those_who_deserve_it(run, tmp_path):
    shutil.copytree(run.folder, tmp_path / "run")
    again, new = ac.Run(tmp_path / "run"), people(800, 3)
    plain, fair = again.predict(new), again.predict(new, equal_opportunity="sex")
    known = read_json(run.folder / "model" / "fairness.json")["columns"]["sex"]
    bar = new["sex"].map(known)
    assert ((fair["prediction"] == "yes") == (fair["probability_yes"] >= bar)).all()
    assert (fair["threshold"] == bar).all()
    model = run.model
    model.predict(new, equal_opportunity="sex")
    assert "by 120 held-out source rows: a " in model.notes[-1]
    assert (plain["prediction"] != fair["prediction"]).any()
    found = again.evaluate(new, label="label")["fairness"]["target"]
    deserving = new["label"] == "yes"
    rates = [(fair["prediction"] == "yes")[deserving & (new["sex"] == group)].mean() for group in "ab"]
    assert found["with_thresholds"]["sex"]["gaps"]["true_positive_rate"] == pytest.approx(abs(rates[0] - rates[1]))
    assert found["gaps"]["sex"]["true_positive_rate"] > 0.8
    assert abs(rates[0] - rates[1]) < 0.2


def test_thresholds_are_not_guessed(run):
    new = people(20, 3)
    with pytest.raises(SettingsError, match=r"no thresholds for groups by 'race' \(there are: sex\)"):
        run.predict(new, equal_opportunity="race")
    with pytest.raises(DataError, match="no column 'sex'"):
        run.predict(new[["x", "z"]], equal_opportunity="sex")
    with pytest.raises(
        DataError, match=r"has the group '\(missing\)', for which there is no threshold; known are a, b"
    ):
        run.predict(new.assign(sex=None), equal_opportunity="sex")


@pytest.mark.parametrize("names", [["x", "z"], "*"])
def test_what_tells_domains_apart_needs_no_groups(tmp_path, names):
    pytest.importorskip("captum")
    source, target = people(120, 0), people(120, 1, 2.0).drop(columns=["sex", "label"])
    for name, frame in (("source", source), ("target", target)):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    run = ac.adapt(
        str(tmp_path / "source.csv"), str(tmp_path / "target.csv"), input=names, label="label", sensitive="sex",
        backbone="columns", method="source_only", plain_baseline=False, out=tmp_path / "run",
    )  # fmt: skip
    found = ac.explain_domains(run, out=tmp_path / "out", limit=10)
    assert found["kind"] == "domains" and {part["name"] for part in found["rows"][0]["parts"]} == {"x", "z"}


@pytest.mark.parametrize("drop", [[], ["sex"]])
def test_an_audit_needs_no_groups_and_takes_none_for_an_input(run, tmp_path, drop):
    rows = {"source": people(600, 0), "other": people(200, 9)}
    for name, frame in rows.items():
        frame.drop(columns=drop).to_csv(tmp_path / f"{name}.csv", index=False)
    found = run.audit(str(tmp_path / "source.csv"), str(tmp_path / "other.csv"))
    assert (found["members"], found["others"]) == (480, 200)


def test_a_column_that_is_named_as_input_is_one(tmp_path):
    run = adapted(tmp_path, input=["x", "sex"], method="source_only")
    assert run.model.inputs == ("x", "sex")
    assert any("sensitive, and an input as you named it: sex" in note for note in run.result["data"]["notes"])


def test_a_column_that_is_not_there(tmp_path, capsys):
    people(60, 0).to_csv(tmp_path / "s.csv", index=False)
    options = [
        "adapt",
        "--source",
        str(tmp_path / "s.csv"),
        "--input",
        "*",
        "--label",
        "label",
        "-o",
        str(tmp_path / "r"),
    ]
    assert main([*options, "--sensitive", "gender"]) == 3
    assert "gender" in capsys.readouterr().err
    assert main([*options, "--sensitive", "x"]) == 3
    assert "'x' has 60 different values" in capsys.readouterr().err and not (tmp_path / "r").exists()
    with pytest.raises(DataError, match="sensitive columns are those of tables"):
        ac.read(np.zeros((3, 2)), sensitive=["sex"])
