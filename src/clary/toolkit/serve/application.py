"""The paths of SageMaker's hosting contract, around a function that predicts."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from clary.toolkit.formats.content_type import MalformedDataError
from clary.toolkit.serve.message import Application, Request, Response

MESSAGE_LIMIT = 500


class RefusedRequestError(Exception):
    """The request is at fault; `status` says how."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


Predict = Callable[[Request], Response]


def hosting(predict: Predict, *, workers: int = 1) -> Application:
    """The application of a model that is loaded."""
    parameters = json.dumps({"MaxConcurrentTransforms": workers, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 6})
    fixed: Mapping[tuple[str, str], Response] = {
        ("GET", "/ping"): Response(),
        ("GET", "/execution-parameters"): Response(body=parameters.encode(), content_type="application/json"),
    }

    def answer(request: Request) -> Response:
        if request.path == "/invocations" and request.method == "POST":
            return _guarded(predict, request)
        return fixed.get((request.method, request.path)) or _elsewhere(request)

    return answer


def failing(reason: str) -> Application:
    """The application of a model that could not be loaded: everything answers the reason."""
    response = Response(500, _short(reason).encode())
    return lambda _request: response


def report(error: BaseException) -> str:
    """Write the trace of an error to the log and return its short text."""
    traceback.print_exception(error, file=sys.stderr)
    return _short(f"{type(error).__name__}: {error}")


def _guarded(predict: Predict, request: Request) -> Response:
    try:
        return predict(request)
    except RefusedRequestError as error:
        report(error)
        return Response(error.status, _short(str(error)).encode())
    except MalformedDataError as error:
        report(error)
        return Response(400, _short(str(error)).encode())
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a model may raise anything, and the server lives on
        return Response(500, report(error).encode())


def _elsewhere(request: Request) -> Response:
    known = request.path in ("/ping", "/invocations", "/execution-parameters")
    return Response(405 if known else 404, f"{request.method} {request.path} is not served here.".encode())


def _short(text: Any) -> str:
    line = str(text)
    return line if len(line) <= MESSAGE_LIMIT else f"{line[:MESSAGE_LIMIT]}..."
