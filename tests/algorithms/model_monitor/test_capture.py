from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from clary.algorithms.model_monitor.capture import InferenceRecord, Window, columns_of_records

NAMES = ("y", "a", "b")


def record(given: Any, answered: Any, encoding: str = "CSV", content_type: str = "text/csv") -> InferenceRecord:
    sides = {
        "endpointInput": {"observedContentType": content_type, "mode": "INPUT", "data": given, "encoding": encoding},
        "endpointOutput": {"observedContentType": "text/csv", "mode": "OUTPUT", "data": answered, "encoding": "CSV"},
    }
    metadata = {"eventId": "1", "inferenceTime": "2026-01-01T10:20:30Z"}
    return InferenceRecord.of(json.dumps({"captureData": sides, "eventMetadata": metadata, "eventVersion": "0"}))


def rows(*records: InferenceRecord, **options: Any) -> list[dict[str, Any]]:
    options = {"output_first": True, "preprocess": None} | options
    columns = columns_of_records(records, NAMES, **options)
    return [{column.name: column.values[index] for column in columns} for index in range(len(columns[0].values))]


def test_output_comes_before_input() -> None:
    assert rows(record("1,2\n", "0.5")) == [{"y": "0.5", "a": "1", "b": "2"}]


def test_output_may_come_last() -> None:
    columns = columns_of_records([record("1,2", "0.5")], ("a", "b", "y"), output_first=False, preprocess=None)
    assert [column.name for column in columns] == ["a", "b", "y"]


@pytest.mark.parametrize("answered", ["0.5\n0.6\n", "0.5,0.6"])
def test_calls_of_many_rows_are_taken_apart(answered: str) -> None:
    found = rows(record("1,2\n3,4", answered))
    assert found == [{"y": "0.5", "a": "1", "b": "2"}, {"y": "0.6", "a": "3", "b": "4"}]


def test_base64_is_decoded_by_its_content_type() -> None:
    assert rows(record(base64.b64encode(b"1,2").decode(), "9", "BASE64"))[0]["a"] == "1"
    data = base64.b64encode(b'{"a": 5}').decode()
    assert rows(record(data, "9", "BASE64", "application/json"))[0] == {"y": "9", "a": 5}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ('{"a": 1, "b": {"c": 2}}', [{"a": 1, "b.c": 2}]),
        ('{"instances": [{"a": 1}, {"a": 2}]}', [{"a": 1}, {"a": 2}]),
        ("[[1, 2], [3, 4]]", [{"a": 1, "b": 2}, {"a": 3, "b": 4}]),
        ('{"a": 1}\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
    ],
)
def test_json_gives_rows(data: str, expected: list[dict[str, Any]]) -> None:
    found = rows(record(data, "\n".join("7" for _ in expected), "JSON"))
    assert found == [{"y": "7"} | row for row in expected]


def test_cells_beyond_the_baseline_get_names_of_their_own() -> None:
    assert set(rows(record("1,2,3", "0"))[0]) == {"y", "a", "b", "_c3"}


def test_preprocessors_choose_the_row() -> None:
    def handler(found: InferenceRecord) -> Any:
        if found.endpoint_input.data.startswith("skip"):
            return []
        cells = f"{found.endpoint_output.data},{found.endpoint_input.data}".split(",")
        return {str(index).zfill(20): cell for index, cell in enumerate(cells)}

    found = rows(record("1,2", "0"), record("skip", "0"), preprocess=handler)
    assert found == [{"y": "0", "a": "1", "b": "2"}]


def test_windows_are_half_open() -> None:
    start, end = datetime(2026, 1, 1, 10, tzinfo=UTC), datetime(2026, 1, 1, 11, tzinfo=UTC)
    window = Window(start, end)
    assert start in window
    assert end not in window
    assert record("1", "2").time in window
    assert end in Window(None, None)
