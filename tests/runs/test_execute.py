"""Which arms a run trains, and what its result says."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest
from torch import nn

import acclimate as ac
from acclimate.cli.outcome import summary
from acclimate.errors import DataError, SettingsError
from acclimate.methods.data import Data
from acclimate.runs import workers
from acclimate.runs.execute import heed_data
from acclimate.selection.decision import Decision
from acclimate.tasks.classify import Classify

QUICK = {"steps": 3, "batch_size": 8}


def adapt(tables, tmp_path, **options):
    given = {"backbone": "mlp", "training": QUICK, "plain_baseline": False, "out": tmp_path / "run"}
    return ac.adapt(**{**tables(), **given, **options})


def rows(run):
    return {row["name"]: row for row in run.result["arms"]}


def test_the_method_is_found_from_what_there_is(tables, tmp_path):
    found = {}
    for name, options in (
        ("target", {}),
        ("none", {"target": None}),
        ("labelled", {"target_label": "label"}),
        ("alone", {"source": None, "target_label": "label"}),
    ):
        run = adapt(tables, tmp_path, out=tmp_path / name, **options)
        found[name] = (run.result["method"], run.result["setting"], sorted(rows(run)))
    assert found == {
        "target": ("dann", "transductive", ["dann", "source_only"]),
        "none": ("source_only", "source_only", ["source_only"]),
        "labelled": ("finetune", "inductive", ["finetune", "source_only"]),
        "alone": ("target_only", "inductive", ["target_only"]),
    }


def test_a_linear_probe_is_the_frozen_convex_head(tables, tmp_path):
    probe = adapt(tables, tmp_path, backbone="columns", method="linear_probe")
    assert (probe.result["method"], probe.result["tune"], probe.result["steps"]) == ("source_only", "frozen", 0)
    (stage,) = rows(probe)["source_only"]["stages"]
    assert set(stage) == {"stage", "layer", "penalty", "seconds"}
    target = adapt(
        tables, tmp_path, backbone="columns", method="linear_probe", target_label="label", out=tmp_path / "target"
    )
    assert target.result["method"] == "target_only"


def test_the_result_is_complete_json(tables, tmp_path):
    run = adapt(tables, tmp_path, method="dann", plain_baseline=True)
    text = (run.folder / "result.json").read_text()
    value = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert value == run.result
    assert {
        "version", "setting", "task", "modality", "method", "tune", "backbone", "seed", "steps", "seconds",
        "environment", "decision", "verdict", "arms", "seal", "transductive", "data",
    } <= value.keys()  # fmt: skip
    assert [row["name"] for row in value["arms"]] == ["source_only", "dann", "plain"]
    for row in value["arms"]:
        assert {"agreement", "infomax", "atc", "entropy", "collapse"} <= row["label_free"].keys()
        validation = row["source_validation"]  # for an adapted arm: what it still knows of the source
        metrics = ["accuracy", "balanced_accuracy", "macro_f1", "log_loss", "ece", "roc_auc", "pr_auc"]
        assert list(validation["metrics"]) == metrics
        for name in metrics:
            low, high = validation["intervals"][name]
            assert low <= high
            assert math.isfinite(validation["metrics"][name])
        assert row["target"] is None
        assert row["seconds"] >= 0
    assert value["seal"] == {"opened": 0, "openings": []}
    assert value["verdict"] is None
    assert value["data"]["split"] == {
        "source": 48, "source_validation": 12, "target": 60, "labelled_target": 0, "labelled_target_validation": 0,
    }  # fmt: skip
    assert "classes" not in value["data"]["target"]
    assert value["data"]["source"]["classes"] == {"no": 30, "yes": 30}


def test_arms_trained_together_have_the_same_bits_and_tell_the_same_steps(tables, tmp_path):
    shown = {"one": set(), "two": set()}
    one, two = (
        adapt(
            tables, tmp_path, method="dann", plain_baseline=True, jobs=jobs, out=tmp_path / name,
            show=lambda *told, name=name: shown[name].add((*told[:4], str(told[4]))),
        )
        for name, jobs in (("one", 1), ("two", 2))
    )  # fmt: skip
    told = {step for step in shown["one"] if not step[1].startswith(("done", "reading"))}  # rows are read once
    assert {step[0] for step in told} >= {"source_only", "dann"}
    assert told <= shown["two"]
    for arm in ("source_only", "dann", "plain"):
        files = [run.folder / "arms" / arm / "model" / "weights.safetensors" for run in (one, two)]
        assert files[0].read_bytes() == files[1].read_bytes()
    assert (one.decision, one.reasons) == (two.decision, two.reasons)


def test_classes_of_which_nothing_is_held_out_are_named(tables, tmp_path):
    options = tables()
    with open(options["source"], "a") as file:
        file.write("0.5,0.5,maybe\n")
    run = ac.adapt(**options, backbone="columns", method="source_only", plain_baseline=False, out=tmp_path / "run")
    said = "no row could be held out of maybe 1: nothing tells how well these classes are known"
    assert said in run.result["data"]["notes"]


def test_a_budget_is_shared_and_the_steps_really_taken_are_recorded(tables, tmp_path, monkeypatch):
    warmed = []
    monkeypatch.setattr(workers, "warm", lambda: warmed.append("before the first arm's share begins"))
    run = adapt(
        tables, tmp_path, method="finetune", target_label="label", budget="1s",
        training={"steps": 1_000_000, "batch_size": 8},
    )  # fmt: skip
    for arm in rows(run).values():
        for stage in arm["stages"]:
            assert stage["planned"] == 1_000_000
            assert 1 <= stage["steps"] == stage["cut"] < 10_000
        assert arm["steps"] == sum(stage["steps"] for stage in arm["stages"])
    (said,) = [note for note in run.result["data"]["notes"] if note.startswith("the budget cut")]
    assert f"the budget cut 2 of {len(rows(run))} arms short" in said
    assert f"finetune {rows(run)['finetune']['stages'][0]['steps']} of 1000000 steps" in said
    assert f"warning: {said}" in summary(run.result) and len(warmed) == 1


def test_states_are_scored_on_a_bounded_number_of_target_rows(tables, tmp_path, monkeypatch):
    found = {}
    for most in (20, 60, 1000):
        monkeypatch.setattr("acclimate.runs.train.JUDGED", most)
        training = {"epochs": 2, "batch_size": 8, "keep": "infomax"}
        run = adapt(tables, tmp_path, method="dann", training=training, out=tmp_path / str(most))
        lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
        found[most] = [row["score"] for row in lines if row["arm"] == "dann" and "score" in row]
    assert found[20] != found[60] == found[1000]


def test_the_kept_epoch_is_the_best(tables, tmp_path):
    for keep in ("source", "infomax"):
        training = {"epochs": 6, "batch_size": 8, "keep": keep, "learning_rate": 0.05}
        run = adapt(tables, tmp_path, method="dann", training=training, out=tmp_path / keep)
        lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
        scores = {row["step"]: row["score"] for row in lines if row["arm"] == "dann" and "score" in row}
        assert sorted(scores) == [6, 12, 18, 24, 30, 36]
        (stage,) = rows(run)["dann"]["stages"]
        assert stage["best"] == max(scores.values())
        assert stage["best_step"] == min(step for step, score in scores.items() if score == stage["best"])
        if keep == "source":
            assert rows(run)["dann"]["source_validation"]["metrics"]["accuracy"] == stage["best"]


def test_patience_ends_an_arm_early(tables, tmp_path):
    training = {"epochs": 50, "batch_size": 8, "keep": "source", "patience": 1, "learning_rate": 0.05}
    (stage,) = rows(adapt(tables, tmp_path, method="source_only", training=training))["source_only"]["stages"]
    assert stage["planned"] == 300
    assert stage["steps"] == stage["best_step"] + 6


def test_keep_infomax_is_for_classes(tmp_path, write_csv):
    source = write_csv(tmp_path / "amounts.csv", "x,y", [f"{k}.5,{k}.25" for k in range(40)])
    with pytest.raises(SettingsError, match="infomax needs target rows and a classification"):
        ac.adapt(
            str(source), str(source), input="x", label="y", backbone="mlp", method="dann",
            training={"keep": "infomax"}, out=tmp_path / "run",
        )  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_a_module_from_python_goes_all_the_way(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(2, 8)
            self.norm = nn.BatchNorm1d(8)
            self.second = nn.Linear(8, 8)
            self.second.weight = self.first_again = nn.Parameter(self.second.weight.detach())  # tied: one tensor

        def forward(self, inputs):
            return self.second(self.norm(self.first(inputs)).relu())

    rng = np.random.default_rng(0)
    values = rng.normal(size=(60, 2)).astype(np.float32)
    labels = (values[:, 0] > 0).astype(int)
    network = Net()
    source, target = ac.read((values, labels), label="label"), ac.read(values + np.float32(1))
    run = ac.adapt(source, target, backbone=network, tune="full", training={"steps": 20}, out=tmp_path / "run")
    before = run.predict_proba(values)
    found = run.evaluate((values + np.float32(1), labels), label="label")
    assert set(found["arms"]) == {"source_only", "dann", "plain"}
    assert np.array_equal(run.predict_proba(values), before)  # evaluating other arms does not touch the model
    probabilities = {name: run.arm(name).answers(source).probabilities for name in ("source_only", "dann")}
    assert not np.array_equal(probabilities["source_only"], probabilities["dann"])
    from acclimate.backbones.module import from_module

    again = from_module(Net(), "array", example=values[:1])
    loaded = ac.load(run.folder / "arms" / "dann", backbone=again)
    assert np.array_equal(loaded.answers(source).probabilities, probabilities["dann"])
    with pytest.raises(DataError, match="Python object"):
        ac.load(run.folder / "arms" / "dann")


def test_the_sample_of_several_sources_is_their_union(tables, tmp_path, points, write_csv):
    extra = write_csv(tmp_path / "extra.csv", "x0,x1,label", points(20, seed=7))
    options = tables()
    run = adapt(tables, tmp_path, source=[options["source"], str(extra)], method="source_only")
    assert run.result["data"]["source"]["rows"] == 80
    turned = adapt(
        tables, tmp_path, source=[str(extra), options["source"]], method="source_only", out=tmp_path / "turned"
    )
    files = [r.folder / "model" / "weights.safetensors" for r in (run, turned)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_labels_of_a_target_from_python_are_put_away(tables, tmp_path):
    options = tables()
    columns = {"input": ["x0", "x1"], "label": "label"}
    source, target = ac.read(options["source"], **columns), ac.read(options["target"], **columns)
    poisoned = dataclasses.replace(target, labels=target.labels[::-1].copy())
    runs = [
        ac.adapt(
            source, carrying, backbone="mlp", method="dann", training=QUICK, plain_baseline=False,
            out=tmp_path / f"run{number}",
        )
        for number, carrying in enumerate((target, poisoned, target.sealed()))
    ]  # fmt: skip
    assert {run.result["setting"] for run in runs} == {"transductive"}
    assert len({(run.folder / "arms" / "dann" / "model" / "weights.safetensors").read_bytes() for run in runs}) == 1
    assert runs[0].reasons == runs[1].reasons == runs[2].reasons
    assert len({run.result["data"]["target"]["hash"] for run in runs}) == 1


def test_a_regression_holds_out_its_share_of_few_labelled_rows(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(90, 2)), columns=["a", "b"])
    frame["y"] = (frame["a"] * 10).round(3) + 0.5
    run = ac.adapt(frame, input=["a", "b"], label="y", backbone="columns", plain_baseline=False, out=tmp_path / "run")
    assert run.result["task"] == "regress"
    assert run.result["data"]["split"]["source_validation"] == 18
    assert run.decision == "keep_source"


def test_a_handful_of_target_rows_decides_nothing():
    decision = Decision("adapt", "mcc", ("it won",))
    task = Classify(("a", "b"))

    def heeded(rows, reference="source_only", **labelled):
        target = ac.read(np.arange(2.0 * rows).reshape(-1, 2).astype(np.float32))
        data = Data(None, None, target, labelled.get("labelled"), None, task, task)
        return heed_data(decision, data, reference)

    found = heeded(19)
    assert (found.choice, found.arm, found.reasons[1:]) == ("keep_source", "source_only", ("it won",))
    assert found.reasons[0] == "19 target rows are too few to tell by; at least 20 are needed"
    assert heeded(20) == decision
    assert heeded(19, None) == decision, "there is no other model to keep"
    assert heeded(19, labelled=ac.read((np.zeros((9, 2), np.float32), np.arange(9) % 2))) == decision


def test_several_sources_are_scored_one_by_one(tmp_path, points, write_csv):
    easy = write_csv(tmp_path / "easy.csv", "x0,x1,label", points(300))
    noisy = [points(90, flip=k % 4 == 0, seed=1)[k] for k in range(90)]
    hard = write_csv(tmp_path / "hard.csv", "x0,x1,label", noisy)
    options = {"input": ["x0", "x1"], "label": "label", "method": "groupdro"}
    run = ac.adapt([str(easy), str(hard)], None, out=tmp_path / "run", **options)
    for row in run.result["arms"]:
        own, found = row["source_validation"], row["source_validation"]["by_source"]
        assert len(found) == 2 and own["worst"] == min(found)
        assert min(found) < own["metrics"]["accuracy"] < max(found)
    assert any("on the worst of the sources" in reason for reason in run.reasons)


def test_colours_that_a_network_does_not_see_are_told(tmp_path):
    rng = np.random.default_rng(0)
    colour, labels = rng.integers(0, 255, (24, 16, 16, 3), dtype=np.uint8), ["a", "b"] * 12
    grey = np.repeat(colour[..., :1], 3, axis=-1)
    said = {}
    for name, images, channels in (("colour", colour, 1), ("grey", grey, 1), ("three", colour, 3)):
        backbone = {"name": "small_cnn", "size": 16, "channels": channels}
        run = ac.adapt(
            ac.read((images, labels), label=True, modality="image"), backbone=backbone, training={"steps": 1},
            device="cpu", plain_baseline=False, out=tmp_path / name,
        )  # fmt: skip
        said[name] = any("images in colour are read in grey" in note for note in run.result["data"]["notes"])
    assert said == {"colour": True, "grey": False, "three": False}
