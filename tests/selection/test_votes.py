"""Votes: whom the other arms side with where two differ, and what the decision makes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from acclimate.selection.bootstrap import Difference
from acclimate.selection.decision import decide
from acclimate.selection.evidence import ArmEvidence, Validation
from acclimate.selection.votes import Votes, votes
from acclimate.tasks.classify import Classify

ANSWERS = np.eye(3)


def test_only_rows_on_which_the_two_differ_are_counted():
    adapted, source = ANSWERS[[0, 1, 2, 2, 1]], ANSWERS[[0, 0, 0, 2, 0]]  # they differ on rows 1, 2 and 4
    others = [ANSWERS[[1, 1, 2, 0, 0]], ANSWERS[[2, 1, 1, 1, 2]]]
    found = votes(adapted, source, others)
    assert found == Votes(3, adapted=3 / 6, source_only=1 / 6, voters=2)
    assert found.margin == pytest.approx(1 / 3)


def test_two_that_never_differ_leave_nothing_to_vote_on():
    assert votes(ANSWERS, ANSWERS, [ANSWERS[::-1]]) == Votes(0, 0.0, 0.0, 1)


def evidence(accuracy, polled=None):
    """An arm with this accuracy on the source, where a constant gets 0.5."""
    source = Validation({"accuracy": accuracy}, (accuracy - 0.02, accuracy + 0.02), 0.5)
    return ArmEvidence(source, infomax=0.1, agreement=0.9, atc=0.8, votes=polled)


@pytest.mark.parametrize(("margin", "choice"), [(0.01, "adapt"), (0.0, "keep_source"), (-0.01, "keep_source")])
def test_the_vote_decides_whatever_was_forgotten_of_the_source(margin, choice):
    polled = Votes(100, adapted=0.4 + margin, source_only=0.4, voters=7)
    arms = {"auto": evidence(0.7, polled), "source_only": evidence(0.95)}
    found = decide(Classify(("a", "b")), arms, "auto", "source_only")
    assert found.choice == choice
    assert "100 rows where the two differ" in found.reasons[1]
    without = decide(Classify(("a", "b")), {**arms, "auto": evidence(0.7)}, "auto", "source_only")
    assert without.choice == "keep_source" and "forgot the source" in without.reasons[0]


@pytest.mark.parametrize(
    ("low", "high", "choice"), [(0.01, 0.2, "adapt"), (-0.2, -0.01, "keep_source"), (-0.1, 0.3, "adapt")]
)
def test_a_few_labels_overrule_the_vote_where_they_can_tell(low, high, choice):
    polled = Votes(100, adapted=0.6, source_only=0.3, voters=7)
    auto = replace(evidence(0.9, polled), target=evidence(0.9).source, against=Difference((low + high) / 2, low, high))
    found = decide(Classify(("a", "b")), {"auto": auto, "source_only": evidence(0.95)}, "auto", "source_only")
    assert found.choice == choice
    assert any("too few to overrule" in reason for reason in found.reasons) == (low < 0 < high)


def test_without_an_interval_a_few_labels_are_told_and_no_more():
    polled = Votes(100, adapted=0.3, source_only=0.6, voters=7)
    auto = replace(evidence(0.9, polled), target=evidence(0.9).source, against=Difference(0.5, None, None))
    found = decide(Classify(("a", "b")), {"auto": auto, "source_only": evidence(0.95)}, "auto", "source_only")
    assert found.choice == "keep_source"
    assert "+0.5: too few" in found.reasons[-1]


def test_two_that_answer_alike_keep_the_source_model():
    arms = {"auto": evidence(0.9, Votes(0, 0.0, 0.0, 7)), "source_only": evidence(0.9)}
    found = decide(Classify(("a", "b")), arms, "auto", "source_only")
    assert found.choice == "keep_source" and "answer alike" in found.reasons[0]
