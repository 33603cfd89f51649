"""Reads what an endpoint has captured: one JSON record a line, decoded into rows of features."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from clary.algorithms.model_monitor.columns import Column, columns_of, flatten

if TYPE_CHECKING:
    from pathlib import Path

Named = dict[str, Any]
Preprocess = Callable[["InferenceRecord"], Any]


@dataclass(frozen=True, slots=True)
class EndpointData:
    """One side of a captured call, as preprocessor scripts see it."""

    encoding: str
    data: str
    observed_content_type: str
    mode: str

    @classmethod
    def of(cls, captured: Mapping[str, Any]) -> EndpointData:
        """The side with its data decoded to text."""
        encoding, data = str(captured.get("encoding", "CSV")), str(captured.get("data", ""))
        if encoding == "BASE64":
            data = base64.b64decode(data).decode()
        content_type = str(captured.get("observedContentType", ""))
        return cls(encoding, data, content_type, str(captured.get("mode", "")))

    @property
    def is_json(self) -> bool:
        """Whether the data are JSON, by the declared encoding, else by the content type."""
        return self.encoding == "JSON" or (self.encoding == "BASE64" and "json" in self.observed_content_type)


@dataclass(frozen=True, slots=True)
class InferenceRecord:
    """A captured call, as preprocessor scripts see it."""

    endpoint_input: EndpointData
    endpoint_output: EndpointData
    event_metadata: Mapping[str, Any]

    @classmethod
    def of(cls, line: str) -> InferenceRecord:
        """The record of one line."""
        record = json.loads(line)
        sides = record["captureData"]
        return cls(
            EndpointData.of(sides.get("endpointInput", {})),
            EndpointData.of(sides.get("endpointOutput", {})),
            record.get("eventMetadata", {}),
        )

    @property
    def event_data(self) -> Mapping[str, Any]:
        """The metadata under the name that older scripts use."""
        return self.event_metadata

    @property
    def time(self) -> datetime | None:
        """When the call was made."""
        text = self.event_metadata.get("inferenceTime")
        return parse_time(text) if text else None


@dataclass(frozen=True, slots=True)
class Window:
    """The span of time that an execution looks at; a bound that is None is open."""

    start: datetime | None
    end: datetime | None

    def __contains__(self, time: datetime | None) -> bool:
        if time is None:
            return True
        return (self.start is None or time >= self.start) and (self.end is None or time < self.end)


def parse_time(text: str) -> datetime:
    """An ISO time of the contract, always with its zone."""
    return datetime.fromisoformat(text)


def read_records(source: Path, window: Window) -> list[InferenceRecord]:
    """The captured calls of a window, from all files below a folder."""
    files = sorted(path for path in source.rglob("*.jsonl") if path.is_file())
    lines = (line for path in files for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return [record for record in map(InferenceRecord.of, lines) if record.time in window]


def columns_of_records(
    records: Sequence[InferenceRecord], names: Sequence[str], *, output_first: bool, preprocess: Preprocess | None
) -> list[Column]:
    """The columns of captured calls; cells of CSV have no names and take those of the baseline in order."""
    rows: list[Named] = []
    for record in records:
        unnamed = _preprocessed(preprocess(record)) if preprocess else _rows(record, output_first=output_first)
        rows += [_name(cells, names) for cells in unnamed]
    return columns_of(rows)


Cells = list[tuple[str | None, Any]]
"""The cells of a row in order, with a name where they have one."""


def _rows(record: InferenceRecord, *, output_first: bool) -> Iterator[Cells]:
    inputs, outputs = _decode(record.endpoint_input), _decode(record.endpoint_output)
    if len(outputs) == 1 and len(inputs) > 1 and len(outputs[0]) == len(inputs):
        outputs = [[cell] for cell in outputs[0]]
    pairs: Iterator[tuple[Cells, Cells]] = zip_longest(inputs, outputs, fillvalue=[])
    for given, answered in pairs:
        yield [*answered, *given] if output_first else [*given, *answered]


def _decode(side: EndpointData) -> list[Cells]:
    if not side.data.strip():
        return []
    if not side.is_json:
        return [[(None, cell) for cell in row] for row in csv.reader(side.data.splitlines()) if row]
    documents = [json.loads(side.data)] if side.data.lstrip()[0] in "[{" and _is_document(side.data) else _lines(side)
    return [_cells(row) for document in documents for row in _json_rows(document)]


def _is_document(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _lines(side: EndpointData) -> list[Any]:
    return [json.loads(line) for line in side.data.splitlines() if line.strip()]


def _json_rows(document: Any) -> list[Any]:
    """The rows of a JSON body: a list of objects or lists has many, also below `instances` or `predictions`."""
    if isinstance(document, Mapping) and len(document) == 1:
        (only,) = document.values()
        if isinstance(only, list) and only and isinstance(only[0], Mapping | list):
            return only
    if isinstance(document, list) and document and isinstance(document[0], Mapping | list):
        return document
    return [document]


def _cells(row: Any) -> Cells:
    if isinstance(row, Mapping):
        return list(flatten(row).items())
    return [(None, cell) for cell in (row if isinstance(row, list) else [row])]


def _preprocessed(result: Any) -> list[Cells]:
    """What a preprocessor script answered: a row, several rows, or nothing to leave the record out."""
    if not result:
        return []
    rows = result if isinstance(result, list) and isinstance(result[0], Mapping | list) else [result]
    return [[(None if str(key).isdigit() else key, cell) for key, cell in _cells(row)] for row in rows]


def _name(cells: Cells, names: Sequence[str]) -> Named:
    return {
        name if name is not None else names[index] if index < len(names) else f"_c{index}": cell
        for index, (name, cell) in enumerate(cells)
    }
