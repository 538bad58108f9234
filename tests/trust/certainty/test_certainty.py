"""What is promised, and how it is kept."""

from __future__ import annotations

import numpy as np
import pytest

from acclimate.errors import SettingsError
from acclimate.trust.certainty.certainty import Certainty, coverage, judge
from acclimate.trust.certainty.overlap import fit

RNG = np.random.default_rng(0)


def judged(
    shift: float = 0.0, n: int = 400, own_labels: bool = False, compared: bool = True, merged: bool = False
) -> Certainty:
    held, target = RNG.normal(size=(n, 2)), RNG.normal([shift, 0], size=(900, 2))
    return judge(
        strangeness=RNG.uniform(size=n),
        confidence=RNG.uniform(0.5, 1, n),
        wrong=RNG.random(n) < 0.1,
        overlap=fit(held, target) if compared else None,
        target_rows=900,
        own_labels=own_labels,
        merged=merged,
        bank=RNG.normal(size=(300, 2)),
        held=held,
    )


@pytest.mark.parametrize(
    ("given", "promise", "why"),
    [
        ({"n": 20}, "refused", "20 held-out"),
        ({"own_labels": True}, "exchangeable", "of the target itself"),
        ({"shift": 8.0, "own_labels": True}, "exchangeable", "of the target itself"),
        ({"compared": False}, "untested", "could not be compared"),
        ({}, "exchangeable", "no classifier"),
        ({"merged": True}, "untested", "brings the two together"),
        ({"merged": True, "own_labels": True}, "exchangeable", "of the target itself"),
        ({"merged": True, "shift": 0.7}, "untested", "), and the method brings the two together"),
        ({"merged": True, "shift": 6.0}, "refused", "differ"),
        ({"shift": 0.7}, "weighted", "are worth"),
        ({"shift": 6.0}, "refused", "differ"),
    ],
)
def test_what_is_promised(given: dict[str, float], promise: str, why: str) -> None:
    found = judged(**given)  # type: ignore[arg-type]
    assert found.promise == promise and why in found.why


def test_a_certainty_is_the_same_from_disk(tmp_path) -> None:
    before = judged(0.7)
    before.write(tmp_path)
    after = Certainty.load(tmp_path)
    assert after is not None and after.why == before.why
    rows = RNG.normal(size=(50, 2)).astype(np.float32)
    assert (after.bounds(0.9, rows, 50) == before.bounds(0.9, rows, 50)).all()
    assert (after.in_place(rows) == before.in_place(rows)).all()
    assert Certainty.load(tmp_path / "none") is None


def test_rows_that_are_out_of_place_are_known_and_not_answered() -> None:
    found = judged(own_labels=True)
    found = Certainty(**{**vars(found), "bank": np.tile([1.0, 0.0], (300, 1)), "far": np.linspace(0, 0.5, 400)})
    rows = np.array([[1.0, 0.0], [-1.0, 0.0]])
    assert found.in_place(rows)[0] > 0.99 and found.in_place(rows)[1] == pytest.approx(1 / 401)
    assert found.answered(np.ones(2), 0.3, rows).tolist() == [True, False]
    assert found.answered(np.ones(2), 0.3).tolist() == [True, True]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda c: c.bounds(1.5, None, 3), "between 0 and 1"),
        (lambda c: c.bounds(0.999, None, 3), "need 999 held-out labelled rows, and there are 400"),
        (lambda c: c.answered(np.ones(3), 0.0), "between 0 and 1"),
        (lambda c: Certainty(**{**vars(c), "confidence": np.empty(0)}).answered(np.ones(3), 0.1), "--sets"),
        (lambda c: Certainty(**{**vars(c), "promise": "refused"}).bounds(0.9, None, 3), "no sets"),
        (lambda c: Certainty(**{**vars(c), "promise": "refused"}).answered(np.ones(3), 0.1), "cannot abstain"),
    ],
)
def test_what_is_refused(ask, said) -> None:
    with pytest.raises(SettingsError, match=said):
        ask(judged(own_labels=True))


def test_coverage_by_hand() -> None:
    found = coverage(np.array([True] * 9 + [False]), np.full(10, 1.5))
    assert found["coverage"] == 0.9 and found["size"] == 1.5
    assert found["interval"] == pytest.approx([0.555, 0.9975], abs=1e-3)  # Clopper-Pearson of 9 in 10
    assert coverage(np.ones(4, dtype=bool), np.array([1.0, np.inf, 1, 1]))["size"] is None
