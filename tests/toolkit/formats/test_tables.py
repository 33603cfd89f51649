from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.toolkit.formats.content_type import MalformedDataError
from clary.toolkit.formats.tables import read_csv, read_libsvm, write_csv

numbers = st.floats(-1e6, 1e6, width=32)


@given(st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(numbers, min_size=width, max_size=width), min_size=1)))
def test_csv_round_trips(rows: list[list[float]]) -> None:
    table = np.array(rows, np.float32)
    np.testing.assert_array_equal(read_csv(write_csv(table)), table)


def test_empty_cells_are_missing() -> None:
    assert np.isnan(read_csv("1,,3\n")[0, 1])


@pytest.mark.parametrize("text", ["1;2", "1\t2", "1 2", "1,2", "1,2\n", '"1","2"'])
def test_delimiters_are_found(text: str) -> None:
    assert read_csv(text).tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize("text", ["", "a,b", "1,2\n3"])
def test_what_is_no_table_is_refused(text: str) -> None:
    with pytest.raises(MalformedDataError):
        read_csv(text)


def test_predictions_as_csv() -> None:
    assert write_csv(np.array([1.5, 2.0])) == "1.5\n2.0\n"
    assert write_csv(np.array([[1.5, 2.0], [3.0, 4.0]])) == "1.5,2.0\n3.0,4.0\n"


def test_libsvm_has_labels_and_weights() -> None:
    matrix, labels, weights = read_libsvm("1:0.5 0:1 3:2\n0:2 1:4\n")
    assert matrix.toarray().tolist() == [[1, 0, 0, 2], [0, 4, 0, 0]]
    assert labels.tolist() == [1, 0]
    assert weights is not None
    assert weights.tolist() == [0.5, 2]


def test_libsvm_of_requests_may_leave_the_label_out() -> None:
    assert read_libsvm("0:1 2:3", labelled=False)[0].toarray().tolist() == [[1, 0, 3]]
    assert read_libsvm("5 0:1 2:3", labelled=False)[0].toarray().tolist() == [[1, 0, 3]]


def test_malformed_libsvm_is_refused() -> None:
    with pytest.raises(MalformedDataError, match="Line 1"):
        read_libsvm("1 0:1\n1 zero:1\n")
