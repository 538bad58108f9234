from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from acclimate.errors import DataError, SettingsError
from acclimate.runs.few_shot.classifier import candidates, choose, fit
from acclimate.runs.few_shot.held_out import HeldOut

NAMES = ("a", "b", "c", "d")


def right(said: np.ndarray, targets: Tensor) -> float:
    return float((said.argmax(1) == targets.numpy()).mean())


def loss(said: np.ndarray, targets: Tensor) -> float:
    return float(F.nll_loss(torch.from_numpy(said).log(), targets))


def test_held_out_rows_choose_more_than_prototypes_where_that_is_needed(askew):
    plain, chosen, levels = [], [], set()
    for seed in range(8):
        support, targets = askew(10, seed)
        query, answers = askew(50, seed)
        classifier = fit(support, targets, NAMES[:2])
        levels.add(classifier.level.name)
        chosen.append(right(classifier.say(query).probabilities, answers))
        plain.append(right(fit(support, targets, NAMES[:2], level="prototypes").say(query).probabilities, answers))
    assert np.mean(chosen) > np.mean(plain) + 0.1
    assert levels & {"probe", "adapter"}


def test_ties_go_to_the_simplest_level():
    draw = np.random.default_rng(0)
    logits, targets = draw.normal(size=(12, 2)), np.tile([0, 1], 6)
    logits[np.arange(12), targets] += 1.5
    same = HeldOut(logits, targets, np.arange(12))
    luckier = replace(same, logits=logits + 0.05 * draw.normal(size=(12, 2)))
    better = replace(same, logits=np.eye(2)[targets] * 5.0)
    worse = replace(same, logits=-logits)
    assert choose([same, same]) == 0
    assert choose([same, luckier]) == 0
    assert choose([same, luckier, better]) == 2
    assert choose([same, worse]) == 0


def test_calibration_makes_probabilities_fit(clusters):
    sure = {"name": "prototypes", "scale": 60.0}
    calibrated, raw = [], []
    for seed in range(10):
        support, targets = clusters(5, seed=seed, spread=2.0)
        query, answers = clusters(30, seed=seed, spread=2.0)
        classifier = fit(support, targets, NAMES, level=sure)
        assert classifier.temperature > 1.5
        calibrated.append(loss(classifier.say(query).probabilities, answers))
        raw.append(loss(replace(classifier, temperature=1.0).say(query).probabilities, answers))
    assert np.mean(calibrated) < 0.6 * np.mean(raw)


def test_an_answer_depends_on_its_own_row_alone(clusters):
    support, targets = clusters(5)
    query, _ = clusters(4, seed=1)
    classifier = fit(support, targets, NAMES, abstain=0.1)
    whole, first = classifier.say(query), classifier.say(query[:1])
    np.testing.assert_allclose(first.probabilities[0], whole.probabilities[0], atol=1e-5)
    assert first.p_values[0] == whole.p_values[0]


def test_the_same_seed_gives_the_same_bits(clusters):
    support, targets = clusters(5)
    query, _ = clusters(4, seed=1)
    one, two = (fit(support, targets, NAMES, abstain=0.1, seed=3) for _ in range(2))
    assert one.report == two.report
    assert np.array_equal(one.say(query).probabilities, two.say(query).probabilities)


def test_one_row_a_class(clusters):
    support, targets = clusters(1, spread=0.5)
    query, answers = clusters(20, seed=1, spread=0.5)
    classifier = fit(support, targets, NAMES)
    assert classifier.level.name == "prototypes"
    assert classifier.temperature == 1.0
    assert classifier.report["held_out"] is None
    assert "one row a class" in classifier.report["warnings"][0]
    assert right(classifier.say(query).probabilities, answers) > 0.8


def test_a_class_with_one_row_beside_others(clusters):
    support, targets = clusters(5)
    kept = torch.tensor([*range(15), 15])
    classifier = fit(support[kept], targets[kept], NAMES)
    assert classifier.report["held_out"]["rows"] == 15
    assert classifier.report["classes"] == {"a": 5, "b": 5, "c": 5, "d": 1}
    assert "only one row of d" in classifier.report["warnings"][0]
    query, answers = clusters(20, seed=1)
    assert right(classifier.say(query[60:]).probabilities, answers[60:]) > 0.5


def test_labels_that_say_nothing_are_warned_of(clusters):
    support, targets = clusters(5)
    order = torch.from_numpy(np.random.default_rng(0).permutation(20))
    warnings = fit(support, targets[order], NAMES).report["warnings"]
    assert any("better than always the same one (0.25)" in warning for warning in warnings)
    assert fit(support, targets, NAMES).report["warnings"] == []


def test_what_is_named_is_not_searched():
    assert len(candidates("probe")) > 1
    assert [level.penalty for level in candidates({"name": "probe", "penalty": 0.5})] == [0.5]
    names = [level.name for level in candidates("auto")]
    assert names[0] == "prototypes"
    assert {"adapter", "probe"} <= set(names)


@pytest.mark.parametrize(
    ("level", "said"),
    [
        ("prob", "did you mean 'probe'"),
        ({"name": "probe", "penalti": 1}, "did you mean 'penalty'"),
        ({"name": "probe", "penalty": -1}, "penalty must lie in"),
        ({"penalty": 1}, "auto has no settings"),
    ],
)
def test_levels_that_cannot_be(clusters, level, said):
    with pytest.raises(SettingsError, match=said):
        fit(*clusters(5), NAMES, level=level)


def test_features_that_cannot_be(clusters):
    support, targets = clusters(5)
    classifier = fit(support, targets, NAMES)
    with pytest.raises(DataError, match="15 features, and the support has 16"):
        classifier.say(support[:, 1:])
    broken = support.clone()
    broken[2, 3] = float("nan")
    with pytest.raises(DataError, match=r"1 of 20 query rows .* not numbers \(the first is 3\)"):
        classifier.say(broken)
    with pytest.raises(DataError, match="support rows have features that are not numbers"):
        fit(broken, targets, NAMES)
    with pytest.raises(DataError, match=r"only one class \('a'\)"):
        fit(support[:5], targets[:5], NAMES[:1])


@pytest.mark.parametrize("name", ["tim", "pt_map", "laplacian_shot"])
@pytest.mark.parametrize("balanced", [True, False])
def test_transductive_levels_learn_from_the_rows_that_are_asked_together(clusters, name, balanced):
    plain, together = [], []
    for seed in range(12):
        support, targets = clusters(2, seed=seed, spread=1.6)
        query, answers = clusters(30, seed=seed, spread=1.6)
        classifier = fit(support, targets, NAMES, level={"name": name, "balanced": balanced})
        together.append(right(classifier.say(query).probabilities, answers))
        plain.append(right(fit(support, targets, NAMES, level="prototypes").say(query).probabilities, answers))
    assert np.mean(together) > np.mean(plain) + 0.015


def test_a_transductive_level_is_calibrated_with_the_rows_that_are_asked(clusters):
    losses, raw = [], []
    for seed in range(8):
        support, targets = clusters(5, seed=seed, spread=1.4)
        query, answers = clusters(20, seed=seed, spread=1.4)
        classifier = fit(support, targets, NAMES, level="tim")
        assert classifier.temperature is None
        assert classifier.report["held_out"] is None
        said = classifier.say(query)
        assert said.held_out["rows"] == 20
        assert 0.3 < said.held_out["accuracy"] <= 1
        losses.append(loss(said.probabilities, answers))
        raw.append(loss(replace(classifier, temperature=1.0).say(query).probabilities, answers))
    assert np.mean(losses) < np.mean(raw)


def test_one_row_a_class_and_rows_asked_together(clusters):
    support, targets = clusters(1, spread=0.5)
    query, answers = clusters(20, seed=1, spread=0.5)
    classifier = fit(support, targets, NAMES, level="tim")
    assert classifier.temperature == 1.0
    assert right(classifier.say(query).probabilities, answers) > 0.8
    assert "an answer depends on the others" in classifier.report["warnings"][1]


def test_too_many_rows_to_be_asked_together(clusters, monkeypatch):
    monkeypatch.setattr("acclimate.runs.few_shot.classifier.TOGETHER", 79)
    classifier = fit(*clusters(5), NAMES, level="tim")
    with pytest.raises(SettingsError, match="at most 79; found 80"):
        classifier.say(clusters(20)[0])
