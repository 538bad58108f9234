from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.utils.estimator_checks import parametrize_with_checks

import acclimate as ac
from acclimate.errors import AcclimateError, DataError, SettingsError

pytestmark = pytest.mark.usefixtures("own_cache")


@parametrize_with_checks([ac.FewShot(level="prototypes")])
def test_scikit_learn_checks(estimator: ac.FewShot, check: Any) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, ...]:
    """Support rows and labels, query rows and labels: 5 and 20 of each digit from 0 to 6, then 20 each of 7 to 9."""
    X, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    order = [rng.permutation(np.flatnonzero(y == k)) for k in range(10)]
    support = np.concatenate([rows[:5] for rows in order[:7]])
    query = np.concatenate([rows[5:25] for rows in order])
    return X[support], y[support], X[query], y[query]


def test_fit_and_predict(digits: tuple[np.ndarray, ...]) -> None:
    X, y, query, answers = digits
    clf = ac.FewShot().fit(X, y)
    assert clf.classes_.tolist() == list(range(7))
    known = answers < 7
    assert clf.score(query[known], answers[known]) > 0.8
    probabilities = clf.predict_proba(query)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    assert np.array_equal(clf.classes_[probabilities.argmax(1)], clf.predict(query))
    assert clf.report_["held_out"]["rows"] == 35


def test_numbers_as_classes_keep_their_order_and_type(digits: tuple[np.ndarray, ...]) -> None:
    X, y, query, answers = digits
    clf = ac.FewShot().fit(X, y + 7)  # as words, 10 comes before 7
    assert clf.classes_.tolist() == list(range(7, 14))
    assert clf.score(query[answers < 7], answers[answers < 7] + 7) > 0.8


def test_abstaining(digits: tuple[np.ndarray, ...]) -> None:
    X, y, query, answers = digits
    clf = ac.FewShot(abstain=0.1).fit(X, y)
    found = clf.predict(query)
    refused = np.array([answer is None for answer in found])
    assert refused[answers < 7].mean() < 0.2
    assert refused[answers >= 7].mean() > 0.25  # by chance it would be 0.1
    assert np.array_equal(refused, clf.conformal_p(query) <= 0.1)
    told = clf.report_["abstain"]
    assert told["rate"] == 0.1
    assert told["least_rate"] == pytest.approx(1 / 36)
    assert not hasattr(ac.FewShot(), "conformal_p")


def test_texts(tiny_text: Any) -> None:
    good = [f"w{k} good w{k + 9} film" for k in range(8)] + [f"w{k} fine film" for k in range(8)]
    bad = [f"w{k} bad w{k + 9} film" for k in range(8)] + [f"w{k} poor film" for k in range(8)]
    clf = ac.FewShot(backbone="ngrams").fit(good + bad, ["yes"] * 16 + ["no"] * 16)
    assert clf.predict(["a good film", "poor w3", "fine w1", "bad"]).tolist() == ["yes", "no", "yes", "no"]
    read = ac.FewShot(backbone=str(tiny_text)).fit(good + bad, ["yes"] * 16 + ["no"] * 16)
    assert read.predict_proba(["good"]).shape == (1, 2)
    assert read.report_["backbone"] == str(tiny_text)


def test_a_frame_with_gaps_and_words() -> None:
    frame = pd.DataFrame({"size": [1.0, 2.0, None, 8.0, 9.0, 9.5], "kind": ["a", "a", "a", "b", "b", "b"]})
    clf = ac.FewShot().fit(frame, [0, 0, 0, 1, 1, 1])
    new = pd.DataFrame({"kind": ["b", "a"], "size": [9.0, None]})  # columns are found by name
    assert clf.predict(new).tolist() == [1, 0]


def test_a_file_and_a_domain(tmp_path: Any, digits: tuple[np.ndarray, ...]) -> None:
    X, y, query, _ = digits
    np.savez(tmp_path / "support.npz", x=X, y=y)
    np.savez(tmp_path / "query.npz", x=query)
    there = ac.FewShot().fit(str(tmp_path / "support.npz"))
    assert there.classes_.tolist() == list("0123456")
    here = ac.FewShot().fit(ac.read((X, y), label="label"))
    plain = ac.FewShot().fit(X, y).predict_proba(query)
    assert np.array_equal(there.predict_proba(str(tmp_path / "query.npz")), plain)
    assert np.array_equal(here.predict_proba(ac.read(query)), plain)
    assert np.array_equal(ac.FewShot().fit(ac.read(X), y).predict_proba(query), plain)


def test_a_module_from_python(digits: tuple[np.ndarray, ...]) -> None:
    X, y, query, _ = digits
    torch.manual_seed(0)
    network = torch.nn.Linear(64, 48)
    clf = ac.FewShot(backbone=network).fit(X, y)
    same = clf.predict_proba(query)
    with torch.no_grad():
        network.weight.zero_()  # the classifier has a copy
    assert np.array_equal(clf.predict_proba(query), same)
    with pytest.raises(SettingsError, match="Python code"):
        clf.save("nowhere")


@pytest.mark.parametrize("abstain", [None, 0.1])
def test_saving_and_loading(tmp_path: Any, digits: tuple[np.ndarray, ...], abstain: float | None) -> None:
    X, y, query, _ = digits
    clf = ac.FewShot(abstain=abstain).fit(X, y)
    clf.save(tmp_path / "clf")
    again = ac.FewShot.load(tmp_path / "clf")
    assert np.array_equal(again.predict_proba(query), clf.predict_proba(query))
    assert again.predict(query).tolist() == clf.predict(query).tolist()
    assert again.report_ == clf.report_
    assert again.get_params() == clf.get_params()
    assert not [path for path in (tmp_path / "clf").rglob("*") if path.suffix in (".pkl", ".pt", ".npy")]


def test_saving_a_network_and_columns_by_name(tmp_path: Any, tiny_text: Any) -> None:
    texts, labels = [f"w{k} {'good' if k % 2 else 'bad'}" for k in range(10)], [bool(k % 2) for k in range(10)]
    clf = ac.FewShot(backbone=str(tiny_text)).fit(texts, labels)
    clf.save(tmp_path / "clf")
    again = ac.FewShot.load(tmp_path / "clf")
    assert again.classes_.tolist() == [False, True]
    assert np.array_equal(again.predict_proba(["w1 good"]), clf.predict_proba(["w1 good"]))


def test_a_damaged_folder(tmp_path: Any, digits: tuple[np.ndarray, ...]) -> None:
    clf = ac.FewShot().fit(*digits[:2])
    clf.save(tmp_path / "clf")
    with pytest.raises(DataError, match=r"few_shot\.json is missing"):
        ac.FewShot.load(tmp_path)
    path = tmp_path / "clf" / "support.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataError, match=r"ac\.FewShot\.load"):
        ac.load(tmp_path / "clf")
    with pytest.raises(DataError, match="its hash differs"):
        ac.FewShot.load(tmp_path / "clf")
    (tmp_path / "clf" / "few_shot.json").write_text("{}")
    with pytest.raises(DataError, match="not a readable few-shot classifier: 'format' is missing"):
        ac.FewShot.load(tmp_path / "clf")


def test_what_is_refused(digits: tuple[np.ndarray, ...]) -> None:
    X, y, query, _ = digits
    with pytest.raises(DataError, match="requires y"):
        ac.FewShot().fit(X)
    with pytest.raises(AcclimateError, match="did you mean 'probe'"):
        ac.FewShot(level="prob").fit(X, y)
    with pytest.raises(SettingsError, match=r"abstain 0\.01: 35 rows"):
        ac.FewShot(abstain=0.01).fit(X, y)
    with pytest.raises(ValueError, match="64"):
        ac.FewShot().fit(X, y).predict(query[:, :3])


def test_save_leaves_other_folders_alone(tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 3)), np.arange(12) % 3
    clf = ac.FewShot(level="prototypes").fit(X, y)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    with pytest.raises(SettingsError, match="name another folder"):
        clf.save(tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "mine"
    for _ in range(2):  # its own folder may be written again
        clf.save(tmp_path / "saved")
    assert np.array_equal(ac.FewShot.load(tmp_path / "saved").predict(X), clf.predict(X))


def test_a_list_of_files_is_read(tmp_path):
    from PIL import Image

    paths = []
    for k in range(6):
        paths.append(tmp_path / f"{k}.png")
        Image.new("RGB", (32, 32), (250, 20 * k, 0) if k % 2 else (0, 20 * k, 250)).save(paths[-1])
    clf = ac.FewShot("mobilenet_v2", level="prototypes").fit([str(path) for path in paths[:4]], [0, 1, 0, 1])
    assert clf.predict(paths[4:]).tolist() == [0, 1]
    assert clf.predict(tmp_path).tolist() == [0, 1] * 3
    with pytest.raises(DataError, match=r"gone\.png"):
        clf.predict([paths[0], tmp_path / "gone.png"])


def test_a_frame_with_gaps_is_a_frame_like_any_other():
    rng = np.random.default_rng(0)
    whole = pd.DataFrame(rng.normal(size=(12, 3)) + 3 * (np.arange(12) % 2)[:, None], columns=list("abc"))
    torn = whole.copy()
    torn.iloc[0, 1] = np.nan
    y = np.arange(12) % 2
    for train, test in ((whole, torn), (torn, whole)):
        clf = ac.FewShot(level="prototypes").fit(train, y)
        assert list(clf.feature_names_in_) == list("abc")
        assert (clf.predict(test) == y).mean() > 0.9


def test_a_rate_that_is_no_number_is_told():
    X, y = np.random.default_rng(0).normal(size=(12, 3)), np.arange(12) % 3
    with pytest.raises(SettingsError, match="abstain must lie between 0 and 1"):
        ac.FewShot(abstain="x").fit(X, y)


def test_a_folder_of_boxes_is_told_from_a_folder_of_classes(tmp_path):
    from PIL import Image

    (tmp_path / "images").mkdir()
    for k in range(4):
        Image.new("RGB", (8, 8), (60 * k, 0, 0)).save(tmp_path / "images" / f"{k}.png")
    (tmp_path / "annotations.json").write_text("{}")
    with pytest.raises(DataError, match="one folder 'images', as those with boxes"):
        ac.FewShot().fit(str(tmp_path))
