from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import acclimate as ac
from acclimate.domains.sample import toy_shift
from acclimate.errors import DataError, SettingsError
from acclimate.runs.inspect import inspect
from acclimate.runs.recipe import parse


@pytest.fixture(autouse=True)
def cache_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def ask(source, target=None, **recipe):
    return inspect(parse(recipe), source=[source], target=None if target is None else [target])


def timeless(found):
    """Without what two looks at the same rows may differ in: seconds, and where in the file a row is."""
    examples = [{**row, "row": None} for rows in found["examples"].values() for row in rows]
    return {**found, "seconds": None, "examples": examples}


def test_a_shift_is_found_and_named():
    source, target, _ = toy_shift(200)
    found = ask(source, target)
    json.dumps(found, allow_nan=False)
    assert (found["setting"], found["task"], found["modality"]) == ("transductive", "classify", "array")
    assert found["gap"]["domain_accuracy"] > 0.9
    low, high = found["gap"]["interval"]
    assert low <= found["gap"]["domain_accuracy"] <= high
    assert found["gap"]["backbone"] == "columns"
    assert [shift["name"] for shift in found["shifts"]] == ["column 1"]
    assert found["mmd"]["p_value"] < 0.01
    assert (found["kind"]["name"], found["recommendation"]["options"]) == ("covariate", "--method auto")
    assert any("looks like covariate" in why for why in found["shares"]["doubts"])
    assert found["methods"][:2] == ["source_only", "dann"] and "groupdro" not in found["methods"]
    assert found["with_target_labels"] == ["target_only", "finetune", "joint"]


def test_two_halves_of_one_domain_are_no_shift():
    source, _, _ = toy_shift(400)
    found = ask(source.select(np.arange(200)), source.select(np.arange(200, 400)))
    low, high = found["gap"]["interval"]
    assert low < 0.5 < high
    assert found["shifts"] == []
    assert found["mmd"]["p_value"] > 0.05
    assert (found["kind"]["name"], found["recommendation"]["options"]) == ("none", "--method source_only")


def test_the_order_of_rows_says_nothing():
    source, target, _ = toy_shift(100)
    turned = target.select(np.arange(100)[::-1])
    assert timeless(ask(source, turned)) == timeless(ask(source, target))


def test_labels_on_the_target_are_put_away():
    source, target, labels = toy_shift(100)
    points = target.rows.take(np.arange(100))
    labelled = ac.read((points, labels), label="label", name=target.name)
    assert timeless(ask(source, labelled)) == timeless(ask(source, target))


def test_overlap_and_duplicates_are_counted():
    source, target, _ = toy_shift(60)
    points, labels = source.rows.take(np.arange(60)), source.labels
    twice = ac.read((np.concatenate([points, points[:5]]), np.concatenate([labels, labels[:5]])), label="label")
    shared = ac.read(np.concatenate([target.rows.take(np.arange(60)), points[:7]]))
    found = ask(twice, shared)["data"]
    assert found["source"]["duplicates"]["exact"] == 5
    assert found["overlap"]["exact"] == 12  # 7 rows, 5 of them twice in the source


def test_texts_on_ngrams():
    rng = np.random.default_rng(0)

    def texts(words, n=60):
        return [" ".join(rng.choice(words, 12)) for _ in range(n)]

    common = ["the", "story", "good", "bad", "very", "was"]
    source = ac.read((texts([*common, "battery", "cable"]), np.arange(60) % 2), modality="text", label="label")
    target = ac.read(texts([*common, "actor", "scene"]), modality="text")
    found = ask(source, target, backbone="ngrams")
    assert found["gap"]["domain_accuracy"] > 0.9
    assert {shift["name"] for shift in found["shifts"]} >= {"word 'battery'", "word 'actor'"}


def test_the_length_of_texts_is_told_after_as_many_words_as_asked_for():
    source = ac.read((["a cat", "a dog"] * 30, np.arange(60) % 2), modality="text", label="label")
    target = ac.read(["some horse and then some"] * 60, modality="text")
    recipe = parse({"backbone": "ngrams"})
    shifts = inspect(recipe, source=[source], target=[target], top=2)["shifts"]
    assert [shift["name"] for shift in shifts[2:]] == ["length in words"]


def test_without_a_target_there_is_no_gap():
    source, _, _ = toy_shift(60)
    found = ask(source)
    assert (found["gap"], found["kind"], found["shares"], found["recommendation"]) == (None, None, None, None)
    assert (found["shifts"], found["with_target_labels"]) == ([], [])
    assert found["methods"] == ["source_only"]


def test_what_cannot_be():
    source, target, _ = toy_shift(40)
    with pytest.raises(DataError, match="no labels"):
        ask(target, target)
    with pytest.raises(SettingsError, match="did you mean 'columns'"):
        ask(source, target, backbone="colums")


def test_a_word_among_numbers_is_told(tmp_path):
    path = tmp_path / "source.csv"
    rows = [f"{'old' if k == 7 else k},{'a' if k % 3 else 'b'},{'no' if k % 2 else 'yes'}" for k in range(40)]
    path.write_text("age,kind,label\n" + "\n".join(rows) + "\n")
    found = inspect(parse({"source": str(path), "input": ["age", "kind"], "label": "label"}))
    told = [note for note in found["data"]["notes"] if "read as categories" in note]
    assert len(told) == 1
    assert "column 'age' is read as categories, since 1 of 40 cells are no numbers, such as 'old'" in told[0]


def test_other_columns_are_told_and_the_gap_is_that_of_the_shared_ones():
    rng = np.random.default_rng(0)
    source = pd.DataFrame({"a": rng.normal(size=60), "s": rng.normal(size=60), "label": np.arange(60) % 2})
    target = pd.DataFrame({"t": rng.normal(9, 1, 60), "a": rng.normal(3, 1, 60)})
    found = inspect(parse({"input": ["a", "s"], "label": "label"}), source=[source], target=[target])
    assert found["data"]["columns"] == {"shared": ["a"], "source": ["s"], "target": []}
    assert {shift["name"] for shift in found["shifts"]} == {"a"}
    both = inspect(parse({"input": ["a"], "label": "label"}), source=[source], target=[target])
    assert found["gap"] == both["gap"] and both["data"]["columns"] is None
    assert "importance_weighting" in both["methods"] and "importance_weighting" not in found["methods"]


def cluster(n, seed, shares=(0.5, 0.5), new=0):
    """Points of two classes in five dimensions, and some of a third that has no name."""
    rng = np.random.default_rng(seed)
    y = np.concatenate([rng.choice(2, n - new, p=shares), np.full(new, 2)])
    centres = np.array([[2.0, 0, 0, 0, 0], [0, 2.0, 0, 0, 0], [0, 0, 6.0, 0, 0]])
    return (centres[y] + rng.normal(size=(n, 5))).astype(np.float32), np.array(["no", "yes", "new"])[y]


def test_label_shift_is_told_with_its_shares():
    source, target = ac.read(cluster(800, 0), label="label"), ac.read(cluster(800, 1, (0.15, 0.85))[0])
    found = ask(source, target)
    assert found["kind"]["name"] == "label"
    assert found["shares"]["doubts"] == []
    low, high = found["shares"]["intervals"]["yes"]
    assert low <= 0.85 <= high
    assert found["recommendation"]["options"] == "--method mlls"
    assert 0.02 < found["shares"]["hinge"] < 0.3
    checked = ask(source, target, target_shares="yes=0.1,no=0.9")
    assert any("target_shares contradict the evidence" in note for note in checked["data"]["notes"])


def test_new_classes_are_told_and_shown():
    points, names = cluster(800, 1, new=150)
    found = ask(ac.read(cluster(800, 0), label="label"), ac.read(points))
    assert found["kind"]["name"] == "new_classes"
    assert found["recommendation"]["options"] == "--method source_only"
    assert {names[row["row"]] for row in found["examples"]["target_like"]} == {"new"}


def test_permitted_labels_show_concept_shift_and_new_classes():
    points, names = cluster(400, 1)
    source = ac.read(cluster(400, 0), label="label")
    flipped = np.where(np.arange(400) % 3, names, np.where(names == "yes", "no", "yes"))
    known = np.where(np.arange(400) < 120, flipped, None)
    found = ask(source, (points, known), target_label="label")
    assert (found["kind"]["name"], found["setting"]) == ("concept", "inductive")
    assert found["kind"]["excess_error"] == pytest.approx(1 / 3, abs=0.15)
    known = np.where(np.arange(400) < 120, np.where(np.arange(400) < 20, "other", names), None)
    found = ask(source, (points, known), target_label="label")
    assert (found["kind"]["name"], found["kind"]["confidence"]) == ("new_classes", 1.0)


def test_telling_rows_are_named(tmp_path):
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for side, light in (("source", 60), ("target", 190)):
        for k in range(24):
            folder = tmp_path / side / ("even" if k % 2 else "odd")
            folder.mkdir(parents=True, exist_ok=True)
            pixels = rng.normal(light, 20, (12, 12)).clip(0, 255).astype(np.uint8)
            image.fromarray(pixels).save(folder / f"{k}.png")
    found = inspect(
        parse(
            {
                "source": str(tmp_path / "source"),
                "target": str(tmp_path / "target"),
                "backbone": "pixels",
                "label": "label",
            }
        )
    )
    for side, rows in found["examples"].items():
        assert len(rows) == 3
        assert all(f"/{side.removesuffix('_like')}/" in row["file"] for row in rows)


def test_a_regression_has_no_class_shares():
    rng = np.random.default_rng(0)
    source = ac.read((rng.normal(size=(200, 3)), rng.normal(size=200)), label="label")
    found = ask(source, ac.read(rng.normal(size=(200, 3)) + 2))
    assert (found["task"], found["shares"], found["kind"]["name"]) == ("regress", None, "covariate")
    assert found["recommendation"]["options"] == "--method coral"
