"""Certainty in a run: promised while the seal is closed, and what opened labels say of it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import acclimate as ac
from acclimate.errors import SettingsError
from acclimate.files import read_json
from acclimate.methods.registry import parse
from acclimate.runs.report.sections import sections
from acclimate.trust.certainty.certainty import Certainty

SIMPLE = {
    "input": ["a", "b"],
    "backbone": "columns",
    "method": "source_only",
    "plain_baseline": False,
    "validation": 0.3,
}


def rows(n: int, shift: float, seed: int, numbers: bool = False) -> pd.DataFrame:
    """Noise grows with ``a``, and the target has more of it: sets that are right in the source are too small there."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(shift, 1, n), rng.normal(0, 1, n)
    noise = np.exp(a / 2) * rng.normal(size=n)
    label = a + b + noise if numbers else np.where(b + 0.5 * noise > 0, "yes", "no")
    return pd.DataFrame({"a": a, "b": b, "label": label})


def adapted(place, numbers: bool = False, shift: float = 0.8, poison: bool = False, **options):
    target = rows(2000 if numbers else 800, shift, 1, numbers)
    if poison:
        target["label"] = target["label"].to_numpy()[::-1]
    target.to_csv(place / "target.csv", index=False)
    rows(6000 if numbers else 1500, 0, 0, numbers).to_csv(place / "source.csv", index=False)
    return ac.adapt(
        str(place / "source.csv"), str(place / "target.csv"), label="label",
        training={"steps": 200}, out=place / "run", **{**SIMPLE, **options},
    )  # fmt: skip


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    return adapted(tmp_path_factory.mktemp("classes"))


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    return adapted(tmp_path_factory.mktemp("numbers"), numbers=True)


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    return adapted(tmp_path_factory.mktemp("far"), shift=9)


def test_what_the_result_says(classes):
    found = classes.result["certainty"]
    assert (found["promise"], found["on"], found["rows"]) == ("weighted", "source", 450)
    assert found["test"]["p_value"] < 1e-6 and 30 < found["effective_rows"] < 450
    scaled = found["temperature"]
    assert set(scaled) == {"used", "value", "weighted", "transcal"} and scaled["used"] == "source"
    assert sections(classes.folder)[0][0]["name"] == "certainty"


def test_labels_of_the_target_in_the_file_change_nothing(classes, tmp_path):
    other = adapted(tmp_path, poison=True)
    assert other.result["certainty"] == classes.result["certainty"]
    name = "model/certainty.npz"
    assert (other.folder / name).read_bytes() == (classes.folder / name).read_bytes()


def test_sets_of_classes_and_their_coverage(classes, tmp_path):
    new = rows(1200, 0.8, 7)
    frame = classes.predict(new, sets=0.9)
    sets = [json.loads(text) for text in frame["set"]]
    assert all(answer in inside for answer, inside in zip(frame["prediction"], sets, strict=True))
    shutil.copytree(classes.folder, tmp_path / "run")
    evaluated = ac.Run(tmp_path / "run").evaluate(new, label="label")
    told = evaluated["certainty"]["target"]
    hits = np.array([truth in inside for truth, inside in zip(new["label"], sets, strict=True)])
    assert told["sets"]["0.9"]["coverage"] == pytest.approx(hits.mean())
    assert told["sets"]["0.9"]["size"] == pytest.approx(np.mean([len(inside) for inside in sets]))
    assert hits.mean() == pytest.approx(0.9, abs=0.05)
    assert told["calibration"]["ece"]["deployed"] == pytest.approx(evaluated["metrics"]["ece"], abs=1e-6)
    assert read_json(tmp_path / "run" / "trust" / "certainty.json")["opened"] is True


def test_intervals_of_numbers_cover_where_plain_ones_do_not(numbers, tmp_path):
    new = rows(1500, 0.8, 7, numbers=True)
    frame = numbers.predict(new, sets=0.9)
    inside = (frame["low"] <= new["label"]) & (new["label"] <= frame["high"])
    assert inside.mean() == pytest.approx(0.9, abs=0.04)
    held = np.load(numbers.folder / "model" / "certainty.npz")["strangeness"]
    plain = np.abs(frame["prediction"] - new["label"]) <= np.quantile(held, 0.9)
    assert plain.mean() < 0.85
    shutil.copytree(numbers.folder, tmp_path / "run")
    told = ac.Run(tmp_path / "run").evaluate(new, label="label")["certainty"]["target"]
    assert told["sets"]["0.9"]["coverage"] == pytest.approx(inside.mean())
    assert told["calibration"] is None and told["abstain"] is None


def test_rows_out_of_place_are_told(classes):
    model, new = classes.model, rows(300, 0.8, 7)
    model.predict(new, sets=0.9)
    assert "out of place" not in " ".join(model.notes)
    odd = (model.predict(new.assign(a=new["a"] + 60), sets=0.9)["in_place"] <= 0.01).sum()
    assert odd > 9
    assert f"{odd} of 300 rows are out of place" in " ".join(model.notes)


def test_a_rate_that_cannot_be_kept_is_told(classes):
    model = classes.model
    model.predict(rows(100, 0.8, 7), abstain=0.001)
    assert "100 of 100 rows are left unanswered; held-out rows are too few" in " ".join(model.notes)


def test_groups_whose_sets_fall_short_are_named(tmp_path):
    """Labels of group f are chance: sets of all rows hold less than nine tenths of its answers."""

    def people(n: int, seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        x, f = rng.normal(size=n), rng.random(n) < 0.15
        right = np.where(f, rng.random(n) < 0.5, True)
        return pd.DataFrame({"x": x, "sex": np.where(f, "f", "m"), "y": np.where((x > 0) == right, "yes", "no")})

    options = {**SIMPLE, "input": "x", "label": "y", "sensitive": "sex", "training": {"steps": 200}}
    run = ac.adapt(people(1500, 0), people(600, 1).drop(columns="y"), out=tmp_path / "run", **options)
    found = run.evaluate(people(800, 2), label="y")["certainty"]["target"]["sets"]["0.9"]["groups"]
    f, m = (each for each in found if each["column"] == "sex")
    assert (f["group"], m["group"]) == ("f", "m") and f["interval"][1] < 0.9 < m["coverage"]
    section = read_json(run.folder / "trust" / "certainty.json")
    assert section["sentences"][0]["en"].startswith("Of sex f they hold")
    assert not any("Of sex m" in sentence["en"] for sentence in section["sentences"])


def test_abstaining_keeps_errors_below_the_rate(classes):
    new = rows(2000, 0.8, 8)
    frame = classes.predict(new, abstain=0.15)
    given = frame["prediction"].notna()
    assert 0.02 < given.mean() < 0.98
    wrong = frame["prediction"][given] != new["label"][given]
    assert wrong.mean() <= 0.15
    assert (classes.model.predict(new)["prediction"] != new["label"]).mean() > 0.17
    assert frame["confidence"][given].min() >= frame["confidence"][~given & (frame["in_place"] > 0.01)].max()


def test_files_hold_the_gaps(classes, tmp_path):
    for name in ("answers.csv", "answers.parquet"):
        classes.predict(rows(300, 0.8, 8), abstain=0.15, sets=0.8, output=tmp_path / name)
        read = pd.read_csv if name.endswith("csv") else pd.read_parquet
        frame = read(tmp_path / name)
        assert 0 < frame["prediction"].isna().sum() < 300 and frame["set"].notna().all()
    assert any("left unanswered" in note for note in classes.model.notes)


def test_features_that_were_made_alike_are_no_evidence(tmp_path):
    """Where the target is the source, a test finds no difference in either model's features; only one was free to."""
    run = adapted(tmp_path, shift=0.0, method="mmd")
    promises = {name: Certainty.load(run.folder / "arms" / name / "model").promise for name in ("source_only", "mmd")}
    assert promises == {"source_only": "exchangeable", "mmd": "untested"}


@pytest.mark.parametrize(
    ("method", "merges"),
    [
        ("source_only", False), ("mlls", False), ("importance_weighting", False), ("joint", False),
        ("adversarial_debiasing", False), ("dann", True), ("coral", True), ("shot", True), ("adabn", True),
        ("combat", True), ("mlls+adabn", True), ("dann+mlls", True),
        ("coral+mlls", True), ("coral+mcc", True), ("combat+mlls", True), ("adversarial_debiasing+mlls", False),
    ],
)  # fmt: skip
def test_which_methods_make_features_alike(method, merges):
    assert parse(method).merges is merges


def test_a_target_that_is_elsewhere_is_refused(far):
    assert far.result["certainty"]["promise"] == "refused"
    with pytest.raises(SettingsError, match="no sets: source and target differ"):
        far.predict(rows(3, 9, 2), sets=0.9)
    with pytest.raises(SettingsError, match="cannot abstain"):
        far.predict(rows(3, 9, 2), abstain=0.1)


def test_permitted_labels_of_the_target_are_what_is_measured_on(tmp_path):
    run = adapted(tmp_path, shift=9, target_label="label", method="joint")
    assert (run.result["certainty"]["on"], run.result["certainty"]["promise"]) == ("labelled", "exchangeable")
    assert run.result["certainty"]["temperature"]["used"] == "labelled"
    new = rows(1000, 9, 3)
    sets = [json.loads(text) for text in run.predict(new, sets=0.8)["set"]]
    assert np.mean([truth in inside for truth, inside in zip(new["label"], sets, strict=True)]) > 0.74


@pytest.mark.parametrize("kind", ["weighted", "transcal"])
def test_another_temperature_is_deployed(classes, tmp_path, kind):
    run = adapted(tmp_path, calibration=kind)
    found = run.result["certainty"]["temperature"]
    assert found["used"] == kind and found["value"] == classes.result["certainty"]["temperature"][kind]
    new = rows(40, 0.8, 3)
    before, after = (each.predict_proba(new) for each in (classes, run))
    heat = classes.result["certainty"]["temperature"]["value"] / found["value"]
    assert np.log(after / after[:, :1]) == pytest.approx(np.log(before / before[:, :1]) * heat, abs=1e-4)


def test_without_held_out_rows_nothing_is_promised(tmp_path):
    run = adapted(tmp_path, validation=0.0)
    assert run.result["certainty"] is None
    with pytest.raises(SettingsError, match="--validation above 0"):
        run.predict(rows(3, 0, 2), sets=0.9)
