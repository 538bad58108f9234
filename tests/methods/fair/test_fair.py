"""Methods against unfairness: a source on which plain training is unfair, and what each of them mends."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

import acclimate as ac
from acclimate.errors import SettingsError
from acclimate.methods.fair.adversarial_debiasing import group_loss
from acclimate.methods.fair.groups import balanced, codes, reweighing

COMMON = {"input": ["x", "clue"], "label": "label", "sensitive": "sex", "plain_baseline": False}


def spurious(n: int, seed: int) -> pd.DataFrame:
    """``x`` tells the label, noisily; ``clue`` tells it better in group a, and the opposite in group b, one in 20."""
    rng = np.random.default_rng(seed)
    b, yes = rng.random(n) < 0.05, rng.random(n) < 0.5
    sign = np.where(yes, 1.0, -1.0)
    clue = np.where(b, -sign, sign) + rng.normal(0, 0.3, n)
    return frame(sign + rng.normal(0, 0.8, n), clue, b, yes)


def associated(n: int, seed: int) -> pd.DataFrame:
    """``x`` tells the label, noisily; ``clue`` tells the group, and group b has the label yes less often."""
    rng = np.random.default_rng(seed)
    b = rng.random(n) < 0.5
    yes = rng.random(n) < np.where(b, 0.2, 0.8)
    return frame(np.where(yes, 1.0, -1.0) + rng.normal(0, 1.5, n), np.where(b, 1, -1) + rng.normal(0, 0.3, n), b, yes)


def frame(x, clue, b, yes) -> pd.DataFrame:
    return pd.DataFrame({"x": x, "clue": clue, "sex": np.where(b, "b", "a"), "label": np.where(yes, "yes", "no")})


@cache
def trained(method: str, rows, backbone: str = "columns", seed: int = 0, **_: object):
    settings = {
        "groupdro": {"groups": "sensitive", "rate": 0.1},
        "adversarial_debiasing": {"strength": 3.0, "hidden": 16},
    }.get(method, {})
    training = {"steps": 300, "batch_size": 64, "learning_rate": 0.01, "weight_decay": 0.0}
    return ac.adapt(
        rows(4000, 0), method={"name": method, **settings}, backbone=backbone, training=training, seed=seed, **COMMON
    )


def rates(run, rows, arm: str) -> tuple[float, float]:
    """Accuracy of the worst group, and the gap of selection rates, on new rows."""
    new = rows(2000, 1)
    said = run.arm(arm).predict(new)["prediction"]
    right = (said == new["label"]).groupby(new["sex"]).mean()
    chosen = (said == "yes").groupby(new["sex"]).mean()
    return float(right.min()), float(chosen.max() - chosen.min())


@pytest.mark.parametrize(("method", "backbone"), [("groupdro", "mlp"), ("dfr", "columns"), ("dfr", "mlp")])
def test_the_worst_group_gains_where_a_clue_fails_it(method, backbone):
    run = trained(method, spurious, backbone)
    before, after = (rates(run, spurious, arm)[0] for arm in ("source_only", method))
    assert before < 0.6
    assert after > before + 0.15 and after > 0.7


@pytest.mark.parametrize(
    ("method", "backbone"), [("reweighing", "columns"), ("reweighing", "mlp"), ("adversarial_debiasing", "mlp")]
)
def test_groups_are_chosen_alike_where_label_and_group_go_together(method, backbone):
    run = trained(method, associated, backbone)
    before, after = rates(run, associated, "source_only")[1], rates(run, associated, method)[1]
    assert before > 0.6
    assert after < 0.7 * before


@pytest.mark.parametrize("method", ["reweighing", "adversarial_debiasing"])
@pytest.mark.parametrize("backbone", ["columns", "mlp"])
def test_strength_0_trains_like_source_only(method, backbone, tmp_path):
    if (method, backbone) == ("adversarial_debiasing", "columns"):
        pytest.skip("frozen columns get a bottleneck, which source_only has none of")
    run = ac.adapt(
        associated(100, 0), method={"name": method, "strength": 0.0}, backbone=backbone, training={"steps": 8},
        out=tmp_path / "run", **COMMON,
    )  # fmt: skip
    weights = [
        (run.folder / "arms" / arm / "model/weights.safetensors").read_bytes() for arm in (method, "source_only")
    ]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("method", ["reweighing", "dfr", "adversarial_debiasing", "groupdro"])
def test_bits_depend_on_content_alone(method, tmp_path):
    rows, settings = spurious(80, 0), {"groups": "sensitive"} if method == "groupdro" else {}
    found = []
    for k, given in enumerate((rows, rows.iloc[::-1])):
        run = ac.adapt(
            given, method={"name": method, **settings}, backbone="mlp", training={"steps": 6}, out=tmp_path / f"{k}",
            **COMMON,
        )  # fmt: skip
        found.append((run.folder / "arms" / method / "model/weights.safetensors").read_bytes())
    assert found[0] == found[1]


@pytest.mark.parametrize("method", ["reweighing", "dfr", "adversarial_debiasing"])
def test_groups_must_be_named(method, tmp_path):
    with pytest.raises(SettingsError, match="name their columns with --sensitive"):
        ac.adapt(spurious(60, 0), method=method, out=tmp_path / "run", **{**COMMON, "sensitive": ()})


def test_the_worst_group_decides_and_keeps(tmp_path):
    """On held-out rows most are of group a, so that plain evidence has no reason to adapt."""
    options = {"method": {"name": "dfr"}, "backbone": "columns", "validation": 0.4, **COMMON}
    run = ac.adapt(spurious(1200, 0), choose="worst_group", out=tmp_path / "run", **options)
    assert run.decision == "adapt" and run.reasons[0].startswith("worst group on held-out source rows: dfr")
    with pytest.raises(SettingsError, match="worst_group"):
        ac.adapt(spurious(60, 0), training={"keep": "worst_group"}, backbone="mlp", **{**COMMON, "sensitive": ()})


def test_weights_by_hand():
    groups, labels = np.array(["a", "a", "a", "b"]), np.array(["y", "y", "n", "n"])
    # P(a) P(y) / P(a, y) = 3/4 * 2/4 / (2/4); (a, n): 3/4 * 2/4 / (1/4); (b, n): 1/4 * 2/4 / (1/4)
    assert reweighing(groups, labels) == pytest.approx([0.75, 0.75, 1.5, 0.5])
    assert balanced(groups) == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])
    domain = ac.read(spurious(40, 0), input=["x"], label="label", sensitive=["sex"])
    assert len(np.unique(codes(domain))) == 2 and len(np.unique(codes(domain, by_label=True))) == 4


def test_the_adversary_s_loss_by_hand():
    """Two rows of one group and one of the other: each group weighs a half."""
    logits = torch.tensor([[0.0, 0.0], [0.0, 0.0], [2.0, 0.0]])
    expected = (np.log(2) + np.log1p(np.exp(2.0))) / 2
    assert group_loss(logits, torch.tensor([0, 0, 1])).item() == pytest.approx(expected, abs=1e-6)
