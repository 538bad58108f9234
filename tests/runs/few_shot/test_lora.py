from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import acclimate as ac
from acclimate.backbones import registry
from acclimate.errors import SettingsError
from acclimate.methods.few_shot.prototypes import Prototypes
from acclimate.runs.few_shot.held_out import fold_of, hold_out
from acclimate.runs.few_shot.lora import LoRA, Workbench
from acclimate.runs.few_shot.model import learn
from acclimate.runs.log import silent
from acclimate.training.device import place

pytestmark = pytest.mark.usefixtures("own_cache")


def told(each: int, seed: int = 0) -> ac.Domain:
    """Texts whose class shows in one word among many."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for k in range(2 * each):
        tone = str(rng.choice(["good", "fine"] if k % 2 else ["bad", "poor"]))
        texts.append(" ".join(rng.permutation([tone, *(f"w{int(i)}" for i in rng.integers(0, 40, 2))])))
        labels.append("yes" if k % 2 else "no")
    return ac.read((texts, labels), label="label", name="told")


def bench(rows: ac.Domain, folder: Path, settings: LoRA) -> tuple[Workbench, torch.Tensor]:
    rows = rows.select(rows.order)
    network = registry.create(str(folder), "text", {}, 0).eval()
    targets = torch.from_numpy((rows.labels == "yes").astype(np.int64))
    made = Workbench(settings, network, network.check_layer(None), rows, ("no", "yes"), place("cpu", "fp32"), 0, silent)
    return made, targets


def test_tuning_brings_rows_of_a_class_together_that_it_has_not_seen(tiny_text):
    made, targets = bench(told(20), tiny_text, LoRA(steps=150))
    fold = fold_of(targets.numpy(), 0, 2)
    frozen, tuned = (made.held_out(rate, targets, fold) for rate in (0.0, 0.01))
    assert frozen.right.mean() < 0.75
    assert tuned.right.mean() > 0.85


def test_at_rate_zero_nothing_changes(tiny_text):
    made, targets = bench(told(6), tiny_text, LoRA())
    fold = fold_of(targets.numpy(), 0, 2)
    frozen = made.features(made.tuned(0.0, np.ones(12, dtype=bool), "frozen"))
    plain = hold_out(Prototypes(), frozen, targets, 2, fold)
    np.testing.assert_allclose(made.held_out(0.0, targets, fold).logits, plain.logits, atol=1e-3)


def test_the_backbone_that_came_in_stays_as_it_was(tiny_text):
    made, _ = bench(told(6), tiny_text, LoRA(steps=3))
    key = made.backbone.cache_key()
    model = made.tuned(0.01, np.ones(12, dtype=bool), "tuned")
    assert made.backbone.cache_key() == key != model.backbone.cache_key()
    assert not any("lora_" in name for name, _ in model.backbone.named_parameters())


def test_held_out_rows_choose_the_rate(tiny_text):
    level = {"name": "lora", "rates": [0.0, 0.01], "steps": 80}
    new = told(40, seed=1)
    model = learn(told(20), backbone=str(tiny_text), level=level, precision="fp32")
    assert model.report["level"] == {"name": "lora", "rate": 0.01, "steps": 80, "rank": 8, "scale": Prototypes.scale}
    assert [each["level"]["rate"] for each in model.report["candidates"]] == [0.0, 0.01]
    said = model.say(new.sealed()).probabilities
    assert (np.array(["no", "yes"])[said.argmax(1)] == new.labels).mean() > 0.8
    again = learn(told(20), backbone=str(tiny_text), level=level, precision="fp32")
    assert np.array_equal(again.say(new.sealed()).probabilities, said)


@pytest.mark.parametrize("each", [1, 2])
def test_with_so_few_rows_nothing_is_tuned(tiny_text, each):
    model = learn(told(each), backbone=str(tiny_text), level="lora", precision="fp32")
    assert model.report["level"]["rate"] == 0
    plain = learn(told(each), backbone=str(tiny_text), level="prototypes", precision="fp32")
    new = told(5, seed=1)
    got, wanted = (m.say(new).probabilities.argmax(1) for m in (model, plain))
    assert np.array_equal(got, wanted)


def test_a_tuned_backbone_is_saved(tiny_text, tmp_path):
    support, new = told(8), told(8, seed=1)
    clf = ac.FewShot(str(tiny_text), {"name": "lora", "rates": [0.0, 0.01], "steps": 10}, precision="fp32").fit(support)
    clf.save(tmp_path / "clf")
    assert np.array_equal(ac.FewShot.load(tmp_path / "clf").predict_proba(new), clf.predict_proba(new))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rates": [0.1]}, "rates must begin with 0"),
        ({"rates": [0.0, 2.0]}, "between 0 and 1"),
        ({"rank": 0}, "rank must lie in"),
        ({"step": 3}, "did you mean 'steps'"),
    ],
)
def test_settings_that_cannot_be(tiny_text, settings, said):
    with pytest.raises(SettingsError, match=said):
        learn(told(5), backbone=str(tiny_text), level={"name": "lora", **settings})


def test_what_cannot_be_tuned_or_refused(tiny_text):
    with pytest.raises(SettingsError, match="abstain needs features that have not seen the support"):
        learn(told(5), backbone=str(tiny_text), level="lora", abstain=0.2)
    with pytest.raises(SettingsError, match="nothing to train"):
        learn(told(5), backbone="ngrams", level="lora")
