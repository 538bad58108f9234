import numpy as np
import pandas as pd
import pytest

from acclimate.domains.read import read
from acclimate.domains.schema import check_pair
from acclimate.errors import DataError


def table(**columns):
    return read(pd.DataFrame(columns), input="*", modality="table", name="/".join(columns))


def test_pairs_that_fit():
    check_pair(read(["a"]), read(["b"]))
    check_pair(table(a=[1], b=["x"]), table(b=["y"], a=[2], c=[3]))
    check_pair(table(a=[1.0]), table(a=[None]))
    check_pair(read(np.zeros((2, 3))), read(np.zeros((5, 3))))
    check_pair(read(np.zeros((1, 4, 4), np.uint8)), read(np.zeros((1, 8, 8, 3), np.uint8)))


def test_different_kinds():
    with pytest.raises(DataError, match=r"list is text, array is array"):
        check_pair(read(["a"]), read(np.zeros((1, 2))))


def test_missing_column_is_named():
    with pytest.raises(DataError, match="no column 'income'; columns found: a"):
        check_pair(table(a=[1], income=[2]), table(a=[1]))


def test_numbers_against_words():
    with pytest.raises(DataError, match=r"column 'a' holds numbers in a, but text in a .*'old'"):
        check_pair(table(a=[1]), table(a=["old"]))


def test_widths():
    with pytest.raises(DataError, match="has 3 numbers a row, array 4"):
        check_pair(read(np.zeros((2, 3))), read(np.zeros((2, 4))))
