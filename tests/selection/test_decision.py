"""Each branch of the rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from acclimate.selection.bootstrap import Difference
from acclimate.selection.decision import Decision, decide
from acclimate.selection.evidence import ArmEvidence, Validation
from acclimate.tasks.base import Task
from acclimate.tasks.classify import Classify
from acclimate.tasks.regress import Regress

CLASSIFY, REGRESS = Classify(("a", "b")), Regress()


def accuracy(value: float, constant: float = 0.5, half: float = 0.04) -> Validation:
    return Validation({"accuracy": value}, (value - half, value + half), constant)


GOOD = {
    "dann": ArmEvidence(accuracy(0.89), infomax=0.60, agreement=0.95, atc=0.82),
    "source_only": ArmEvidence(accuracy(0.90), infomax=0.50, agreement=0.93, atc=0.80),
    "plain": ArmEvidence(accuracy(0.80), infomax=0.40, agreement=0.85, atc=0.70),
}


def choose(task: Task = CLASSIFY, **changes: Mapping[str, object]) -> Decision:
    """The decision on GOOD with some evidence changed."""
    arms = {name: replace(arm, **changes.get(name, {})) for name, arm in GOOD.items()}
    return decide(task, arms, "dann", "source_only", ("plain",))


def test_adapt_if_more_scores_are_won() -> None:
    found = choose()
    assert (found.choice, found.arm) == ("adapt", "dann")
    assert found.reasons == (
        "dann wins more label-free scores than it loses",
        "InfoMax: dann 0.6, source_only 0.5",
        "agreement with the mean of all arms: dann 0.95, source_only 0.93",
        "average thresholded confidence: dann 0.82, source_only 0.8",
    )


def test_keep_the_source_if_more_scores_are_lost() -> None:
    found = choose(dann={"agreement": 0.90, "atc": 0.75})
    assert (found.choice, found.arm) == ("keep_source", "source_only")
    assert found.reasons[0] == "dann wins no more label-free scores than it loses"


def test_keep_the_source_on_a_draw_and_without_scores() -> None:
    assert choose(dann={"agreement": 0.90, "atc": None}).choice == "keep_source"
    assert choose(dann={"infomax": None, "agreement": None, "atc": None}).choice == "keep_source"


def test_a_hair_is_no_win() -> None:
    assert choose(dann={"infomax": 0.504, "agreement": 0.934, "atc": 0.804}).choice == "keep_source"


def test_keep_the_source_if_only_the_adapted_answers_collapse() -> None:
    found = choose(dann={"collapse": ("all are a",)})
    assert found == Decision("keep_source", "source_only", ("dann collapses on the target: all are a",))


def test_keep_the_source_if_adapting_lost_a_class() -> None:
    lost = {"b": "class 'b' has 50% of the source and 1% of the answers"}
    found = choose(dann={"vanished": lost})
    assert found == Decision("keep_source", "source_only", (f"dann lost a class: {lost['b']}",))
    assert choose(dann={"vanished": lost}, source_only={"vanished": lost}).choice == "adapt"


def test_adapt_if_only_the_source_model_collapses() -> None:
    found = choose(source_only={"collapse": ("all are a",)}, dann={"infomax": 0.1, "agreement": 0.5, "atc": 0.1})
    assert found == Decision("adapt", "dann", ("source_only collapses on the target: all are a",))


def test_do_not_deploy_if_the_source_model_collapses_and_adapting_lost_a_class() -> None:
    lost = {"b": "class 'b' has 50% of the source and 1% of the answers"}
    found = choose(source_only={"collapse": ("all are a",)}, dann={"vanished": lost})
    reasons = ("source_only collapses on the target: all are a", f"dann lost a class: {lost['b']}")
    assert found == Decision("do_not_deploy", "source_only", reasons)


def test_do_not_deploy_if_all_collapse() -> None:
    found = choose(dann={"collapse": ("all are a",)}, source_only={"collapse": ("all are b",)})
    assert (found.choice, found.arm) == ("do_not_deploy", "source_only")
    assert found.reasons[:2] == (
        "dann collapses on the target: all are a",
        "source_only collapses on the target: all are b",
    )


def test_do_not_deploy_if_the_interval_reaches_the_constant_answer() -> None:
    weak = {"source": accuracy(0.53)}
    found = choose(dann=weak, source_only={"source": accuracy(0.52)})
    assert (found.choice, found.arm) == ("do_not_deploy", "source_only")
    assert found.reasons[0] == (
        "dann is not shown to beat a constant answer on the source's validation rows: "
        "accuracy 0.53 (95 % interval 0.49 to 0.57) against 0.5"
    )
    assert choose(dann={"source": accuracy(0.56)}, source_only={"source": accuracy(0.55)}).choice == "adapt"


def test_without_an_interval_the_values_are_compared() -> None:
    better = Validation({"accuracy": 0.6}, None, 0.5)
    worse = Validation({"accuracy": 0.5}, None, 0.5)
    assert choose(dann={"source": better}, source_only={"source": better}).choice == "adapt"
    assert choose(dann={"source": worse}, source_only={"source": worse}).choice == "do_not_deploy"


def test_keep_the_source_if_it_was_forgotten() -> None:
    found = choose(dann={"source": accuracy(0.84, half=0.02)})
    assert found.choice == "keep_source"
    assert found.reasons == ("dann forgot the source: accuracy 0.84 on its validation rows, source_only 0.9",)
    few = [Validation({"accuracy": value}, None, 0.4) for value in (0.5, 1.0)]
    found = choose(dann={"source": few[0]}, source_only={"source": few[1]})
    assert found.choice == "keep_source" and found.reasons[0].endswith("1; the rows are too few for an interval")


def test_forgetting_within_5_points_or_within_the_interval_is_allowed() -> None:
    assert choose(dann={"source": accuracy(0.86, half=0.001)}).choice == "adapt"
    assert choose(dann={"source": accuracy(0.83, half=0.08)}).choice == "adapt"


def test_nothing_adapted() -> None:
    assert decide(CLASSIFY, GOOD, "source_only", "source_only").choice == "keep_source"
    weak = {"source_only": ArmEvidence(accuracy(0.52))}
    assert decide(CLASSIFY, weak, "source_only", "source_only").choice == "do_not_deploy"
    collapsed = {"source_only": ArmEvidence(accuracy(0.9), collapse=("all are a",))}
    assert decide(CLASSIFY, collapsed, "source_only", "source_only").choice == "do_not_deploy"


def test_a_better_plain_baseline_is_mentioned() -> None:
    found = choose(plain={"source": accuracy(0.95)})
    assert found.choice == "adapt"
    assert found.reasons[-1] == (
        "the plain baseline plain is better on the source's validation rows: accuracy 0.95, dann 0.89; its model is "
        "in arms/plain"
    )


@pytest.mark.parametrize(
    ("mine", "other", "choice", "arm", "reason"),
    [
        (0.8, 0.7, "adapt", "dann", "on the target dann is better than source_only: accuracy 0.8 against 0.7"),
        (0.7, 0.8, "keep_source", "source_only", "on the target dann is no better than source_only: accuracy 0.7"),
        (0.52, 0.51, "do_not_deploy", "source_only", "dann is not shown to beat a constant answer on the target's"),
    ],
)
def test_permitted_target_labels_decide(mine: float, other: float, choice: str, arm: str, reason: str) -> None:
    """Against the label-free scores, which favour the other arm each time."""
    found = choose(
        dann={"target": accuracy(mine), "infomax": 1 - mine, "agreement": 1 - mine, "atc": 1 - mine},
        source_only={"target": accuracy(other), "infomax": 0.25, "agreement": 0.25, "atc": 0.25},
    )
    assert (found.choice, found.arm) == (choice, arm)
    assert found.reasons[0].startswith(reason)
    assert found.reasons[1] == "the target labels that were permitted decide, on rows that no arm was trained on"


@pytest.mark.parametrize(
    ("mine", "other", "changes", "choice", "reason"),
    [
        (0.45, 0.15, {}, "do_not_deploy", "dann is worse than a constant answer on the labelled target rows"),
        (0.85, 0.65, {}, "adapt", "on the labelled target rows accuracy of dann minus source_only is +0.2"),
        (0.95, 0.65, {"collapse": ("all are a",)}, "adapt", "on the labelled target rows"),
    ],
)
def test_a_few_labels_overrule_a_collapse_and_forbid_what_is_worse_than_a_constant(
    mine: float, other: float, changes: dict[str, object], choice: str, reason: str
) -> None:
    against = Difference(mine - other, mine - other - 0.05, mine - other + 0.05)
    found = choose(
        dann={"target": accuracy(mine, constant=0.9, half=0.06), "against": against, **changes},
        source_only={"target": accuracy(other, constant=0.9, half=0.06), **changes},
    )
    assert found.choice == choice
    assert found.reasons[0].startswith(reason)
    assert not any("too few" in why for why in found.reasons)


def test_another_label_set_has_no_source_model_to_compare_with() -> None:
    arms = {"finetune": ArmEvidence(None, target=accuracy(0.8)), "source_only": GOOD["source_only"]}
    found = decide(CLASSIFY, arms, "finetune", "source_only")
    assert (found.choice, found.arm) == ("adapt", "finetune")


def error(value: float, half: float = 0.1) -> Validation:
    return Validation({"mae": value}, (value - half, value + half), 4.0)


@pytest.mark.parametrize(
    ("adapted", "source", "agreement", "choice"),
    [
        (2.0, 2.0, 0.99, "adapt"),
        (2.0, 2.0, 0.80, "keep_source"),
        (2.15, 2.0, 0.99, "adapt"),  # 0.15 lost, 5 % of 4.0 are allowed
        (2.35, 2.0, 0.99, "keep_source"),
        (3.95, 3.95, 0.99, "do_not_deploy"),
    ],
)
def test_regression_turns_every_comparison_round(adapted: float, source: float, agreement: float, choice: str) -> None:
    arms = {
        "dann": ArmEvidence(error(adapted), agreement=agreement),
        "source_only": ArmEvidence(error(source), agreement=0.9),
    }
    assert decide(REGRESS, arms, "dann", "source_only").choice == choice


def test_what_is_known_without_the_columns_that_the_target_lacks_must_beat_a_constant_answer() -> None:
    blind, seeing = accuracy(0.52), accuracy(0.62)
    found = choose(dann={"narrowed": blind}, source_only={"narrowed": blind})
    assert (found.choice, found.arm) == ("do_not_deploy", "source_only")
    assert "without the columns that the target lacks: accuracy 0.52" in found.reasons[0]
    assert choose(dann={"narrowed": seeing}, source_only={"narrowed": blind}).choice == "adapt"


def test_labels_that_are_all_the_same_decide_nothing() -> None:
    perfect = accuracy(0.9, constant=1.0)
    found = choose(dann={"target": perfect}, source_only={"target": perfect})
    assert found.choice == "adapt" and found.reasons[:-1] == choose().reasons and "all the same" in found.reasons[-1]
    against = Difference(-0.3, -0.4, -0.2, "")
    assert choose(dann={"target": perfect, "against": against}).choice == "adapt"


def test_without_a_target_the_worst_source_decides() -> None:
    blank = {"infomax": None, "agreement": None, "atc": None}
    better = choose(dann={**blank, "worst": 0.7}, source_only={**blank, "worst": 0.6})
    assert better.choice == "adapt" and better.reasons[0].startswith("on the worst of the sources dann has 0.7, ")
    assert choose(dann={**blank, "worst": 0.6}, source_only={**blank, "worst": 0.7}).choice == "keep_source"


def test_a_plain_baseline_that_is_as_good_and_wins_without_labels_is_remarked() -> None:
    surer = {"source": accuracy(0.89), "infomax": 0.65, "atc": 0.9}
    remark = choose(plain=surer).reasons[-1]
    assert remark.startswith("the plain baseline plain is as good on the source's validation rows: accuracy 0.89")
    assert "InfoMax: plain 0.65, dann 0.6" in remark and remark.endswith("its model is in arms/plain")
    assert choose(plain={**surer, "source": accuracy(0.88)}).reasons == choose().reasons
