"""What batch transform does to records around the model: filters, and joining predictions to their input.

Source: "Associate Prediction Results with Input Records", SageMaker developer guide.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clary.json_path import JsonPath, NoMatch, parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CSV, JSON, LINES = "text/csv", "application/json", "application/jsonlines"
ALL = parse("$")


class ProcessingError(Exception):
    """The records do not fit the filters, or the predictions the records."""


@dataclass(frozen=True, slots=True)
class DataProcessing:
    """The filters and the join of one transform job."""

    content_type: str
    before: JsonPath = ALL
    after: JsonPath = ALL
    join: bool = False

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> DataProcessing:
        """As a transform job asks for it."""
        asked = spec.get("DataProcessing", {})
        return cls(
            spec["TransformInput"].get("ContentType", ""),
            parse(asked.get("InputFilter", "$")),
            parse(asked.get("OutputFilter", "$")),
            asked.get("JoinSource", "None") == "Input",
        )

    def payload(self, records: Sequence[bytes]) -> bytes:
        """The request for the model.

        Raises:
            ProcessingError: a record is not of its content type, or has nothing at the path.
        """
        if not self.before.steps:
            return b"".join(records)
        kind = _plain(self.content_type)
        try:
            return _write([self.before.of(document) for document in _read(b"".join(records), kind)], kind)
        except (NoMatch, ValueError) as error:
            raise ProcessingError(f"InputFilter: {error}") from error

    def result(self, records: Sequence[bytes], answer: bytes, answer_type: str) -> bytes:
        """What is stored for the answer of the model.

        Raises:
            ProcessingError: the answer is not of its content type, has nothing at the path, or has not one prediction
                for each record.
        """
        if not self.join and not self.after.steps:
            return answer
        kind = _plain(answer_type)
        try:
            documents = _read(answer, kind)
            if self.join:
                documents = _joined(_read(b"".join(records), _plain(self.content_type)), documents, kind)
            return _write([self.after.of(document) for document in documents], kind)
        except (NoMatch, ValueError) as error:
            raise ProcessingError(f"OutputFilter: {error}") from error


def _plain(content_type: str) -> str:
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in {CSV, JSON, LINES}:
        raise ProcessingError(f"DataProcessing needs CSV, JSON or JSON Lines, not {kind or 'data of unknown type'}.")
    return kind


def _read(content: bytes, kind: str) -> list[Any]:
    text = content.decode()
    if kind == CSV:
        return [row for row in csv.reader(io.StringIO(text)) if row]
    lines = [line for line in text.splitlines() if line.strip()]
    if kind == JSON:
        try:
            return [json.loads(text)]
        except ValueError:
            if len(lines) < 2:
                raise
    # Several JSON records of one request are one a line, whatever their content type is called.
    return [json.loads(line) for line in lines]


def _write(documents: Sequence[Any], kind: str) -> bytes:
    if kind != CSV:
        return "".join(f"{json.dumps(document, separators=(',', ':'))}\n" for document in documents).encode()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(document if isinstance(document, list) else [document] for document in documents)
    return text.getvalue().encode()


def _joined(inputs: Sequence[Any], predictions: Sequence[Any], kind: str) -> list[Any]:
    if len(inputs) != len(predictions):
        raise ProcessingError(
            f"JoinSource Input needs one prediction for each record, but there are {len(predictions)} predictions for "
            f"{len(inputs)} records."
        )
    pairs = zip(inputs, predictions, strict=True)
    if kind == CSV:
        return [[*record, *prediction] for record, prediction in pairs]
    return [
        {**record, "SageMakerOutput": prediction}
        if isinstance(record, dict)
        else {"SageMakerInput": record, "SageMakerOutput": prediction}
        for record, prediction in pairs
    ]
