"""Several yes-or-no labels: losses and areas by hand and against scikit-learn, blanks that cost nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from acclimate.domains.domain import ArrayRows, Domain, Schema
from acclimate.domains.ids import hash_array
from acclimate.errors import DataError
from acclimate.tasks import registry
from acclimate.tasks.answers import Answers
from acclimate.tasks.classify import Classify
from acclimate.tasks.metrics import weighted_areas
from acclimate.tasks.multilabel import Multilabel


def listed(rows):
    return np.array([json.dumps(row) for row in rows], dtype=object)


def domain_of(rows, label="a|b"):
    values = np.arange(len(rows), dtype=np.float32)[:, None]
    return Domain("d", Schema("array", label=label), ArrayRows(values), hash_array(values), listed(rows))


def test_the_task_is_found_and_named_after_its_columns():
    task = registry.create(None, domain_of([["1", "0"], ["0", None], [None, "1"]]))
    assert task == Multilabel(("a", "b")) and registry.restore(task.config()) == task


def test_blanks_cost_nothing():
    task = Multilabel(("a", "b"))
    targets = task.encode(listed([["1", "0"], ["1", None], [None, None]]))
    logits = torch.tensor([[2.0, 1.0], [2.0, 9.0], [5.0, 5.0]], requires_grad=True)
    loss = task.loss({"logits": logits}, targets)
    first, second = np.log1p(np.exp(-2.0)), np.log1p(np.exp(1.0))
    assert loss.detach().numpy() == pytest.approx([(first + second) / 2, first, 0], abs=1e-6)
    loss.sum().backward()
    assert logits.grad[1, 1] == 0 and logits.grad[2].tolist() == [0, 0] and logits.grad[1, 0] != 0


def test_areas_are_those_of_scikit_learn_with_ties_and_weights():
    rng = np.random.default_rng(0)
    scores, positive, weight = rng.integers(0, 9, 200) / 9, rng.random(200) < 0.3, rng.integers(0, 4, 200)
    found = weighted_areas(scores, positive)
    for given in (None, weight.astype(float)):
        area = found(given)
        assert area["roc_auc"] == pytest.approx(roc_auc_score(positive, scores, sample_weight=given))
        assert area["pr_auc"] == pytest.approx(average_precision_score(positive, scores, sample_weight=given))
    assert found(positive.astype(float)) == {"roc_auc": 0.5, "pr_auc": 1.0}


def test_the_mean_over_labels_is_of_those_that_show_both_answers():
    task = Multilabel(("a", "b", "c"))
    labels = listed([["1", "0", "0"], ["0", None, "0"], ["1", "1", "0"], ["0", "0", None]])
    scores = np.array([[0.9, 0.2, 0.5], [0.1, 0.9, 0.5], [0.3, 0.1, 0.5], [0.4, 0.3, 0.5]])
    found = task.metrics(Answers(labels, probabilities=scores, classes=task.names), labels)
    assert found["roc_auc_a"] == pytest.approx(0.75) and found["roc_auc_b"] == 0
    assert found["roc_auc"] == pytest.approx(0.375) and "roc_auc_c" not in found
    with pytest.raises(DataError, match="no label has both answers"):
        task.metrics(Answers(labels[:1], probabilities=scores[:1], classes=task.names), labels[:1])


def test_answers_are_lists_with_a_probability_each():
    said = Multilabel(("a", "b")).decode({"logits": np.array([[0.0, 3.0], [-800.0, 800.0]])})
    assert said.prediction.tolist() == ["[0, 1]", "[0, 1]"]
    assert said.probabilities == pytest.approx(np.array([[0.5, 1 / (1 + np.exp(-3))], [0, 1]]))


def test_the_convex_head_is_a_regression_for_each_label_on_the_rows_that_know_it():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    known = (x[:, :2] + rng.normal(0, 0.5, (60, 2)) > 0).astype(object)
    known[rng.random((60, 2)) < 0.3] = None
    labels = listed([[None if v is None else str(int(v)) for v in row] for row in known])
    layer = Multilabel(("a", "b")).solve(x, labels, 0.5)
    for k in range(2):
        there = np.array([value is not None for value in known[:, k]])
        plain = LogisticRegression(C=2.0, max_iter=1000).fit(x[there], known[there, k].astype(int))
        assert layer.weight[k].detach().numpy() == pytest.approx(plain.coef_[0], abs=1e-4)


@pytest.mark.parametrize(("rows", "text"), [
    ([["1", "0"], ["0", "2"]], "row 2 has"), ([["1", "0"], ["0"]], "row 2 has 1 answers, expected 2"),
    ([["1", "0"], ["0", "0"]], "label 'b' is always 0"), ([["1", None], ["0", None]], "label 'b' is never known"),
])  # fmt: skip
def test_what_is_refused(rows, text):
    with pytest.raises(DataError, match=text):
        Multilabel.from_domain(domain_of(rows))


def test_columns_in_another_order_are_refused():
    task, rows = Multilabel(("a", "b")), [["1", "0"], ["0", "1"]]
    task.check(domain_of(rows), learned=False)
    task.check(domain_of(rows, "answers"), learned=False)  # one column of lists names none
    for label in ("b|a", "a|c", "a|b|c"):
        told = ", ".join(label.split("|"))
        with pytest.raises(DataError, match=f"the label columns are {told}, and the model answers a, b"):
            task.check(domain_of(rows, label), learned=False)
    Multilabel(("label 1", "label 2")).check(domain_of(rows, "b|a"), learned=False)


def test_two_classes_have_areas_too():
    rng = np.random.default_rng(1)
    labels = np.array(["no", "yes"], dtype=object)[rng.integers(0, 2, 50)]
    p = rng.random(50)
    said = Answers(np.where(p > 0.5, "yes", "no").astype(object), probabilities=np.stack([1 - p, p], axis=1))
    found = Classify(("no", "yes")).metrics(said, labels)
    assert found["roc_auc"] == pytest.approx(roc_auc_score(labels == "yes", p))
    assert found["pr_auc"] == pytest.approx(average_precision_score(labels == "yes", p))
    three = Answers(said.prediction, probabilities=np.stack([1 - p, p, 0 * p], axis=1))
    assert "roc_auc" not in Classify(("no", "yes", "z")).metrics(three, labels)
