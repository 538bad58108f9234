"""What differs between two domains, by modality; never by label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from acclimate.domains.domain import ArrayRows, Domain, Modality, Schema
from acclimate.errors import DataError
from acclimate.selection.shifts import Shift, most_shifted


class ListRows:
    """Rows held in a list."""

    def __init__(self, values: Sequence[Any]):
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def take(self, index: np.ndarray) -> Any:
        return [self.values[i] for i in index]


class TableRows(ListRows):
    def take(self, index: np.ndarray) -> Any:
        return cast(pd.DataFrame, self.values).iloc[index].reset_index(drop=True)


def domain(modality: Modality, values: Any, labels: np.ndarray | None = None, name: str = "d") -> Domain:
    kind = {"table": TableRows, "array": ArrayRows}.get(modality, ListRows)
    count = values.shape[0] if hasattr(values, "shape") else len(values)
    ids = np.array([f"{i:032d}" for i in range(count)], dtype="S32")
    return Domain(name, Schema(modality, label="y"), kind(values), ids, labels)


def found(modality: Modality, source: Any, target: Any) -> dict[str, Shift]:
    return {shift.name: shift for shift in most_shifted(domain(modality, source), domain(modality, target))}


def test_words_that_differ_in_document_frequency() -> None:
    source = ["the charger works well"] * 60 + ["the battery died died died"] * 40
    target = ["the movie was long"] * 60 + ["the battery joke was flat and the plot was thin"] * 40
    shifts = most_shifted(domain("text", source), domain("text", target))
    by_name = {shift.name: shift for shift in shifts}
    assert shifts[0].name == "word 'was'"
    assert by_name["word 'movie'"].detail == "in 0.0% of source and 60.0% of target texts"
    assert by_name["word 'movie'"].score == pytest.approx(0.6)
    assert "word 'the'" not in by_name and "word 'battery'" not in by_name
    assert "word 'plot'" not in by_name  # only longer texts get that far
    assert by_name["length in words"].detail.startswith("distance 0.40, median 4 in the source")


def test_a_rare_word_is_no_shift() -> None:
    assert found("text", ["good thing"] * 50 + ["odd thing"], ["good thing"] * 51) == {}


def table(n: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.normal(50, 10, n),
            "cholesterol": rng.normal(5.2, 1.0, n),
            "pain": rng.choice(["none", "mild", "strong"], n, p=[0.5, 0.3, 0.2]),
            "sugar": rng.normal(size=n),
        }
    )


def test_equal_tables_show_nothing() -> None:
    assert found("table", table(seed=0), table(seed=1)) == {}


def test_columns_of_a_table() -> None:
    target = table(seed=1)
    target["age"] += 10
    target["cholesterol"] *= 38.67  # mmol/l to mg/dl
    target.loc[:199, "sugar"] = np.nan
    target.loc[target["pain"] == "mild", "pain"] = "moderate"
    shifts = found("table", table(), target)
    assert next(iter(shifts)) == "cholesterol"
    assert shifts["cholesterol"].score == 1.0
    assert "in another unit? It looks like the source's times 38.67 (cholesterol" in shifts["cholesterol"].detail
    target["cholesterol"] *= 25 / 38.67  # no unit that anybody knows
    unknown = found("table", table(), target)["cholesterol"].detail
    assert "times those of the source: another unit?" in unknown
    assert float(unknown.split("spread are ")[1].split()[0]) == pytest.approx(25, rel=0.05)
    assert shifts["age"].score == pytest.approx(0.383, abs=0.07)  # KS of two normals one deviation apart
    assert "unit" not in shifts["age"].detail
    assert shifts["sugar"] == Shift("sugar", 0.5, "missing in 0% of source and 50% of target rows")
    assert "unseen in the source: 'moderate'" in shifts["pain"].detail
    assert shifts["pain"].score == pytest.approx(0.3, abs=0.05)


def test_a_column_of_numbers_and_one_of_words_are_compared_as_categories() -> None:
    source, target = pd.DataFrame({"code": [1, 2] * 50}), pd.DataFrame({"code": ["one", "two"] * 50})
    assert found("table", source, target)["code"].score == 1.0


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_columns_of_an_array(form: Any) -> None:
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(2, 200, 120)).astype(np.float32)
    target[:, 77] += 2
    shifts = most_shifted(domain("array", form(source)), domain("array", form(target)))
    assert shifts[0].name == "column 77"
    assert shifts[0].score == pytest.approx(0.683, abs=0.07)


def test_arrays_of_different_width() -> None:
    shifts = most_shifted(domain("array", np.zeros((5, 3))), domain("array", np.zeros((5, 2, 2))))
    assert shifts == [Shift("number of columns", 1.0, "3 in the source and 4 in the target")]


def test_images() -> None:
    rng = np.random.default_rng(0)
    grey = [rng.integers(0, 100, (28, 28)).astype(np.uint8) for _ in range(40)]
    colour = [rng.integers(150, 250, (32, 28, 3)).astype(np.uint8) for _ in range(40)]
    shifts = found("image", grey, colour)
    assert "median 28 in the source and 32 in the target" in shifts["height in pixels"].detail
    assert "median 1 in the source and 3 in the target" in shifts["channels"].detail
    assert shifts["brightness"].score == shifts["colourfulness"].score == 1.0
    assert "width in pixels" not in shifts


def test_sounds() -> None:
    rng = np.random.default_rng(0)
    loud = [(rng.normal(size=8000).astype(np.float32), 8000) for _ in range(30)]
    quiet = [(0.1 * rng.normal(size=8000).astype(np.float32), 8000) for _ in range(30)]
    shifts = found("audio", loud, quiet)
    assert list(shifts) == ["loudness in dB"]
    assert "median -0.0" in shifts["loudness in dB"].detail or "median 0.0" in shifts["loudness in dB"].detail


def test_labels_change_nothing() -> None:
    values = np.random.default_rng(0).normal(size=(100, 3))
    plain = most_shifted(domain("array", values), domain("array", values + 1))
    same_content = np.zeros(100, dtype="S32")  # equal ids: the order of a labelled domain would follow its labels

    def labelled(seed: int) -> Domain:
        labels = np.random.default_rng(seed).permutation(np.repeat(["a", "b"], 50)).astype(object)
        return Domain("t", Schema("array", label="y"), ArrayRows(values + 1), same_content, labels)

    for seed in (0, 1):
        assert most_shifted(domain("array", values), labelled(seed)) == plain


def test_domains_that_cannot_be_compared() -> None:
    with pytest.raises(DataError, match="not comparable"):
        most_shifted(domain("text", ["a"]), domain("array", np.zeros((1, 1))))
    with pytest.raises(DataError, match="empty: no rows"):
        most_shifted(domain("text", ["a"]), domain("text", [], name="empty"))
