"""The user's inference script: `model_fn`, then `input_fn`, `predict_fn` and `output_fn`, or `transform_fn` for all."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from clary.toolkit.formats import content_type as types
from clary.toolkit.serve.application import RefusedRequestError
from clary.toolkit.serve.message import Request, Response

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

TEXT_TYPES = frozenset({types.CSV, types.JSON})
"""Types whose bodies scripts receive as `str`."""


class ScriptError(Exception):
    """The script does not follow the contract."""


class Framework(Protocol):
    """What a framework does where the script leaves a function out."""

    def input_fn(self, body: Any, content_type: str) -> Any:
        """Decode a request body."""

    def predict_fn(self, data: Any, model: Any) -> Any:
        """Predict."""

    def output_fn(self, prediction: Any, accept: str) -> Any:
        """Encode predictions."""


@dataclass(slots=True)
class Context:
    """What a function may take as one more argument, to see request headers and to set those of the reply."""

    request_headers: dict[str, str]
    response_headers: dict[str, str] = field(default_factory=dict)

    def get_request_header(self, _index: int, key: str) -> str | None:
        """A header of the request; the index is always 0 and there for compatibility."""
        return self.request_headers.get(key.lower())

    def set_response_header(self, _index: int, key: str, value: str) -> None:
        """Set a header of the reply."""
        self.response_headers[key] = value


def load_script(path: Path) -> ModuleType:
    """Import the user's script.

    Raises:
        ScriptError: there is no such file.
    """
    if not path.is_file():
        raise ScriptError(f"The inference script {path} does not exist; SAGEMAKER_PROGRAM names it.")
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None  # noqa: S101  # files that end with .py always have one
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


class Script:
    """A loaded model with the functions around it."""

    def __init__(self, module: ModuleType, framework: Framework, model_dir: Path, default_accept: str) -> None:
        if not hasattr(module, "model_fn"):
            raise ScriptError(f"The script {module.__name__} must define model_fn(model_dir), which loads the model.")
        parts = [name for name in ("input_fn", "predict_fn", "output_fn") if hasattr(module, name)]
        if hasattr(module, "transform_fn") and parts:
            raise ScriptError(f"Define either transform_fn or {', '.join(parts)}, not both.")
        self._default_accept = default_accept
        self._transform = _call(getattr(module, "transform_fn", None), 4)
        self._input = _call(getattr(module, "input_fn", framework.input_fn), 2)
        self._predict = _call(getattr(module, "predict_fn", framework.predict_fn), 2)
        self._output = _call(getattr(module, "output_fn", framework.output_fn), 2)
        self._model = _call(module.model_fn, 1)(Context({}), str(model_dir))

    def __call__(self, request: Request) -> Response:
        """Predict for one request."""
        try:
            return self._answer(request)
        except (RefusedRequestError, types.MalformedDataError):
            raise
        except Exception as error:
            if self._model is None:
                raise ScriptError(f"model_fn returned None, so there is no model to predict with ({error}).") from error
            raise

    def _answer(self, request: Request) -> Response:
        context = Context(dict(request.headers))
        content_type = types.ContentType.parse(request.content_type or types.JSON).name
        accept = self._default_accept if request.accept == "*/*" else request.accept
        body: bytes | str = _text(request.body) if content_type in TEXT_TYPES else request.body
        if self._transform is not None:
            result = self._transform(context, self._model, body, content_type, accept)
        else:
            result = self._steps(context, body, content_type, accept)
        return _response(result, accept, context)

    def _steps(self, context: Context, body: bytes | str, content_type: str, accept: str) -> Any:
        data = _checked(415, self._input, context, body, content_type)
        prediction = self._predict(context, data, self._model)
        return _checked(406, self._output, context, prediction, accept)


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise types.MalformedDataError(f"The body is no text in UTF-8: {error}") from error


Call = Callable[..., Any]


def _call(function: Call | None, arguments: int) -> Any:
    """The function as one that takes the context first, whether it wants the context (last) or not."""
    if function is None:
        return None
    takes_context = len(inspect.signature(function).parameters) > arguments

    def call(context: Context, *values: Any) -> Any:
        return function(*values, context) if takes_context else function(*values)

    return call


def _checked(status: int, function: Call, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except types.UnsupportedTypeError as error:
        raise RefusedRequestError(status, str(error)) from error


def _response(result: Any, accept: str, context: Context) -> Response:
    content_type = accept
    if isinstance(result, tuple):
        result, content_type = result
    if isinstance(result, str):
        result = result.encode()
    if not isinstance(result, bytes | bytearray | memoryview):
        raise ScriptError(f"The script answered a {type(result).__name__}; it must be str or bytes.")
    return Response(200, bytes(result), content_type, context.response_headers)
