"""A meta-training from data on disk to figures on new classes."""

from __future__ import annotations

import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

import acclimate as ac
from acclimate.domains.batch import Batch
from acclimate.errors import DataError, SettingsError
from acclimate.files import read_json
from acclimate.methods.registry import META
from acclimate.runs.meta.learned import Learned


def test_it_learns_new_classes_better_than_the_plain_baseline(meta, classes):
    run = meta("protonet", training={"steps": 100, "learning_rate": 0.01})
    assert run.result["held_out"]["accuracy"]["low"] > 0.8
    found = run.evaluate(str(classes(100)), episodes=100)
    plain = found["baselines"]["prototypes on columns"]
    assert found["metrics"]["accuracy"]["mean"] > plain["accuracy"]["mean"] + 0.2
    assert found["verdict"] == "helped"
    assert plain["difference"]["low"] > 0
    assert read_json(run.folder / "meta.json")["evaluations"] == [found]
    again = run.evaluate(str(classes(100)), episodes=100)
    assert again["metrics"] == found["metrics"]
    assert run.evaluate(str(classes(100)), episodes=100, seed=1)["metrics"] != found["metrics"]


def test_a_mean_is_that_of_the_episodes(meta, classes):
    """The interval is the normal one, and more episodes make it narrower."""
    run = meta()
    few, many = (run.evaluate(str(classes(100)), episodes=n)["metrics"]["accuracy"] for n in (50, 200))
    widths = [m["high"] - m["low"] for m in (few, many)]
    assert widths[1] < 0.7 * widths[0]
    assert few["low"] < few["mean"] < few["high"]


@pytest.mark.parametrize("method", list(META))
def test_what_is_loaded_answers_as_what_was_saved(meta, classes, method):
    run = meta(method, training={"steps": 4})
    taught = [Learned.load(run.folder) for _ in range(2)]
    domain = ac.read(str(classes(100)), input=[f"x{k}" for k in range(6)], label="label")
    inputs = taught[0].model.backbone.collate(domain.rows.take(np.arange(0, 80, 4)))
    values = inputs if isinstance(inputs, torch.Tensor) else next(iter(inputs.values()))
    support = Batch(_task(inputs, slice(0, 15)), torch.arange(15)[None] // 5)
    said = [one.answers(support, _task(inputs, slice(15, 20))) for one in taught]
    assert torch.equal(*said)
    assert said[0].shape == (1, 5, 3)
    assert len(values) == 20


def _task(inputs, rows):
    if isinstance(inputs, torch.Tensor):
        return inputs[rows][None]
    return {name: value[rows][None] for name, value in inputs.items()}


def test_classes_or_rows_that_were_trained_on_are_refused(meta, classes):
    run = meta()
    with pytest.raises(DataError, match=r"21 of 24 classes and 420 of 480 rows were trained on"):
        run.evaluate(str(classes(0)), episodes=10)
    renamed = ac.read(str(classes(0)), input=[f"x{k}" for k in range(6)], label="label")
    renamed = replace(renamed, labels=np.array([f"new {label}" for label in renamed.labels], dtype=object))
    with pytest.raises(DataError, match=r"0 of 24 classes and 420 of 480 rows"):
        run.evaluate(renamed, episodes=10)
    forced = run.evaluate(str(classes(0)), episodes=10, force=True)
    assert forced["trained_on"] == {"names": 21, "rows": 420, "forced": True}
    held_out = run.result["data"]["held_out"]
    assert held_out == 3  # a tenth of 24 would be 2, but an episode needs 3


def test_a_head_has_its_ways(meta, classes):
    run = meta("maml", training={"steps": 2})
    with pytest.raises(SettingsError, match="learned a head of 3 ways"):
        run.evaluate(str(classes(100)), episodes=10, shape={"ways": 5})
    with pytest.raises(SettingsError, match="one number"):
        meta("maml", "other", ways="2-4")
    wide = meta("protonet", "wide", ways="2-4", shots="1-3", training={"steps": 3})
    found = wide.evaluate(str(classes(100)), episodes=10, shape={"ways": 8})
    assert found["shape"]["ways"] == 8
    assert wide.evaluate(str(classes(100)), episodes=10)["shape"] == {
        "ways": "2-4", "shots": "1-3", "queries": 5, "groups": "ignore",
    }  # fmt: skip


def test_classes_within_a_group(meta, classes):
    run = meta("protonet", group="kind", groups="within", training={"steps": 3})
    names = np.load(run.folder / "rows.npz")["names"]
    assert "kind 0/class 0" in set(names) | {"kind 0/class 0"}
    assert all(name.startswith("kind ") for name in names)
    assert run.evaluate(str(classes(100)), episodes=10)["shape"]["groups"] == "within"


def test_each_source_is_a_task(tmp_path, classes):
    """Domains as tasks: three files, each with the same two classes, each shifted by its own amount."""
    rng = np.random.default_rng(0)
    domains = []
    for k in range(6):
        labels = np.arange(60) % 2
        values = (rng.normal(size=(60, 4)) * 0.3 + labels[:, None] * 2 + rng.normal(size=4) * 6).astype(np.float32)
        domains.append(ac.read((values, labels.astype(str)), label="label", name=f"site {k}"))
    options = {
        "groups": "tasks", "shots": 3, "queries": 5, "backbone": {"name": "mlp"}, "label": "label",
        "training": {"steps": 200, "learning_rate": 0.01}, "precision": "fp32", "device": "cpu",
    }  # fmt: skip
    run = ac.meta_train(domains[:5], method={"name": "maml", "rate": 0.1, "steps": 3}, **options, out=tmp_path / "m")
    assert run.result["task"] == {"name": "classify", "classes": ["0", "1"]}
    assert run.result["data"]["episodes"]["ways"] == 2
    found = run.evaluate(domains[5], episodes=50)
    assert found["metrics"]["accuracy"]["mean"] > 0.9
    with pytest.raises(DataError, match="groups"):
        run.evaluate(domains[0], episodes=10)
    named = replace(domains[5], labels=np.where(domains[5].labels == "0", "no", "yes").astype(object))
    with pytest.raises(DataError, match="the head learned the classes"):
        run.evaluate(named, episodes=10)


def test_numbers_of_machines(tmp_path, lines):
    options = {
        "input": ["x"], "label": "y", "group": "machine", "groups": "tasks", "shots": 5, "queries": 10,
        "backbone": {"name": "mlp"}, "precision": "fp32", "device": "cpu", "out": tmp_path / "m",
        "training": {"steps": 150, "learning_rate": 0.01},
    }  # fmt: skip
    run = ac.meta_train(str(lines(0)), method={"name": "maml", "rate": 0.1, "steps": 3}, **options)
    assert run.result["task"]["name"] == "regress"
    found = run.evaluate(str(lines(100)), episodes=50)
    assert found["primary"] == "mae"
    assert found["metrics"]["mae"]["mean"] < 0.6 * found["baselines"]["support mean"]["mae"]["mean"]
    assert found["verdict"] == "helped"


def test_frozen_features_are_read_once(meta, classes, own_cache):
    run = meta("protonet", backbone={"name": "columns"}, training={"steps": 100, "learning_rate": 0.01})
    assert run.result["tune"] == "frozen"
    found = run.evaluate(str(classes(100)), episodes=60)
    assert found["metrics"]["accuracy"]["mean"] > found["baselines"]["prototypes on columns"]["accuracy"]["mean"]


def test_killed_and_resumed_is_the_same_to_the_bit(tmp_path, classes, processes, own_cache, everything):
    given = {
        "source": str(classes(0)), "input": [f"x{k}" for k in range(6)], "label": "label", "ways": 3, "shots": 2,
        "queries": 5, "backbone": {"name": "mlp", "dropout": 0.2}, "precision": "fp32", "device": "cpu",
        "training": {"steps": 16, "checkpoint_seconds": 0},
    }  # fmt: skip
    for method in ("meta_sgd", "protonet"):
        whole = ac.meta_train(**given, method=method, out=tmp_path / method)
        folder = tmp_path / f"killed-{method}"

        def reached(at=folder) -> bool:
            return any(int(p.parent.name) >= 5 for p in at.glob("checkpoints/*/*/[0-9]*/state.json"))

        environment = {"XDG_CACHE_HOME": str(own_cache)}
        status = processes.run("meta_train", reached, environment=environment, out=str(folder), method=method, **given)
        assert status == -signal.SIGKILL
        with pytest.raises(DataError, match=r"`acclimate resume .*` continues it"):
            ac.MetaRun(folder)
        again = ac.resume(folder)
        assert isinstance(again, ac.MetaRun)
        assert everything(folder) == everything(whole.folder)


def test_other_data_are_not_resumed(meta, classes, tmp_path):
    run = meta(training={"steps": 2})
    (run.folder / "meta.json").unlink()
    (tmp_path / "classes7.csv").write_bytes(classes(7).read_bytes())
    classes(0).write_bytes(classes(7).read_bytes())
    with pytest.raises(DataError, match="the data have changed"):
        ac.resume(run.folder)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"method": "mamml"}, SettingsError, "did you mean 'maml'"),
        ({"ways": "many"}, SettingsError, "a range such as 5-20"),
        ({"ways": 40}, DataError, "an episode needs 40 classes, and there are 24"),
        ({"shots": 30}, DataError, "ask for fewer ways, shots or queries"),
        ({"groups": "tasks"}, SettingsError, "all rows are of one group"),
        ({"groups": "tasks", "group": "kind", "ways": 3}, DataError, "ways is 24"),
        ({"turns": True}, SettingsError, "rotates images"),
        ({"task": "regress"}, SettingsError, "--groups tasks"),
        ({"target_label": "label"}, SettingsError, "leave target_label out"),
        ({"privacy": {"epsilon": 8, "delta": 1e-5}}, SettingsError, "meta-training is never private"),
        ({"training": {"keep": "infomax"}}, SettingsError, "keeps its last state"),
        ({"tune": "lora"}, SettingsError, "LoRA"),
        ({"label": "nothing"}, DataError, "nothing"),
    ],
)
def test_what_cannot_be_is_told(meta, options, error, words):
    with pytest.raises(error, match=words):
        meta(**options)


def test_numbers_need_a_learner_that_answers_them(tmp_path, lines):
    with pytest.raises(SettingsError, match="answers classes"):
        ac.meta_train(str(lines()), input="x", label="y", group="machine", groups="tasks", shots=5, method="protonet",
                      backbone="mlp", out=tmp_path / "m")  # fmt: skip
    assert not (tmp_path / "m").exists()


def test_numbers_have_a_smaller_rate_unless_it_is_named(tmp_path, lines):
    given = {"input": "x", "label": "y", "group": "machine", "groups": "tasks", "shots": 5, "queries": 5,
             "backbone": "mlp", "training": {"steps": 2}}  # fmt: skip
    run = ac.meta_train(str(lines()), method="maml", **given, out=tmp_path / "one")
    assert run.result["settings"]["rate"] == 0.01
    assert "method.rate: 0.01, for the answers are numbers" in run.result["data"]["notes"]
    named = ac.meta_train(str(lines()), method={"name": "maml", "rate": 0.3}, **given, out=tmp_path / "two")
    assert named.result["settings"]["rate"] == 0.3


def test_a_loss_that_grows_is_told(tmp_path, lines):
    given = {"input": "x", "label": "y", "group": "machine", "groups": "tasks", "shots": 5, "queries": 5,
             "backbone": "mlp", "out": tmp_path / "m"}  # fmt: skip
    run = ac.meta_train(
        str(lines()), method={"name": "fomaml", "rate": 0.01}, **given,
        training={"steps": 30, "learning_rate": 3.0, "schedule": "constant"},
    )  # fmt: skip
    assert any("the loss grew" in note for note in run.result["notes"])


def test_rows_of_another_kind_are_told(meta):
    run = meta(training={"steps": 2})
    texts = ac.read((["some words"] * 3 + ["others"] * 3, ["a"] * 3 + ["b"] * 3), label=True)
    with pytest.raises(DataError, match="is text, but the model reads table"):
        run.evaluate(texts, episodes=5)


def test_it_gives_no_answers_by_itself(meta):
    run = meta(training={"steps": 2})
    with pytest.raises(DataError, match="few-shot --backbone"):
        ac.load(run.folder)
    with pytest.raises(DataError, match="few-shot --backbone"):
        ac.Run(run.folder)


def test_episodes_are_of_meta_training_alone(tables, tmp_path):
    with pytest.raises(SettingsError, match="meta-train"):
        ac.adapt(**tables(), episodes={"ways": 3}, out=tmp_path / "run")
