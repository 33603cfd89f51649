from __future__ import annotations

from typing import Any

import pytest

from clary.controllers.data_processing import DataProcessing, ProcessingError

CSV, JSON, LINES = "text/csv", "application/json", "application/jsonlines"


def processing(content_type: str, **asked: str) -> DataProcessing:
    spec: dict[str, Any] = {"TransformInput": {"ContentType": content_type}, "DataProcessing": asked}
    return DataProcessing.of(spec)


def test_without_filters_bytes_pass_as_they_are() -> None:
    nothing = DataProcessing.of({"TransformInput": {}})
    assert nothing.payload([b"\xff\n", b"\x00"]) == b"\xff\n\x00"
    assert nothing.result([b"\xff"], b"\xfe", "image/png") == b"\xfe"


@pytest.mark.parametrize(
    ("path", "rows"),
    [("$[1:]", b"1,2\n3,4\n"), ("$[0,-1]", b"a,2\nb,4\n"), ("$[1]", b"1\n3\n"), ("$[:-1]", b"a,1\nb,3\n")],
)
def test_columns_of_csv_are_chosen(path: str, rows: bytes) -> None:
    assert processing(CSV, InputFilter=path).payload([b"a,1,2\n", b"b,3,4"]) == rows


def test_predictions_are_joined_to_csv_rows() -> None:
    join = processing(CSV, InputFilter="$[1:]", JoinSource="Input", OutputFilter="$[0,-1]")
    assert join.result([b"a,1,2\n", b"b,3,4\n"], b"0.5\n0.7\n", CSV) == b"a,0.5\nb,0.7\n"


def test_quoted_cells_stay_one_cell() -> None:
    assert processing(CSV, InputFilter="$[:-1]").payload([b'"x, y",2,3\n']) == b'"x, y",2\n'


def test_json_objects_get_the_prediction_as_a_member() -> None:
    join = processing(LINES, InputFilter="$.features", JoinSource="Input", OutputFilter="$['id','SageMakerOutput']")
    records = [b'{"id": 1, "features": [1, 2]}\n', b'{"id": 2, "features": [3, 4]}\n']
    assert join.payload(records) == b"[1,2]\n[3,4]\n"
    answer = join.result(records, b'{"score": 0.5}\n{"score": 0.7}\n', LINES)
    assert answer == b'{"id":1,"SageMakerOutput":{"score":0.5}}\n{"id":2,"SageMakerOutput":{"score":0.7}}\n'


def test_other_json_is_put_beside_the_prediction() -> None:
    join = processing(JSON, JoinSource="Input")
    assert join.result([b"[1, 2]"], b"0.5", JSON) == b'{"SageMakerInput":[1,2],"SageMakerOutput":0.5}\n'


def test_a_document_may_span_lines() -> None:
    assert processing(JSON, InputFilter="$.x").payload([b'{\n "x": [1]\n}']) == b"[1]\n"


def test_every_record_needs_its_prediction() -> None:
    with pytest.raises(ProcessingError, match="1 predictions for 2 records"):
        processing(CSV, JoinSource="Input").result([b"1\n", b"2\n"], b"0.5\n", CSV)


@pytest.mark.parametrize(
    ("content_type", "record"),
    [("image/png", b"\x89"), (LINES, b"{broken\n"), (LINES, b'{"y": 1}\n'), (CSV, b"\xff\n")],
)
def test_records_that_do_not_fit_are_refused(content_type: str, record: bytes) -> None:
    with pytest.raises(ProcessingError):
        processing(content_type, InputFilter="$.x").payload([record])
