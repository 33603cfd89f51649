from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from clary.toolkit.serve.application import hosting
from clary.toolkit.serve.frameworks import FRAMEWORKS
from clary.toolkit.serve.message import Application, Request, Response
from clary.toolkit.serve.script import Script, ScriptError

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS, CLASSES = load_iris(return_X_y=True)


class Doubler:
    """A model whose answers are easy to tell."""

    def predict(self, data: Any) -> Any:
        return np.asarray(data).sum(axis=1) * 2


def build(framework: str = "sklearn", **functions: Callable[..., Any]) -> Application:
    module = ModuleType("inference")
    module.__dict__.update({"model_fn": lambda _folder: Doubler()} | functions)
    return hosting(Script(module, FRAMEWORKS[framework](), Path("model"), "application/json"))


def invoke(
    application: Application, body: bytes | str, content_type: str = "text/csv", accept: str = "*/*"
) -> Response:
    raw = body.encode() if isinstance(body, str) else body
    return application(Request("POST", "/invocations", {"content-type": content_type, "accept": accept}, raw))


def npy(values: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(values))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [("1,2\n3,4", "text/csv"), ("[[1,2],[3,4]]", "application/json"), (npy([[1, 2], [3, 4]]), "application/x-npy")],
)
def test_default_functions_decode_what_the_container_decodes(body: bytes | str, content_type: str) -> None:
    response = invoke(build(), body, content_type)
    assert (response.status, response.content_type) == (200, "application/json")
    assert json.loads(response.body) == [6.0, 14.0]


def test_default_functions_encode_what_the_container_encodes() -> None:
    assert invoke(build(), "1,2", accept="text/csv").body == b"6.0\n"
    loaded = np.load(io.BytesIO(invoke(build(), "1,2", accept="application/x-npy").body))
    assert loaded.tolist() == [6.0]


def test_scikit_learn_model_predicts_as_it_does_itself() -> None:
    model = LogisticRegression(max_iter=500).fit(ROWS, CLASSES)
    response = invoke(build(model_fn=lambda _folder: model), npy(ROWS), "application/x-npy")
    assert json.loads(response.body) == model.predict(ROWS).tolist()


@pytest.mark.parametrize("body", ["5.1,3.5,1.4,0.2", "0:5.1 1:3.5 2:1.4 3:0.2"])
def test_xgboost_gets_a_matrix(body: str) -> None:
    booster = xgboost.train({}, xgboost.DMatrix(ROWS, CLASSES), 2)
    content_type = "text/csv" if "," in body else "text/libsvm"
    response = invoke(build("xgboost", model_fn=lambda _folder: booster), body, content_type, "text/csv")
    assert float(response.body) == pytest.approx(float(booster.predict(xgboost.DMatrix(ROWS[:1]))[0]))


@pytest.mark.parametrize(
    ("content_type", "accept", "body", "status"),
    [
        ("image/png", "*/*", "x", 415),
        ("text/csv", "image/png", "1,2", 406),
        ("text/csv", "*/*", "a,b", 400),
        ("application/json", "*/*", "{", 400),
    ],
)
def test_requests_at_fault_are_told_so(content_type: str, accept: str, body: str, status: int) -> None:
    assert invoke(build(), body, content_type, accept).status == status


def test_user_functions_replace_the_defaults() -> None:
    seen: list[Any] = []

    def input_fn(body: Any, content_type: str) -> Any:
        seen.extend([body, content_type])
        return [[float(body)]]

    def output_fn(prediction: Any, accept: str) -> Any:
        return f"<{prediction[0]}>", "text/html"

    response = invoke(build(input_fn=input_fn, output_fn=output_fn), "4", "text/csv; charset=utf-8", "text/html")
    assert (response.body, response.content_type) == (b"<8.0>", "text/html")
    assert seen == ["4", "text/csv"]


def test_transform_replaces_all_three() -> None:
    application = build(transform_fn=lambda _model, body, content_type, accept: (f"{body}{content_type}", accept))
    assert invoke(application, "1", "text/csv", "text/plain").body == b"1text/csv"


def test_transform_beside_the_others_is_an_error() -> None:
    with pytest.raises(ScriptError, match="not both"):
        build(transform_fn=lambda *_: "", predict_fn=lambda *_: "")


def test_scripts_without_model_fn_are_refused() -> None:
    with pytest.raises(ScriptError, match="model_fn"):
        Script(ModuleType("inference"), FRAMEWORKS["sklearn"](), Path("model"), "application/json")


def test_model_fn_that_returns_nothing_fails_each_prediction_only() -> None:
    application = build(model_fn=lambda _folder: None)
    assert application(Request("GET", "/ping", {}, b"")).status == 200
    response = invoke(application, "1,2")
    assert response.status == 500
    assert b"model_fn returned None" in response.body


def test_errors_of_the_script_are_answered_and_logged(capsys: pytest.CaptureFixture[str]) -> None:
    def predict_fn(_data: Any, _model: Any) -> Any:
        raise ZeroDivisionError("no luck")

    response = invoke(build(predict_fn=predict_fn), "1,2")
    assert (response.status, response.body) == (500, b"ZeroDivisionError: no luck")
    assert "Traceback" in capsys.readouterr().err


def test_a_script_cannot_end_the_server() -> None:
    assert invoke(build(predict_fn=lambda *_: sys.exit(3)), "1,2").status == 500


def test_context_carries_headers_both_ways() -> None:
    name = "X-Amzn-SageMaker-Custom-Attributes"

    def predict_fn(_data: Any, _model: Any, context: Any) -> Any:
        context.set_response_header(0, name, context.get_request_header(0, name) + "!")
        return [1]

    headers = {"content-type": "text/csv", name.lower(): "trace"}
    response = build(predict_fn=predict_fn)(Request("POST", "/invocations", headers, b"1"))
    assert response.headers == {name: "trace!"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/ping", 200), ("GET", "/execution-parameters", 200), ("GET", "/invocations", 405), ("GET", "/x", 404)],
)
def test_paths_of_the_contract(method: str, path: str, status: int) -> None:
    assert build()(Request(method, path, {}, b"")).status == status
