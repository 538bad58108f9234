"""Pages of runs that adapt nothing."""

from __future__ import annotations

import numpy as np
import pytest

import acclimate as ac
from acclimate.domains.sample import toy_shift
from acclimate.runs.report.words import Words, number


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_an_encoder_says_what_it_is_and_how_it_changed(tmp_path, lang):
    source, _, _ = toy_shift(60)
    encoder = ac.pretrain(source, method="simclr", training={"steps": 3, "batch_size": 8}, out=tmp_path / "encoder")
    page = ac.report(tmp_path / "encoder", lang=lang)
    text, words = page.read_text("utf-8"), Words(lang)
    assert page == encoder.folder / "report.html" and words("pretrain.verdict", method="simclr") in text
    rank = next(iter(encoder.result["evidence"].values()))["effective_rank"]
    assert number(rank["before"]) in text and number(rank["after"]) in text


def test_a_meta_trained_model_shows_every_evaluation_beside_its_baselines(tmp_path):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(16, 2)) * 3
    values = (np.repeat(centres, 12, axis=0) + rng.normal(0, 0.2, (192, 2))).astype(np.float32)
    labels = np.repeat([f"class {k}" for k in range(16)], 12)
    old, new = (ac.read((values[part], labels[part]), label="label") for part in (slice(0, 120), slice(120, 192)))
    shape = {"ways": 3, "shots": 1, "queries": 4}
    run = ac.meta_train(
        old, method="protonet", backbone="mlp", training={"steps": 5}, out=tmp_path / "meta", validation=0.0, **shape
    )
    assert Words()("meta.verdict.open", method="protonet") in ac.report(run).read_text("utf-8")
    found = run.evaluate(new, episodes=20, shape=shape)
    text = ac.report(run).read_text("utf-8")
    assert number(found["metrics"]["accuracy"]["mean"]) in text
    assert Words()(f"badge.{found['verdict']}") in text and text.count("<svg") >= 2
    assert all(f"baseline: {name}" in text for name in found["baselines"])
