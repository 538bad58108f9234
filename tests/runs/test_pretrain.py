"""Pretraining as a run: what it reads, what it leaves, and what can be done with that."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import acclimate as ac
from acclimate.backbones import registry
from acclimate.errors import DataError, SettingsError
from acclimate.methods.registry import PRETRAINING, find_pretraining
from acclimate.runs.pretrain import remarks

STEPS = {"steps": 6, "batch_size": 8}
CNN = {"name": "small_cnn", "size": 16, "width": 8}
SOUND = {"name": "logmel_cnn", "bands": 16, "width": 4}


def weights(folder: Path) -> bytes:
    return (folder / "encoder" / "weights.safetensors").read_bytes()


def pictures(folder: Path, order: list[int], flip: bool) -> Path:
    """16 x 16 pictures in folders that name their class: a bright left or right half."""
    pixels = np.random.default_rng(0).integers(0, 60, (len(order), 16, 16)).astype(np.uint8)
    for k in order:
        pixels[k, :, 8 * (k % 2) : 8 * (k % 2) + 8] += 150
        place = folder / ("left" if (k % 2 == 0) != flip else "right") / f"{order.index(k):03d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[k]).save(place)
    return folder


def windows(file: Path, loud: float, order: list[int], flip: bool) -> Path:
    """Windows of two channels, slow and quick ones, whose classes say which."""
    noise, time = np.random.default_rng(0).normal(0, 0.1, (len(order), 2, 32)), np.arange(32)
    waves = loud * np.stack([np.sin((0.2 + 0.6 * (k % 2)) * time) for k in range(len(order))])[:, None] + noise
    classes = np.array([("slow", "quick")[(k % 2 == 1) != flip] for k in range(len(order))])
    np.savez(file, x=waves[order].astype(np.float32), y=classes[order])
    return file


def clips(folder: Path, spoken: Callable[..., Any], pitch: float, order: list[int], flip: bool) -> Path:
    """Words of one voice in files that name them."""
    soundfile = pytest.importorskip("soundfile")
    folder.mkdir()
    for k in order:
        samples, rate = spoken(("ai", "ia")[k % 2], pitch, seed=k)
        soundfile.write(folder / f"{order.index(k):02d}_{('ai', 'ia')[(k % 2 == 1) != flip]}.wav", samples, rate)
    return folder


@pytest.fixture
def teach(tmp_path, points, reviews, write_csv, tiny_text, spoken) -> Callable[..., ac.Encoder]:
    """``teach(method, modality, turned=False, flip=False, **options)``: six steps on files.

    ``turned`` writes the rows in another order, ``flip`` poisons the labels of both domains.
    """
    count = 0

    def make(method: str, modality: str, *, turned: bool = False, flip: bool = False, **options: Any) -> ac.Encoder:
        nonlocal count
        count += 1
        folder = tmp_path / f"{count}"
        folder.mkdir()
        step = -1 if turned else 1
        if modality == "image":
            places = [pictures(folder / side, list(range(24))[::step], flip) for side in ("source", "target")]
            given: dict[str, Any] = {"backbone": CNN, "modality": "image"}
        elif modality == "audio":
            order = list(range(12))[::step]
            places = [clips(folder / f"{pitch}", spoken, pitch, order, flip) for pitch in (120, 200)]
            given = {"backbone": SOUND, "modality": "audio"}
        elif modality == "series":
            order = list(range(24))[::step]
            places = [windows(folder / f"{loud}.npz", loud, order, flip) for loud in (1.0, 1.5)]
            given = {"backbone": {"name": "series_cnn", "width": 4}, "modality": "series"}
        elif modality == "text":
            lines = [reviews(topic="phone", flip=flip), reviews(topic="film", seed=1, flip=flip)]
            places = [write_csv(folder / f"{k}.csv", "text,label", line[::step]) for k, line in enumerate(lines)]
            given = {"backbone": str(tiny_text), "input": "text", "modality": "text"}
        else:
            lines = [points(flip=flip), points(where="target", flip=flip)]
            places = [write_csv(folder / f"{k}.csv", "x0,x1,label", line[::step]) for k, line in enumerate(lines)]
            given = {"backbone": {"name": "mlp", "hidden": (8,), "dropout": 0.2}, "input": "*", "label": "label"}
        options = {"training": STEPS, "precision": "fp32", **given, **options}
        return ac.pretrain(*map(str, places), method=method, out=folder / "enc", **options)

    return make


CASES = [(name, kind) for name in PRETRAINING for kind in find_pretraining(name).reads if kind != "array"]


BUILT = ("table", "series")
"""Modalities whose backbone is built from the first rows that it sees."""


@pytest.mark.parametrize(("method", "modality"), CASES)
def test_bits_depend_on_seed_and_inputs_alone(teach, method, modality):
    encoder = teach(method, modality)
    poisoned = teach(method, modality, turned=True, flip=True)
    assert weights(encoder.folder) == weights(poisoned.folder)
    for told in ("evidence", "loss", "notes"):
        assert encoder.result[told] == poisoned.result[told]
    assert weights(teach(method, modality, seed=1).folder) != weights(encoder.folder)


@pytest.mark.parametrize(("method", "modality"), [case for case in CASES if case[1] not in BUILT])
def test_every_weight_of_the_backbone_has_moved(teach, method, modality, tiny_text):
    taught = registry.create(str(teach(method, modality).folder), modality).state_dict()
    settings = {"image": CNN, "audio": SOUND}.get(modality, {"name": str(tiny_text)})
    name, more = settings["name"], {key: value for key, value in settings.items() if key != "name"}
    fresh = registry.create(name, modality, more).state_dict()
    assert [name for name, value in fresh.items() if torch.equal(value, taught[name])] == []


def test_a_label_column_is_no_input(teach):
    taught = registry.create(str(teach("simclr", "table").folder), "table")
    assert (taught.encoder.names, taught.encoder.categories) == (["x0", "x1"], {})


def test_what_a_star_takes_in_is_told(tables, tmp_path):
    given = {**tables(), "input": "*", "backbone": "mlp", "training": STEPS}
    told = [
        ac.pretrain(**{**given, "label": label}, out=tmp_path / str(label)).result["data"]["notes"]
        for label in (None, "label")
    ]
    assert ["--label NAME keeps it out" in notes[-1] for notes in told] == [True, False]


@pytest.mark.parametrize("tune", ["lora", "l2sp", "gradual", "discriminative"])
def test_every_tune_teaches_and_leaves_a_plain_backbone(teach, tune):
    encoder = teach("mlm", "text", tune=tune)
    taught = registry.create(str(encoder.folder), "text")
    fresh = registry.create(encoder.result["backbone"], "text")
    assert taught.state_dict().keys() == fresh.state_dict().keys()
    assert taught.cache_key() != fresh.cache_key()


def test_a_batch_in_pieces_has_nearly_the_same_loss(teach):
    """Not quite: the pieces differ in how many words they hide, and each has dropout of its own."""
    whole = teach("mlm", "text", training={**STEPS, "steps": 1})
    cut = teach("mlm", "text", training={**STEPS, "steps": 1, "accumulate": 2})
    for name, loss in whole.result["loss"].items():
        assert cut.result["loss"][name]["first"] == pytest.approx(loss["first"], rel=0.05)


def test_killed_and_resumed_is_the_same_to_the_bit(
    tmp_path, processes, own_cache, reviews, write_csv, tiny_text, everything, timeless
):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "digits.npz", x=rng.integers(0, 256, (60, 16, 16)).astype(np.uint8))
    texts = [write_csv(tmp_path / f"{k}.csv", "text,label", reviews(topic=k)) for k in ("phone", "film")]
    training = {"steps": 24, "batch_size": 8, "checkpoint_seconds": 0}
    cases = {
        "simclr": {"target": str(tmp_path / "digits.npz"), "backbone": CNN},
        "mlm": {
            "source": str(texts[0]), "target": str(texts[1]), "input": "text", "modality": "text",
            "backbone": str(tiny_text),
        },
    }  # fmt: skip
    for method, case in cases.items():
        whole = ac.pretrain(**case, method=method, training=training, out=tmp_path / method)
        folder = tmp_path / f"killed-{method}"

        def reached(at: Path = folder) -> bool:
            return any(int(p.parent.name) >= 9 for p in at.glob("checkpoints/*/*/[0-9]*/state.json"))

        environment = {"XDG_CACHE_HOME": str(own_cache)}
        status = processes.run(
            "pretrain", reached, environment=environment, out=str(folder), method=method, training=training, **case
        )
        assert status == -signal.SIGKILL
        assert not (folder / "encoder").exists()
        with pytest.raises(DataError, match="holds no encoder yet; `acclimate resume"):
            registry.create(str(folder), "text")
        again = ac.resume(folder)
        assert isinstance(again, ac.Encoder)
        assert everything(folder) == everything(whole.folder)
        assert timeless(ac.resume(folder).result) == timeless(whole.result)


def test_every_other_function_takes_it_as_its_backbone(teach, tables, tmp_path):
    encoder = teach("simclr", "table")
    given = tables()
    run = ac.adapt(**given, backbone=encoder, method="source_only", plain_baseline=False, out=tmp_path / "run")
    assert run.result["backbone"] == str(encoder.folder)
    assert run.result["tune"] == "frozen"
    found = ac.embed(given["target"], encoder, input=given["input"], precision="fp32")["hidden_1"]
    own = registry.create(str(encoder.folder), "table")
    domain = ac.read(given["target"], input=given["input"])
    with torch.no_grad():
        wanted = own(own.collate(domain.rows.take(np.arange(len(domain)))))["hidden_1"].numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert set(run.predict(given["target"])["prediction"]) <= {"no", "yes"}

    full = ac.adapt(
        **given, backbone=encoder, tune="full", method="source_only", training=STEPS, plain_baseline=False,
        out=tmp_path / "full",
    )  # fmt: skip
    again = registry.create(str(full.folder), "table")  # a run's own model is an encoder too
    assert again.spec.pretrained
    assert again.cache_key() != own.cache_key()
    taught_twice = ac.pretrain(
        given["source"], backbone=full.folder, input=given["input"], training=STEPS, out=tmp_path / "more"
    )
    assert taught_twice.result["backbone"] == str(full.folder)


def test_domains_whose_columns_differ_get_an_encoder_each(tables, tmp_path):
    given = tables()
    target = Path(given["target"])  # x1 is not measured there
    target.write_text("".join(",".join(line.split(",")[::2]) + "\n" for line in target.read_text().splitlines()))
    options = {"training": STEPS, "precision": "fp32"}
    encoder = ac.pretrain(**given, backbone="mlp", **options, out=tmp_path / "enc")
    taught = registry.create(str(encoder.folder), "table").state_dict()
    run = ac.adapt(
        **given, backbone=encoder, method="dann", plain_baseline=False, **options, out=tmp_path / "run"
    )  # fmt: skip
    kept = registry.create(str(run.folder), "table").state_dict()
    assert [name for name, value in taught.items() if not torch.equal(value, kept[name])] == []
    alone = ac.pretrain(given["source"], input=given["input"], backbone="mlp", **options, out=tmp_path / "alone")
    with pytest.raises(SettingsError, match="reads one kind of row only"):
        ac.adapt(**given, backbone=alone, method="dann", out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_an_encoder_gives_no_answers(teach, tables):
    encoder = teach("simclr", "table")
    for ask in (ac.load, ac.Run):
        with pytest.raises(DataError, match="an encoder, which gives no answers yet"):
            ask(encoder.folder)


def test_domains_from_memory(tmp_path, timeless):
    values = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    labelled = ac.read((values, np.arange(60) % 2), label="label")
    options = {"backbone": {"name": "mlp", "hidden": (4,)}, "training": STEPS}
    one = ac.pretrain(labelled, **options, out=tmp_path / "one")
    other = ac.pretrain(ac.read(values), **options, out=tmp_path / "other")
    assert weights(one.folder) == weights(other.folder)
    (tmp_path / "one" / "pretraining.json").unlink()
    with pytest.raises(SettingsError, match="the source was a Python object"):
        ac.resume(one.folder)
    assert timeless(ac.resume(one.folder, source=labelled).result) == timeless(one.result)


def test_a_budget_ends_it_early(teach):
    encoder = teach("simclr", "table", training={"steps": 100_000, "batch_size": 8}, budget=1)
    assert 10 <= encoder.result["steps"] < 100_000
    assert encoder.result["planned"] == 100_000
    assert encoder.result["notes"][0] == f"the budget allowed {encoder.result['steps']} of 100000 steps"


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"method": "mlm"}, "method 'mlm' learns from text, and these rows are table; methods that would work: simclr"),
        ({"method": "simcrl"}, "unknown pretraining method 'simcrl'; did you mean 'simclr'"),
        ({"method": "dann"}, "unknown pretraining method 'dann'; known: mlm, simclr"),
        ({"method": {"name": "simclr", "temprature": 1}}, "did you mean 'temperature'"),
        ({"tune": "frozen"}, "use --tune full"),
        ({"tune": {"kind": "full", "layer": "columns"}}, r"tune\.layer: pretraining teaches"),
        ({"backbone": "columns"}, "'columns' cannot be changed"),
        ({"backbone": "mlq"}, "did you mean 'mlp'"),
        ({"training": {"keep": "infomax"}}, r"training\.keep"),
        ({"training": {"batch_size": 64}}, "more than the 54 rows of a domain"),
        ({"target_label": "label"}, "reads no labels: leave target_label out"),
        ({"task": "classify"}, "reads no labels: leave task out"),
        ({"privacy": {"epsilon": 8, "delta": 1e-5}}, "pretraining is never private"),
    ],
)
def test_what_cannot_be_is_refused_before_a_folder_is_made(tables, tmp_path, options, match):
    given = {**tables(), "backbone": "mlp", **options}
    with pytest.raises(SettingsError, match=match):
        ac.pretrain(**given, out=tmp_path / "enc")
    assert not (tmp_path / "enc").exists()


def test_data_that_teach_nothing_are_refused(tables, tmp_path):
    with pytest.raises(DataError, match="give --source, --target or both"):
        ac.pretrain(out=tmp_path / "enc")
    with pytest.raises(DataError, match="1 row to learn from"):
        ac.pretrain(np.zeros((1, 3), np.float32), validation=0, out=tmp_path / "enc")
    with pytest.raises(SettingsError, match="backbone is a name"):
        ac.pretrain(**tables(), backbone=torch.nn.Linear(2, 2), out=tmp_path / "enc")


def test_adapt_says_where_a_pretraining_belongs(tables, tmp_path):
    with pytest.raises(SettingsError, match="`acclimate pretrain --method simclr"):
        ac.adapt(**tables(), method="simclr", out=tmp_path / "run")


def test_changed_data_are_refused(tables, tmp_path):
    given = tables()
    encoder = ac.pretrain(**given, backbone="mlp", training=STEPS, out=tmp_path / "enc")
    (encoder.folder / "pretraining.json").unlink()
    lines = Path(given["target"]).read_text().splitlines()
    Path(given["target"]).write_text("\n".join([*lines[:-1], "9.0,9.0,yes"]) + "\n")
    with pytest.raises(DataError, match="data have changed"):
        ac.resume(encoder.folder)


def test_a_collapse_is_told():
    def side(rank: float, loss: float) -> dict[str, Any]:
        effective = {"before": 30.0, "after": rank, "width": 64, "rows": 500}
        return {"effective_rank": effective, "held_out_loss": {"before": 5.5, "after": loss}}

    done = {"steps": 20, "planned": 20}
    assert remarks({**done, "evidence": {"source": side(29.0, 4.0), "target": side(40.0, 4.0)}}) == []
    (collapsed,) = remarks({**done, "evidence": {"source": side(29.0, 4.0), "target": side(1.2, 4.0)}})
    assert "target: the features' effective rank fell from 30.0 to 1.2" in collapsed
    (brief,) = remarks({"steps": 19, "planned": 19, "evidence": {"source": side(29.0, 4.0)}})
    assert brief.startswith("19 steps teach an encoder little")
    (idle,) = remarks({**done, "evidence": {"source": side(29.0, 5.6)}})
    assert "source: the loss on rows held out did not fall" in idle


def test_features_that_did_collapse_are_told(tables, tmp_path):
    """A rate that kills every unit leaves features of one value."""
    given = tables()
    training = {"steps": 30, "learning_rate": 100.0, "warmup": 0.0, "batch_size": 8}
    encoder = ac.pretrain(**given, backbone={"name": "mlp", "hidden": (16,)}, training=training, out=tmp_path / "enc")
    assert any("may have collapsed" in note for note in encoder.result["notes"])
