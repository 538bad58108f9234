"""Source and target with other columns: an encoder for each, imputation as the baseline, labels never an input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import acclimate as ac
from acclimate.errors import DataError, SettingsError
from acclimate.runs.columns import UNLINKED

COLUMNS = ["a", "b", "s"]
LONG = {"steps": 150, "learning_rate": 1e-2}
QUICK = {"steps": 12, "batch_size": 16}


def sensors(n: int, where: str, seed: int, spread: float = 1.5) -> pd.DataFrame:
    """``a`` is the class disturbed by ``u``; the source measures u as ``s``, the target as ``t`` in another unit."""
    rng = np.random.default_rng(seed)
    y = np.where(np.arange(n) % 2, 1, -1)
    u = rng.normal(0, spread, n)
    frame = pd.DataFrame({"a": y + u + rng.normal(0, 0.2, n), "b": 0.3 * y + rng.normal(0, 1, n)})
    if where == "source":
        frame["s"] = u + rng.normal(0, 0.1, n)
    else:
        frame["t"] = 5 - 2 * u + rng.normal(0, 0.2, n)
    return frame.assign(label=np.where(y > 0, "yes", "no"))


@pytest.fixture
def adapt(tmp_path, own_cache):
    """``adapt(source, target, method, **options)`` in a folder of its own."""
    count = 0

    def make(source, target, method="mmd", training=QUICK, **options):
        nonlocal count
        count += 1
        columns = {"input": COLUMNS, "label": "label"} if isinstance(source, pd.DataFrame) else {}
        options = {**columns, "backbone": "mlp", "training": training, **options}
        return ac.adapt(source, target, method=method, out=tmp_path / f"run{count}", **options)

    return make


def weights(run, arm="mmd"):
    return (run.folder / "arms" / arm / "model" / "weights.safetensors").read_bytes()


def right(model, frame):
    return float((model.predict(frame)["prediction"] == frame["label"]).mean())


def scores(run, frame):
    run.evaluate(frame, label="label")
    return {arm["name"]: arm["target"]["metrics"]["accuracy"] for arm in run.result["arms"]}


def test_another_sensor_at_the_target_is_learned_without_labels(adapt, tmp_path):
    source, target, test = sensors(300, "source", 0), sensors(300, "target", 1), sensors(500, "target", 2)
    run = adapt(source, target, target_input=["+t"], training=LONG)
    found = scores(run, test)
    assert max(found["source_only"], found["plain"]) < 0.8 and found["mmd"] > 0.97
    assert run.decision == "adapt"
    assert run.result["data"]["columns"] == {"shared": ["a", "b"], "source": ["s"], "target": ["t"]}
    notes = " ".join(run.result["data"]["notes"])
    assert "only the source has s:" in notes and "only the target has t:" in notes
    model = ac.load(run.folder)
    assert right(model, test) == found["mmd"], "evaluate and predict read the target alike"
    assert right(model, sensors(500, "source", 3)) > 0.97, "rows of the source are read by its own encoder"
    path = tmp_path / "test.csv"
    test.to_csv(path, index=False)
    answers = model.predict(str(path))["confidence"]
    np.testing.assert_allclose(model.predict(test)["confidence"], answers, rtol=1e-6)
    both = test.assign(s=0.0)
    assert model.predict(both)["confidence"].equals(model.predict(test)["confidence"]), "t says whose rows these are"
    named = model.predict(both, input=["t", "b", "a"])["confidence"]
    assert named.equals(model.predict(test)["confidence"])
    for lacking in ("a", "t"):
        with pytest.raises(DataError, match="no column"):
            model.predict(test.drop(columns=lacking))


def test_a_sensor_that_is_missing_is_not_relied_on(adapt):
    def frame(where, n, seed):
        found = sensors(n, where, seed, spread=4)
        noise = np.random.default_rng([seed, 1]).normal(0, 0.6, n)
        return found.assign(b=np.where(found["label"] == "yes", 1, -1) + noise)

    run = adapt(frame("source", 300, 0), frame("target", 300, 1), "dann", training=LONG)
    found = scores(run, frame("target", 500, 2))
    assert found["dann"] > found["source_only"] + 0.05 and found["dann"] > found["plain"] + 0.05
    assert run.result["data"]["columns"] == {"shared": ["a", "b"], "source": ["s"], "target": []}


def test_source_only_and_plain_are_imputation(adapt):
    source, target = sensors(80, "source", 0), sensors(80, "target", 1)
    run = adapt(source, target, target_input=["+t"], validation=0.0)
    imputed = target[["a", "b"]].assign(s=source["s"].mean())
    for arm in ("source_only", "plain"):
        model = run.arm(arm)
        np.testing.assert_allclose(model.predict_proba(target), model.predict_proba(imputed), atol=1e-6)
    adapted = run.arm("mmd")
    assert not np.allclose(adapted.predict_proba(target), adapted.predict_proba(imputed), atol=1e-3)


def test_frozen_columns_and_heads_from_loops_ignore_what_only_the_target_has(adapt):
    source, target = sensors(80, "source", 0), sensors(80, "target", 1)
    tune = {"kind": "frozen", "bottleneck": 8}
    run = adapt(source, target, target_input=["+t"], backbone="columns", tune=tune, validation=0.0)
    imputed = target[["a", "b"]].assign(s=source["s"].mean())
    model = run.arm("source_only")
    assert model.origin["tune"] == "frozen" and run.result["arms"][0]["steps"] == 12
    np.testing.assert_allclose(model.predict_proba(target), model.predict_proba(imputed), atol=1e-6)
    assert not np.allclose(run.arm("mmd").predict_proba(target), run.arm("mmd").predict_proba(imputed), atol=1e-4)


@pytest.mark.parametrize("own", [["+t"], []])
def test_poisoned_labels_and_columns_that_nobody_named_change_nothing(adapt, own):
    source, target = sensors(80, "source", 0), sensors(80, "target", 1)
    run = adapt(source, target, target_input=own)
    poisoned = target.assign(label=target["label"].map({"yes": "no", "no": "yes"}), diagnosis=target["label"])
    for frame in (poisoned, ac.read(poisoned[["diagnosis", "t", "b", "label", "a"]], input="*")):
        other = adapt(source, frame, target_input=own)
        assert weights(other) == weights(run)
        assert other.decision == run.decision and other.reasons == run.reasons
        assert other.result["data"]["target"]["hash"] == run.result["data"]["target"]["hash"]
    every = adapt(source, poisoned, target_input="*")
    assert every.result["data"]["columns"]["target"] == [], "nor with a star"


def test_the_label_is_never_a_column_of_the_targets_own(adapt):
    source, target = sensors(40, "source", 0), sensors(40, "target", 1).assign(other="x")
    for name, more in (("label", {}), ("other", {"target_label": "other"}), ("other", {"group": "other"})):
        with pytest.raises(SettingsError, match=f"{name}: a label or group is never an input"):
            adapt(source.assign(other="x"), target, target_input=[f"+{name}"], **more)
    with pytest.raises(SettingsError, match="--target-input label: a label or group is never an input"):
        adapt(source, target, target_input=["a", "label"])
    run = adapt(source, target.rename(columns={"label": "truth"}), target_input=["+t", "+truth"])
    with pytest.raises(DataError, match="'truth' is both input and label"):
        run.evaluate(target.rename(columns={"label": "truth"}), label="truth")


def test_what_is_named_wrongly_is_refused(adapt):
    source, target = sensors(40, "source", 0), sensors(40, "target", 1)
    with pytest.raises(SettingsError, match="the source has a column 'a' too"):
        adapt(source, target, target_input=["+a"])
    with pytest.raises(DataError, match="no column 'tt'; did you mean 't'"):
        adapt(source, target, target_input=["+tt"])
    with pytest.raises(DataError, match=r"2 input columns are named .* as \+NAME"):
        adapt(source, target, target_input=["a", "t"])
    with pytest.raises(DataError, match=r"no column 'a'; .*columns found: t, label"):
        adapt(source, target[["t", "label"]])
    with pytest.raises(SettingsError, match="beside a source that is a table"):
        adapt(None, target, target_input=["+t"], target_label="label", input=["a"])


def test_other_names_and_columns_of_its_own_together(adapt):
    source, target = sensors(60, "source", 0), sensors(60, "target", 1).assign(s=lambda frame: frame["b"] ** 2)
    run = adapt(source, target, target_input=["+t"])
    renamed = target.rename(columns={"a": "x", "b": "y", "s": "z"})
    other = adapt(source, renamed, target_input=["x", "y", "z", "+t"])
    assert weights(run) == weights(other)
    answers = run.predict(target)["confidence"]
    for rows in (target, renamed, ac.read(renamed, input="*"), renamed.assign(a=0.0, b=0.0, s=0.0)):
        assert other.predict(rows)["confidence"].equals(answers)
    assert scores(other, renamed) == scores(run, target)
    without = target.drop(columns="t")
    found = [one.arm("mmd").predict(without)["confidence"] for one in (run, other)]
    assert found[0].equals(found[1])
    assert not found[0].equals(run.arm("mmd").predict(target)["confidence"]), "without t they are rows of the source"


def test_several_targets_have_what_all_of_them_have(adapt):
    source, target = sensors(60, "source", 0), sensors(60, "target", 1)
    more = sensors(60, "target", 2)
    places = [ac.read(target, input=["a", "b", "t"]), ac.read(more.drop(columns="b"), input=["a", "t"])]
    run = adapt(source, places)
    assert run.result["data"]["columns"] == {"shared": ["a"], "source": ["b", "s"], "target": []}
    whole = pd.concat([target, more], ignore_index=True)[["a"]]
    assert weights(run) == weights(adapt(source, whole))


def test_words_and_missing_values_of_its_own(adapt):
    source, target = sensors(60, "source", 0), sensors(60, "target", 1)
    target["t"] = target["t"].where(target["t"] > 4)
    target["colour"] = np.where(target["a"] > 0, "red", None)
    run = adapt(source, target, target_input=["+colour", "+t"])
    again = ac.load(run.folder / "arms" / "mmd" / "model").predict(target)
    assert again["confidence"].equals(run.arm("mmd").predict(target)["confidence"])
    assert not again["confidence"].equals(run.arm("mmd").predict(target.assign(colour="blue"))["confidence"])


def test_arrays_of_other_widths(adapt):
    rng = np.random.default_rng(0)
    label = np.where(np.arange(80) % 2, "yes", "no")
    signal = (label == "yes") * 2.0 - 1
    wide = np.column_stack([signal + rng.normal(0, 0.3, 80), rng.normal(size=(80, 2))])
    narrow = np.column_stack([rng.normal(size=80), signal * 9 + rng.normal(0, 2, 80)])
    source, target = ac.read((wide, label), label=True), ac.read((narrow, label), label=True)
    run = adapt(source, target)
    assert [arm["name"] for arm in run.result["arms"]] == ["mmd"]
    assert run.decision == "do_not_deploy" and run.reasons[0] == UNLINKED
    assert run.result["data"]["columns"] == {"shared": [], "source": ["3 numbers"], "target": ["2 numbers"]}
    poisoned = ac.read((narrow, label[::-1].copy()), label=True)
    assert weights(adapt(source, poisoned)) == weights(run)
    for method in ("source_only", "mlls", "ot_mapping"):
        with pytest.raises(SettingsError, match=r"share no column, and method .* would work: dann"):
            adapt(source, target, method)
    tuned = adapt(source, target, "finetune", target_label="label", training=LONG, validation=0.25)
    assert {arm["name"]: arm["role"] for arm in tuned.result["arms"]} == {"finetune": "adapted", "plain": "plain"}
    model = tuned.arm("finetune")
    assert (model.predict(narrow)["prediction"] == label).mean() > 0.95, "labels link what columns do not"


def test_what_cannot_read_two_kinds_of_rows_is_refused(adapt):
    import torch

    source, target = sensors(40, "source", 0), sensors(40, "target", 1)
    with pytest.raises(SettingsError, match=r"'importance_weighting' needs the same columns.*would work: .*dann"):
        adapt(source, target, "importance_weighting")
    rows = [ac.read((np.zeros((20, k)) + np.arange(20)[:, None], np.arange(20) % 2), label=True) for k in (3, 4)]
    with pytest.raises(SettingsError, match="backbone 'Linear' reads one kind of row only"):
        adapt(*rows, backbone=torch.nn.Linear(3, 2))


def test_target_labels_teach_the_targets_encoder(adapt):
    source, target, test = sensors(200, "source", 0), sensors(120, "target", 1), sensors(400, "target", 2)
    for method in ("finetune", "target_only"):
        run = adapt(source, target, method, target_input=["+t"], target_label="label", training=LONG)
        found = scores(run, test)
        assert found[method] > 0.95 > 0.8 > found["source_only"], method


def test_resume_of_a_finished_recipe_reads_the_same_columns(adapt, tmp_path):
    for name, frame in (("s", sensors(60, "source", 0)), ("t", sensors(60, "target", 1))):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    options = {"input": COLUMNS, "label": "label", "target_input": ["+t"]}
    run = adapt(str(tmp_path / "s.csv"), str(tmp_path / "t.csv"), **options)
    before = weights(run)
    (run.folder / "result.json").unlink()
    for arm in run.folder.glob("arms/*"):
        (arm / "arm.json").unlink()
    assert weights(ac.resume(run.folder)) == before


def test_columns_that_may_be_renamed_ones_are_told(adapt):
    source, target = sensors(40, "source", 0), sensors(40, "target", 1)
    notes = " ".join(adapt(source, target).result["data"]["notes"])
    assert "not read: t; rename one" in notes
    notes = " ".join(adapt(source, target.assign(s=1.0)).result["data"]["notes"])
    assert "not read" not in notes, "nothing is lacking"


def test_images_of_other_sizes_and_channels_are_converted_as_ever(adapt):
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 255, (24, 16, 16)).astype(np.uint8)
    colour = rng.integers(0, 255, (24, 20, 18, 3)).astype(np.uint8)
    source = ac.read((grey, np.arange(24) % 2), label=True)
    run = adapt(source, ac.read(colour), backbone={"name": "small_cnn", "size": 16}, training={"steps": 2})
    assert run.result["data"]["columns"] is None and len(run.predict(colour)) == 24


def test_a_target_that_lacks_what_tells_is_not_served(adapt):
    rng = np.random.default_rng(0)
    source, target = sensors(900, "source", 0, spread=0.1), sensors(300, "target", 1)[["b"]]
    source["b"] = rng.normal(size=len(source))
    run = adapt(source, target, training=LONG)
    assert run.decision == "do_not_deploy"
    assert "without the columns that the target lacks" in run.reasons[0]
    arm = {row["name"]: row for row in run.result["arms"]}["source_only"]
    assert arm["source_validation"]["metrics"]["accuracy"] > 0.95
    assert arm["narrowed_validation"]["metrics"]["accuracy"] < 0.65
    frame = source[["b"]]
    held = run.arm("source_only").predict(frame)["prediction"]
    assert (held == source["label"]).mean() < 0.65, "the model answers such rows no better than the figure says"


def test_columns_of_its_own_leave_no_figure_for_what_is_shared(adapt):
    options = {"target_input": ["+t"]}
    run = adapt(sensors(200, "source", 0), sensors(200, "target", 1), **options)
    assert all(row["narrowed_validation"] is None for row in run.result["arms"])
