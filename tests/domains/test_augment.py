"""Strong views: other looks of the same rows, of the same kind."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from acclimate.domains.augment import strong


def draw(seed=0):
    return np.random.default_rng(seed)


def images(*shapes):
    return [draw(k).integers(0, 256, shape).astype(np.uint8) for k, shape in enumerate(shapes)]


WORDS = [f"w{k}" for k in range(1000)]
RAW = {
    "image": images((12, 10), (9, 14, 3)),
    "text": [" ".join(WORDS), "one two three four five six seven"],
    "array": draw().normal(size=(50, 6)).astype(np.float32),
    "table": pd.DataFrame({"a": np.arange(200.0), "b": [f"c{k}" for k in range(200)]}),
}


@pytest.mark.parametrize("modality", list(RAW))
def test_a_view_is_a_function_of_the_generator_and_leaves_its_input_alone(modality):
    raw = RAW[modality]
    before = [np.array(row, dtype=object) for row in (raw.to_numpy() if modality == "table" else raw)]
    one, same, other = (strong(raw, modality, draw(seed)) for seed in (0, 0, 1))
    rows = [v.to_numpy() if modality == "table" else v for v in (raw, one, same, other)]
    assert all(np.array_equal(a, b) for a, b in zip(before, rows[0], strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(rows[1], rows[2], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(rows[1], rows[3], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(rows[1], rows[0], strict=True))


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 1), (20, 31, 3), (1, 1), (1, 1, 3), (2, 50), (3, 3, 1)])
def test_pictures_keep_size_channels_and_type(shape):
    for seed in range(40):  # every operation is drawn
        view = strong(images(shape), "image", draw(seed))[0]
        assert (view.shape, view.dtype) == (shape, np.uint8)


@pytest.mark.parametrize("channels", [2, 4])
def test_transparent_parts_are_laid_on_white(channels):
    clear = np.zeros((4, 4, channels), np.uint8)
    view = strong([clear], "image", draw(3))[0]
    assert view.shape == (4, 4, 3)
    assert any((strong([clear], "image", draw(seed))[0] == 255).mean() > 0.9 for seed in range(20))


def test_a_grey_square_covers_a_sixteenth_of_a_picture():
    white = np.full((40, 40), 255, np.uint8)
    covered = [(strong([white], "image", draw(seed))[0] == 128).sum() for seed in range(60)]
    assert min(covered) >= 100
    assert np.median(covered) == 100


def test_a_fifth_of_the_words_is_left_out_and_neighbours_are_swapped():
    words = [strong([" ".join(WORDS)], "text", draw(seed))[0].split() for seed in range(20)]
    kept = np.mean([len(view) for view in words]) / len(WORDS)
    assert kept == pytest.approx(0.8, abs=0.02)
    assert all(len(set(view)) == len(view) and set(view) <= set(WORDS) for view in words)
    places = [np.array([int(word[1:]) for word in view]) for view in words]
    assert np.mean([(np.diff(p) < 0).mean() for p in places]) == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("text", ["", "   ", "word", "\n"])
def test_texts_of_at_most_one_word_stay(text):
    assert {strong([text], "text", draw(seed))[0] for seed in range(20)} == {" ".join(text.split())}


def test_numbers_come_from_other_rows_of_the_same_column():
    raw = np.arange(4000, dtype=np.float32).reshape(400, 5, 2)
    view = strong(raw, "array", draw())
    assert (view.shape, view.dtype) == (raw.shape, raw.dtype)
    assert (view != raw).mean() == pytest.approx(0.2, abs=0.02)
    assert np.array_equal(view % 10, raw % 10)
    assert np.array_equal(strong(raw[:1], "array", draw()), raw[:1])  # alone in its batch


def test_a_fifth_of_the_entries_of_a_sparse_array_is_left_out():
    raw = sparse.random(200, 300, density=0.1, format="csr", dtype=np.float32, random_state=0)
    raw = sparse.vstack([raw[:7], sparse.csr_matrix((1, 300), dtype=np.float32), raw[7:]], format="csr")
    view = strong(raw, "array", draw())
    assert sparse.issparse(view) and view.format == "csr"
    assert (view.shape, view.dtype) == (raw.shape, raw.dtype)
    assert view.count_nonzero() / raw.count_nonzero() == pytest.approx(0.8, abs=0.02)
    left = view.toarray() != 0
    assert np.array_equal(view.toarray()[left], raw.toarray()[left])
    assert not left[7].any()


@pytest.mark.parametrize(
    "values",
    [
        np.arange(300),
        np.arange(300.0),
        np.arange(300) % 2 == 0,
        pd.array([None, *range(299)], dtype="Int64"),
        pd.array([None, *range(299)], dtype="int64[pyarrow]"),
        pd.array([None, *(f"s{k}" for k in range(299))], dtype="string[pyarrow]"),
        pd.Categorical([f"c{k % 3}" for k in range(300)]),
        np.array([None, *(f"s{k}" for k in range(299))], dtype=object),
    ],
    ids=lambda values: str(values.dtype),
)
def test_columns_of_a_table_keep_type_and_values(values):
    raw = pd.DataFrame({"x": values, "id": np.arange(300)})
    view = strong(raw, "table", draw())
    assert list(view.dtypes) == list(raw.dtypes)
    assert set(view["x"].dropna()) <= set(raw["x"].dropna())
    assert (view["id"] != raw["id"]).mean() == pytest.approx(0.2, abs=0.05)
    assert view.index.equals(raw.index)
