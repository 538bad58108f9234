from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

import acclimate as ac
from acclimate.domains.sample import handwritten_digits, toy_shift
from acclimate.errors import DataError, SettingsError

QUICK = {"steps": 50, "learning_rate": 0.03}
CHECKED = [
    ac.Adapter(method="source_only", training=QUICK),
    ac.Adapter(method="source_only", training=QUICK, task="regress"),
]


@parametrize_with_checks(CHECKED)
def test_scikit_learn_checks(estimator: ac.Adapter, check: Any) -> None:
    check(estimator)


def numbers(domain: ac.Domain) -> np.ndarray:
    return domain.rows.take(np.arange(len(domain)))


@pytest.fixture(scope="module")
def shift() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    source, target, answers = toy_shift(400, seed=1)
    assert source.labels is not None
    return numbers(source), source.labels.astype(int), numbers(target), answers.astype(int)


DANN = ac.Adapter(
    method={"name": "dann", "hidden": 32},
    backbone={"name": "mlp", "hidden": [32, 32]},
    training={"epochs": 120, "batch_size": 64, "learning_rate": 3e-3, "schedule": "constant"},
)


def test_adapting_helps_where_a_clue_moved(shift: tuple[np.ndarray, ...]) -> None:
    X, y, X_target, y_target = shift
    plain = clone(DANN).set_params(method="source_only").fit(X, y)
    adapted = clone(DANN).fit(X, y, X_target=X_target)
    assert plain.score(X, y) > 0.97
    assert plain.score(X_target, y_target) < 0.7
    assert adapted.decision_ == "adapt"
    assert adapted.score(X_target, y_target) > 0.9
    assert [row["name"] for row in adapted.result_["arms"]] == ["source_only", "dann"]


def test_a_decision_against_adapting_is_heeded_and_said(shift: tuple[np.ndarray, ...]) -> None:
    X, y, X_target, _ = shift
    powerless = clone(DANN).set_params(method={"name": "dann", "strength": 0.0})
    with pytest.warns(UserWarning, match="do_not_deploy .*collapses on the target.*predictions come from source_only"):
        heeding = clone(powerless).fit(X, y, X_target=X_target)
    with pytest.warns(UserWarning, match="predictions come from dann"):
        stubborn = clone(powerless).set_params(heed_decision=False).fit(X, y, X_target=X_target)
    assert [a._predictor.origin["arm"] for a in (heeding, stubborn)] == ["source_only", "dann"]
    plain = clone(powerless).set_params(method="source_only").fit(X, y)
    np.testing.assert_array_equal(heeding.predict_proba(X_target), plain.predict_proba(X_target))


def test_predict_proba_transform_and_score_fit_together(shift: tuple[np.ndarray, ...]) -> None:
    X, y, _, _ = shift
    words = np.array(["no", "Yes"])[y]  # sorts as Yes, no
    adapter = ac.Adapter(backbone={"name": "mlp", "hidden": [7]}).fit(X, words)
    assert adapter.classes_.tolist() == ["Yes", "no"]
    probabilities = adapter.predict_proba(X)
    np.testing.assert_array_equal(adapter.classes_[probabilities.argmax(1)], adapter.predict(X))
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    assert adapter.score(X, words) == (adapter.predict(X) == words).mean() > 0.97
    features = adapter.transform(X)
    assert features.shape == (400, 7)
    layer = adapter._predictor._model.head
    logits = features @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    np.testing.assert_array_equal(logits.argmax(1), probabilities.argmax(1))


def test_target_labels_are_used_where_given(shift: tuple[np.ndarray, ...]) -> None:
    X, y, X_target, y_target = shift
    adapter = ac.Adapter(method="joint", heed_decision=False).fit(X, y, X_target[:80], y_target[:80])
    assert adapter.result_["setting"] == "inductive"
    assert adapter.result_["permission"] == "label"
    assert adapter.score(X_target[80:], y_target[80:]) > 0.95


def test_a_method_that_lacks_labels_names_those_that_would_work(shift: tuple[np.ndarray, ...]) -> None:
    X, y, X_target, _ = shift
    with pytest.raises(SettingsError, match=r"needs target labels.*would work: source_only, dann"):
        ac.Adapter(method="finetune").fit(X, y, X_target)


def test_regression_and_pickle() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    y = 100 + 20 * X[:, 0]
    adapter = ac.Adapter(task="regress").fit(X, y)
    assert adapter.score(X, y) > 0.95
    assert not hasattr(adapter, "predict_proba")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(adapter)).predict(X), adapter.predict(X))


def test_tables_with_gaps_and_categories() -> None:
    rng = np.random.default_rng(0)
    colours = rng.choice(["red", "blue", "green"], size=300)
    frame = pd.DataFrame({"colour": colours, "size": np.where(rng.random(300) < 0.2, np.nan, rng.normal(size=300))})
    adapter = ac.Adapter().fit(frame, colours == "red")
    assert adapter.classes_.tolist() == [False, True]
    assert adapter.score(frame, colours == "red") == 1.0
    unseen = pd.DataFrame({"colour": ["violet", None], "size": [0.0, np.nan]})
    assert adapter.predict(unseen).shape == (2,)
    with pytest.raises(ValueError, match="feature names"):
        adapter.predict(frame.rename(columns={"size": "weight"}))


def test_a_frame_of_numbers_and_an_array_give_the_same_model(shift: tuple[np.ndarray, ...]) -> None:
    X, y, X_target, _ = shift
    one = ac.Adapter(training=QUICK).fit(X, y)
    two = ac.Adapter(training=QUICK).fit(pd.DataFrame(X, columns=["a", "b"]), y)
    np.testing.assert_array_equal(
        one.predict_proba(X_target), two.predict_proba(pd.DataFrame(X_target, columns=["a", "b"]))
    )


def test_texts_with_ngrams() -> None:
    texts = [f"a {word} film number {k}" for k in range(60) for word in ("fine", "dull")]
    labels = ["good", "bad"] * 60
    adapter = ac.Adapter("source_only", "ngrams", "frozen").fit(texts, labels)
    assert adapter.predict(pd.Series(["a fine day", "a dull day"])).tolist() == ["good", "bad"]
    with pytest.raises(DataError, match="fitted on text inputs, found array"):
        adapter.predict([[1.0, 2.0]])


def test_images_with_a_small_network() -> None:
    digits = handwritten_digits()
    assert digits.labels is not None
    images = np.stack(digits.rows.take(np.arange(400)))
    labels = digits.labels[:400].astype(int)
    adapter = ac.Adapter("source_only", "small_cnn", training={"epochs": 8})
    assert adapter.fit(images, labels).score(images, labels) > 0.9
    assert adapter.transform(images[:5]).shape == (5, adapter._predictor.width)


def test_sparse_input_and_its_dense_twin(shift: tuple[np.ndarray, ...]) -> None:
    X, y, _, _ = shift
    counts = sparse.csr_array(np.round(np.abs(X) * 3))
    adapter = ac.Adapter(training=QUICK).fit(counts, y)
    np.testing.assert_allclose(adapter.predict_proba(counts), adapter.predict_proba(counts.toarray()), atol=1e-6)


def test_groups_are_held_out_together(shift: tuple[np.ndarray, ...]) -> None:
    X, y, _, _ = shift
    groups = np.repeat(np.arange(4), 100)
    adapter = ac.Adapter("source_only", training=QUICK, validation=0.25).fit(X, y, groups=groups)
    assert adapter.result_["data"]["split"]["source_validation"] in (100, 200)


def test_an_own_network_is_a_backbone(shift: tuple[np.ndarray, ...]) -> None:
    from torch import nn

    X, y, _, _ = shift
    network = nn.Sequential(nn.Linear(2, 16), nn.ReLU())
    before = network[0].weight.detach().clone()
    adapter = ac.Adapter("source_only", network, "full", training={"epochs": 20, "learning_rate": 0.01}).fit(X, y)
    assert adapter.score(X, y) > 0.97
    assert adapter.transform(X).shape == (400, 16)
    assert (network[0].weight == before).all()


def test_stated_shares_and_a_budget_reach_the_run(shift: tuple[np.ndarray, ...]) -> None:
    X, y, X_target, _ = shift
    shares, classes = {1: 0.45, 0: 0.55}, np.unique(y)
    adapter = ac.Adapter("mcc", training={"steps": 10**7}, target_shares=shares, budget=1, jobs=1)
    adapter.fit(X, y, X_target)
    assert adapter.result_["shares"]["stated"] == {str(k): shares[int(k)] for k in classes}
    assert all(0 < arm["steps"] < 10**7 for arm in adapter.result_["arms"])


def test_nothing_is_left_on_disk(shift: tuple[np.ndarray, ...], tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    X, y, _, _ = shift
    ac.Adapter("source_only", training=QUICK).fit(X, y)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "rank"}, "task 'rank' is not one of classify, regress"),
        ({"method": "dan"}, "did you mean 'dann'"),
        ({"training": {"epoch": 1}}, "did you mean 'epochs'"),
        ({"backbone": "minilm"}, "does not read array input"),
    ],
)
def test_bad_settings_are_named(shift: tuple[np.ndarray, ...], change: dict[str, Any], message: str) -> None:
    X, y, X_target, _ = shift
    with pytest.raises(SettingsError, match=message):
        ac.Adapter().set_params(**change).fit(X, y, X_target)
