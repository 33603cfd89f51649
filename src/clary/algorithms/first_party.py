"""Requests, replies and log lines that AWS's own algorithms share.

Source: AWS page "Common data formats for inference".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from clary.toolkit.formats import content_type as types
from clary.toolkit.formats.content_type import MalformedDataError, UnsupportedTypeError
from clary.toolkit.formats.matrices import read_matrix, stack
from clary.toolkit.formats.recordio import Record, Tensor, write_records
from clary.toolkit.serve.application import RefusedRequestError
from clary.toolkit.serve.message import Request, Response

Answer = Mapping[str, Any]
REPLIES = (types.JSON, types.JSON_LINES, types.RECORDIO, types.CSV)


def answering(predict: Callable[[Any], Sequence[Answer]], width: int) -> Callable[[Request], Response]:
    """A function from dense rows to answers, as one from requests to responses."""

    def answer(request: Request) -> Response:
        try:
            rows = read_request(request.body, request.content_type or types.CSV)
        except UnsupportedTypeError as error:
            raise RefusedRequestError(415, str(error)) from error
        try:
            accept = types.choose(request.accept, REPLIES, types.JSON)
        except UnsupportedTypeError as error:
            raise RefusedRequestError(406, str(error)) from error
        return Response(200, write_answers(predict(dense(rows, width)), accept), accept)

    return answer


def read_request(body: bytes, content_type: str) -> Any:
    """The feature rows of a request, dense or sparse.

    Raises:
        UnsupportedTypeError: the type is none of csv, json, jsonlines and recordio-protobuf.
        MalformedDataError: the body does not follow its type.
    """
    name = types.ContentType.parse(content_type).name
    if name not in (types.JSON, types.JSON_LINES):
        return read_matrix(body, content_type)
    try:
        if name == types.JSON:
            instances = json.loads(body)["instances"]
        else:
            instances = [json.loads(line) for line in body.splitlines() if line.strip()]
        return stack([_tensor(instance) for instance in instances])
    except (ValueError, KeyError, TypeError) as error:
        raise MalformedDataError(f"The body is not valid {name}: {error!r}") from error


def dense(rows: Any, width: int) -> Any:
    """Rows as a dense matrix of `width` columns.

    Raises:
        MalformedDataError: the rows have another number of features.
    """
    if hasattr(rows, "tocsr"):
        if rows.shape[1] < width:
            rows.resize((rows.shape[0], width))
        rows = rows.toarray()
    if rows.shape[1] != width:
        raise MalformedDataError(f"The request has {rows.shape[1]} features, the model has {width}.")
    return rows


def write_answers(answers: Sequence[Answer], accept: str) -> bytes:
    """Answers in the type that the client accepts."""
    if accept == types.JSON:
        return json.dumps({"predictions": answers}).encode()
    if accept == types.JSON_LINES:
        return "".join(f"{json.dumps(answer)}\n" for answer in answers).encode()
    if accept == types.CSV:
        return "".join(f"{','.join(map(str, _flat(answer.values())))}\n" for answer in answers).encode()
    return write_records(
        Record(label={key: Tensor(np.atleast_1d(np.asarray(value, np.float32))) for key, value in answer.items()})
        for answer in answers
    )


def quality(channel: str, name: str, value: float, kind: str = "loss", epoch: int | None = None) -> None:
    """Write one metric to the log."""
    at = "" if epoch is None else f"epoch={epoch}, "
    print(f"#quality_metric: host=algo-1, {at}{channel} {name} <{kind}>={float(value)!r}", flush=True)  # noqa: T201


def progress(percent: float) -> None:
    """Write how much of the training is done to the log."""
    print(f"#progress_metric: host=algo-1, completed {percent:g} % of epochs", flush=True)  # noqa: T201


def _tensor(instance: Mapping[str, Any]) -> Tensor:
    if "data" in instance:
        instance = instance["data"]
    features = instance["features"]
    if not isinstance(features, Mapping):
        return Tensor(np.asarray(features, np.float32))
    values = np.asarray(features["values"], np.float32)
    if "keys" not in features:
        return Tensor(values)
    return Tensor(values, np.asarray(features["keys"], np.int64), tuple(features.get("shape", ())))


def _flat(values: Iterable[Any]) -> Iterable[Any]:
    for value in values:
        if isinstance(value, list):
            yield from value
        else:
            yield value
