from __future__ import annotations

import numpy as np
import pytest

import acclimate as ac
from acclimate.domains.sample import handwritten_digits
from acclimate.errors import DataError, SettingsError
from acclimate.runs.few_shot import model as few_shot
from acclimate.runs.few_shot.model import NONE, FewShotModel, learn

pytestmark = pytest.mark.usefixtures("own_cache")


def digits() -> ac.Domain:
    """Real digits, 8 x 8, of scikit-learn."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return ac.read((images, labels.astype(str)), label="label", name="digits")


def some(domain: ac.Domain, each: int, seed: int, classes: str = "0123456789", beyond: int = 0) -> ac.Domain:
    """So many rows of each class, other ones for ``beyond``."""
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(domain.labels == name))[beyond : beyond + each] for name in classes]
    return domain.select(np.concatenate(rows))


@pytest.fixture(scope="module")
def data() -> ac.Domain:
    return digits()


def test_five_digits_of_each_kind(data):
    model = learn(some(data, 5, 0))
    query = some(data, 20, 0, beyond=5)
    said = model.say(query.sealed())
    names = np.array(model.classifier.classes, dtype=object)[said.probabilities.argmax(1)]
    assert (names == query.labels).mean() > 0.75
    assert model.report["classes"] == dict.fromkeys("0123456789", 5)
    low, high = model.report["held_out"]["interval"]
    assert low < (names == query.labels).mean() < high


def test_the_order_of_the_support_changes_nothing(data):
    support, query = some(data, 5, 0), some(data, 5, 0, beyond=5).sealed()
    turned = support.select(np.random.default_rng(0).permutation(len(support)))
    one, two = learn(support, abstain=0.1), learn(turned, abstain=0.1)
    assert one.report == two.report
    assert np.array_equal(one.say(query).probabilities, two.say(query).probabilities)


def test_rows_to_answer_play_no_part_in_any_choice(data):
    support = some(data, 5, 0)
    query = some(data, 5, 0, beyond=5)
    learned = []
    for labels in (query.labels, query.labels[::-1]):
        poisoned = ac.read((query.rows.take(np.arange(50)), labels), label="label")
        model = learn(support)
        learned.append((model.report, model.say(poisoned).probabilities))
    assert learned[0][0] == learned[1][0]
    assert np.array_equal(learned[0][1], learned[1][1])


def test_repeated_rows_count_once_and_torn_ones_are_told(data):
    support = some(data, 4, 0)
    rows = support.rows.take(np.arange(len(support)))
    again = ac.read((np.concatenate([rows, rows[:3]]), [*support.labels, *support.labels[:3]]), label="label")
    assert learn(again).report["rows"] == 40
    assert "3 rows of the support are repeated" in learn(again).report["warnings"][0]
    torn = ac.read((np.concatenate([rows, rows[:1]]), [*support.labels, "9"]), label="label")
    assert "there again with another label" in learn(torn).report["warnings"][0]


def test_frames_hold_what_was_said(data):
    model: FewShotModel = learn(some(data, 5, 0, "012345"), abstain=0.1)
    query = some(data, 30, 0, beyond=5)
    (frame, _, said), *more = model.frames(query)
    assert not more
    names = [f"probability_{name}" for name in "012345"]
    assert list(frame) == ["row", "prediction", "confidence", "conformal_p", *names]
    refused = (frame["prediction"] == NONE).to_numpy()
    assert np.array_equal(refused, said.refused)
    assert frame["confidence"].isna().to_numpy()[refused].all()
    best = frame.loc[~refused, names].max(axis=1)
    np.testing.assert_allclose(frame.loc[~refused, "confidence"], best, atol=1e-6)
    unknown = np.isin(query.labels, list("6789"))
    assert refused[~unknown].mean() < 0.15
    assert refused[unknown].mean() > 0.4


def test_writing_tells_of_rows_that_were_in_the_support(data, tmp_path):
    support = some(data, 5, 0)
    query = some(data, 3, 0, beyond=3)  # two of five
    told = learn(support).write(query, tmp_path / "answers.csv")
    assert told == {"rows": 30, "refused": 0, "in_support": 20, "held_out": None}
    assert len((tmp_path / "answers.csv").read_text().splitlines()) == 31


def test_what_is_refused(data, monkeypatch):
    support = some(data, 3, 0)
    with pytest.raises(DataError, match="the support has no labels"):
        learn(support.sealed())
    with pytest.raises(DataError, match="only one class"):
        learn(some(data, 5, 0, "3"))
    with pytest.raises(SettingsError, match="starts from scratch"):
        learn(support, backbone="mlp")
    with pytest.raises(DataError, match="is text, but the support is array"):
        learn(support).say(ac.read(["a text"]))
    monkeypatch.setattr(few_shot, "MOST", 29)
    with pytest.raises(SettingsError, match="30 labelled rows are not few"):
        learn(support)


def test_images_by_a_plain_backbone():
    source = handwritten_digits()
    pixels = learn(some(source, 5, 0, "0123"), backbone={"name": "pixels", "size": 8})
    query = some(source, 20, 0, "0123", beyond=5)
    said = pixels.say(query)
    assert (np.array(list("0123"))[said.probabilities.argmax(1)] == query.labels).mean() > 0.8
