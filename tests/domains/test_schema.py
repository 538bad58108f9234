import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from acclimate.domains.read import read
from acclimate.domains.schema import Difference, check_kinds, check_pair, difference
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
    with pytest.raises(DataError, match="has 3 numbers a row, array 4 numbers"):
        check_pair(read(np.zeros((2, 3))), read(np.zeros((2, 4))))


def test_how_columns_differ():
    one = table(a=[1], s=[2], b=["x"])
    assert difference(one, table(b=["y"], a=[2], s=[3])) is None
    assert difference(one, table(t=[0], b=["y"], a=[2])) == Difference(("a", "b"), ("s",), ("t",))
    assert difference(one, table(t=[0])) == Difference((), ("a", "s", "b"), ("t",))
    assert difference(read(np.zeros((2, 3))), read(np.zeros((5, 3)))) is None
    found = difference(read(np.zeros((2, 3))), read(np.zeros((2, 4, 1, 5)), modality="array"))
    assert found == Difference((), ("3 numbers",), ("4x1x5 numbers",))
    assert difference(read(["a"]), read(["b"])) is None
    assert difference(read(np.zeros((1, 4, 4), np.uint8)), read(np.zeros((1, 8, 8, 3), np.uint8))) is None


def test_kinds_of_what_is_shared():
    check_kinds(table(a=[1], s=[2]), table(a=[1], t=["x"]))
    check_kinds(read(np.zeros((2, 3))), read(np.zeros((2, 4))))
    with pytest.raises(DataError, match=r"column 'a' holds numbers .*'old'"):
        check_kinds(table(a=[1], s=[2]), table(t=[1], a=["old"]))
    rows = [read(sparse.csr_matrix(np.ones((2, k)))) for k in (3, 4)]
    with pytest.raises(DataError, match=r"3 numbers a row, array 4 \(svmlight: fix it with \?features=N\)"):
        check_kinds(*rows)
