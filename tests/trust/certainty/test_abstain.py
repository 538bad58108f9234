"""Answering only what is sure enough."""

from __future__ import annotations

import numpy as np
import pytest

from acclimate.trust.certainty.abstain import _upper, confidence_bar, least_rate


def test_the_bound_by_hand() -> None:
    """No error in n rows: 1 - delta^(1/n); weights of one row count as one row."""
    right = np.zeros(20, dtype=bool)
    assert _upper(right, np.ones(20), 0.05) == pytest.approx(1 - 0.05 ** (1 / 20))
    assert _upper(right[:2], np.array([1.0, 1e-9]), 0.05) == pytest.approx(0.95, abs=1e-3)
    assert _upper(~right, np.ones(20), 0.05) == 1.0


def test_only_the_sure_part_is_answered() -> None:
    confidence = np.linspace(1, 0.5, 1000)
    wrong = np.arange(1000) >= 600  # from there on every answer is wrong
    bar = confidence_bar(confidence, wrong, 0.1)
    assert bar is not None
    answered = (confidence >= bar).sum()
    assert 580 < answered < 660
    assert confidence_bar(confidence, np.ones(1000, dtype=bool), 0.1) is None
    assert confidence_bar(confidence[:20], wrong[:20], 0.01) is None  # 20 right answers are no proof of 1 %
    assert confidence_bar(np.empty(0), np.empty(0, dtype=bool), 0.1) is None


def test_no_rate_below_the_least_can_be_kept() -> None:
    """20 right answers, the surest first, then 20 wrong ones: the first 20 bound the error best."""
    confidence, wrong = np.linspace(1, 0.5, 40), np.arange(40) >= 20
    least = least_rate(confidence, wrong, np.ones(40))
    assert least == pytest.approx(1 - (0.05 / 6) ** (1 / 20))
    assert confidence_bar(confidence, wrong, least - 1e-3) is None


def test_equal_confidence_is_answered_together() -> None:
    confidence = np.repeat([0.9, 0.6], 200)
    wrong = np.concatenate([np.zeros(200), np.tile([0, 1], 100)]).astype(bool)
    assert confidence_bar(confidence, wrong, 0.05) == 0.9


def test_the_rate_is_kept() -> None:
    """New rows like the held-out ones: the error exceeds the rate in fewer than delta of the draws."""
    rng = np.random.default_rng(0)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        confidence = rng.uniform(0.5, 1, n)
        return confidence, rng.random(n) > confidence

    exceeded = 0
    for _ in range(100):
        bar = confidence_bar(*draw(300), 0.15)
        confidence, wrong = draw(4000)
        exceeded += bar is not None and wrong[confidence >= bar].mean() > 0.15
    assert exceeded <= 10
