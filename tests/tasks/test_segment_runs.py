"""Segmentation as runs: what is trained, saved, calibrated, sealed and refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml
from PIL import Image
from scipy.special import softmax

import acclimate as ac
from acclimate.domains.masks import from_text
from acclimate.domains.read import read
from acclimate.errors import DataError, SettingsError
from acclimate.tasks.answers import Answers
from acclimate.training.infer import outputs
from acclimate.trust.certainty.calibrate import reliability

SMALL = {"name": "small_cnn", "size": 32}
QUICK = {"steps": 8, "batch_size": 4}


def adapt(folder, method, name="run", **options):
    options = {"backbone": SMALL, "training": QUICK, "plain_baseline": False, **options}
    source, target = (str(folder / side) for side in ("source", "target"))
    return ac.adapt(source, target, task="segment", method=method, out=folder / name, force=True, **options)


def weights(run, arm):
    return (run.folder / "arms" / arm / "model" / "weights.safetensors").read_bytes()


def test_backbones_without_maps_or_with_odd_strides_are_refused(pair):
    with pytest.raises(SettingsError, match="'pixels' gives no maps"):
        adapt(pair, "source_only", backbone="pixels")
    with pytest.raises(SettingsError, match=r"'conv4' divides a canvas of 28 pixels by 9.33"):
        adapt(pair, "source_only", backbone="conv4")
    with pytest.raises(SettingsError, match="reads maps of several layers, which are not kept: use --tune full"):
        adapt(pair, "source_only", backbone={"name": "mobilenet_v2", "size": 64}, tune="frozen")


def test_alignment_mends_a_shift_that_source_only_fails_at(tmp_path, scenes):
    scenes(tmp_path / "source", 24)
    scenes(tmp_path / "target", 24, "haze", seed=1)
    run = adapt(
        tmp_path, {"name": "dann", "strength": 0.03}, training={"steps": 100, "batch_size": 8, "learning_rate": 3e-3}
    )
    scores = run.evaluate(tmp_path / "target")["arms"]
    dice = {name: scores[name]["metrics"]["dice"] for name in ("source_only", "dann")}
    assert dice["source_only"] < 0.75 < dice["dann"] - 0.05


def test_without_a_method_alignment_is_gentle(pair):
    """The default of 1 is that of one vector a row, and destroys what thousands of pixels have learned."""
    for method, strength in ((None, 0.03), ("dann", 0.03), ({"name": "dann", "strength": 0.5}, 0.5)):
        recipe = yaml.safe_load((adapt(pair, method).folder / "recipe.yaml").read_text())
        assert (recipe["method"]["name"], recipe["method"]["strength"]) == ("dann", strength)


def test_strength_zero_is_source_only_and_the_seed_decides(pair):
    run = adapt(pair, {"name": "dann", "strength": 0.0})
    assert weights(run, "dann") == weights(run, "source_only")
    assert weights(adapt(pair, {"name": "dann", "strength": 0.0}, "again"), "dann") == weights(run, "dann")
    moved = adapt(pair, "dann", "moved")
    from safetensors.numpy import load

    before, after = (load(weights(each, "dann")) for each in (run, moved))
    assert any(np.abs(before[k] - after[k]).max() > 1e-5 for k in before if k.startswith("backbone"))


def test_poisoned_masks_of_the_target_change_nothing(pair, scenes):
    clean = adapt(pair, "dann")
    scenes(pair / "target", 8, "haze", seed=1, poison=True)
    poisoned = adapt(pair, "dann", "poisoned")
    assert weights(clean, "dann") == weights(poisoned, "dann")
    results = [json.loads((run.folder / "result.json").read_text()) for run in (clean, poisoned)]
    assert results[0]["decision"] == results[1]["decision"]


def test_saved_models_answer_alike_in_the_image_s_own_pixels(pair):
    run = adapt(pair, "source_only")
    wide = np.asarray(Image.open(pair / "target" / "images" / "000.png").resize((50, 20)))
    Image.fromarray(wide).save(pair / "wide.png")
    model = ac.load(run.folder)
    first, second = (model.predict(pair / "wide.png") for _ in range(2))
    assert from_text(first["prediction"][0]).size == (20, 50)
    assert first.equals(second) and first["path"][0] == "wide.png"
    whole = model.predict(pair / "target")
    assert whole["path"].tolist() == [f"images/{k:03}.png" for k in range(8)]
    truth = read(pair / "target", label="masks", shapes="masks")
    scores = ac.load(run.folder)._model.task.metrics(Answers(whole["prediction"].to_numpy()), truth.labels)
    assert scores == run.evaluate(pair / "target")["arms"]["source_only"]["metrics"]


def test_masks_of_other_names_leave_the_seal_closed(pair):
    run = adapt(pair, "source_only")
    (pair / "target" / "discs").rename(pair / "target" / "masks")  # two values in such a folder are called object
    with pytest.raises(DataError, match="Labels: object; the model knows discs"):
        run.evaluate(pair / "target")
    assert ac.Run(run.folder).result["seal"]["opened"] == 0
    place = pair / "target" / "masks" / "000.png"
    Image.fromarray(np.asarray(Image.open(place)) // 2).save(place)
    legend = {"0": "background", "255": "discs", "127": "stars"}
    (pair / "target" / "masks" / "legend.json").write_text(json.dumps(legend))
    found = run.evaluate(pair / "target")
    assert found["unseen_labels"] == {"stars": 1} and found["seal"]["opened"] == 1


def test_masks_are_calibrated_on_held_out_images(pair, scenes):
    run = adapt(pair, "source_only", training={"steps": 30, "batch_size": 4, "learning_rate": 3e-3})
    model, fresh = ac.load(run.folder), read(scenes(pair / "more", 12, seed=9), label="masks", shapes="masks")
    logits, targets = model._model.task.calibration(model._infer(fresh, outputs, None), fresh.labels)
    heat = model._card.temperature
    ece = []
    for each in (1.0, heat):
        probs = softmax(logits / each, axis=1)
        ece.append(reliability(probs.max(axis=1), probs.argmax(axis=1) == targets)[0])
    assert ece[1] < ece[0] / 2


@pytest.mark.parametrize(
    "method", ["mmd", "mcc", "fixmatch", "mean_teacher", "fda", "tent", "self_training", "dann+mcc"]
)
def test_methods_work_as_they_are(pair, method):
    backbone = {"name": "conv4", "size": 32, "width": 8}
    training = {"steps": 4, "batch_size": 4, "learning_rate": 1e-2}
    settings = {"threshold": 0.3} if method in ("fixmatch", "mean_teacher") else {}
    run = adapt(pair, {"name": method, **settings}, backbone=backbone, training=training)
    assert weights(run, method) != weights(run, "source_only")
    assert set(run.evaluate(pair / "target")["arms"]) == {"source_only", method}


def test_the_sites_of_dann_can_be_named(pair):
    run = adapt(pair, {"name": "dann", "sites": ["output"]})
    assert "domain_output" in (steps := (run.folder / "metrics.jsonl").read_text()) and "domain_features" not in steps
    with pytest.raises(SettingsError, match="unknown site 'outputs'"):
        adapt(pair, {"name": "dann", "sites": ["outputs"]}, "wrong")


def test_candidates_are_trained_beside_one_model_of_the_source(pair):
    """The same bits as if each method were asked for alone; without labels of the target auto is the source's model.

    After two steps that does not beat one category everywhere.
    """
    run = adapt(pair, "auto", training={**QUICK, "steps": 2})
    names = ["source_only", "dann:strength=0.03", "fda", "self_training", "auto"]
    assert [row["name"] for row in run.result["arms"]] == names and run.decision == "do_not_deploy"
    assert "not shown to beat a constant answer" in run.result["reasons"][0]
    alone = adapt(pair, "fda", "alone", training={**QUICK, "steps": 2})
    assert weights(run, "fda") == weights(alone, "fda")
    assert weights(run, "auto") == weights(run, "source_only") == weights(alone, "source_only")
    assert set(run.evaluate(pair / "target")["arms"]) == set(names)


def test_methods_that_need_classes_are_refused(pair):
    with pytest.raises(SettingsError, match="method 'bbse' needs classes, and task 'segment' has none"):
        adapt(pair, "bbse")
