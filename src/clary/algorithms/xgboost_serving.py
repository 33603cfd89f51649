"""The XGBoost container's requests and replies."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from clary.algorithms.channels import widen
from clary.algorithms.hyperparameters import names
from clary.algorithms.xgboost_artefact import load
from clary.toolkit.formats import content_type as types
from clary.toolkit.formats.content_type import MalformedDataError, UnsupportedTypeError
from clary.toolkit.formats.matrices import read_matrix
from clary.toolkit.formats.recordio import Record, Tensor, write_records
from clary.toolkit.serve.application import RefusedRequestError
from clary.toolkit.serve.message import Request, Response

if TYPE_CHECKING:
    from pathlib import Path

Array = NDArray[Any]
Row = Mapping[str, Any]

ACCEPTED = (types.CSV, types.JSON, types.JSON_LINES, types.RECORDIO)
OLD_VERSIONS = ("0.", "1", "latest")
"""Versions that joined the predictions of a request by commas; `1` is the tag of the image before `0.90`."""


class BoosterServer:
    """Answers invocations with one booster, or with the mean of several."""

    def __init__(self, model_dir: Path, environ: Mapping[str, str]) -> None:
        paths = [path for path in sorted(model_dir.iterdir()) if path.is_file() and not path.name.startswith(".")]
        if not paths:
            raise FileNotFoundError(f"There is no model in {model_dir}.")
        self._boosters = [load(path) for path in paths]
        learner = json.loads(self._boosters[0].save_config())["learner"]
        self._objective = str(learner["objective"]["name"])
        self._linear = learner["gradient_booster"]["name"] == "gblinear"
        self._width = self._boosters[0].num_features()
        self._selected = names(environ.get("SAGEMAKER_INFERENCE_OUTPUT", ""))
        self._commas = _joins_by_commas(environ)
        self._default_accept = environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT") or types.CSV

    def __call__(self, request: Request) -> Response:
        """Predict for one request."""
        if not request.body:
            return Response(204)
        try:
            rows = read_matrix(request.body, request.content_type or types.LIBSVM)
        except UnsupportedTypeError as error:
            raise RefusedRequestError(415, str(error)) from error
        try:
            accept = types.choose(request.accept, ACCEPTED, self._default_accept)
        except UnsupportedTypeError as error:
            raise RefusedRequestError(406, str(error)) from error
        rows = self._fitted(rows)
        if self._selected:
            return Response(200, _encode_selected(self._select(rows), accept), accept)
        return Response(200, _encode(self._predict(rows, "value"), accept, commas=self._commas), accept)

    def _fitted(self, rows: Any) -> Any:
        if hasattr(rows, "tocsr"):
            rows = widen(rows, self._width)
        if rows.shape[1] != self._width:
            raise MalformedDataError(f"Feature size of the request is {rows.shape[1]}, the model's is {self._width}.")
        return rows

    def _predict(self, rows: Any, kind: str) -> Array:
        outputs = [self._predict_with(booster, rows, kind) for booster in self._boosters]
        if len(outputs) == 1:
            return outputs[0]
        stacked = np.stack(outputs)
        if self._objective == "multi:softmax" and kind == "value":
            return np.apply_along_axis(lambda votes: np.bincount(votes.astype(int)).argmax(), 0, stacked)
        mean: Array = stacked.mean(axis=0)
        return mean

    def _predict_with(self, booster: Any, rows: Any, kind: str) -> Array:
        if self._linear:
            data = xgboost.DMatrix(rows)
            return np.asarray(booster.predict(data, output_margin=kind == "margin"))
        return np.asarray(booster.inplace_predict(rows, predict_type=kind, validate_features=False))

    def _select(self, rows: Any) -> list[Row]:
        """The keys of SAGEMAKER_INFERENCE_OUTPUT for each row; one that the objective lacks is not-a-number."""
        raw = self._predict(rows, "margin")
        classes = self._objective.startswith(("binary:", "multi:"))
        columns = _class_outputs(raw, self._objective) if classes else {"predicted_score": self._predict(rows, "value")}
        listed = {key: columns[key].tolist() if key in columns else [float("nan")] * len(raw) for key in self._selected}
        return [dict(zip(listed, cells, strict=True)) for cells in zip(*listed.values(), strict=True)]


def _joins_by_commas(environ: Mapping[str, str]) -> bool:
    version = environ.get("CLARY_FRAMEWORK_REQUESTED", "").partition(" ")[2]
    old = version.startswith(OLD_VERSIONS[0]) or version in OLD_VERSIONS[1:]
    return old and environ.get("SAGEMAKER_BATCH", "").lower() != "true"


def _class_outputs(raw: Array, objective: str) -> dict[str, Array]:
    scores = raw if raw.ndim > 1 else np.stack([-raw, raw], axis=1)
    best = scores.argmax(axis=1)
    labels = np.tile(np.arange(scores.shape[1]), (len(scores), 1))
    outputs = {"predicted_label": best, "labels": labels, "raw_scores": scores, "raw_score": scores.max(axis=1)}
    if objective in ("binary:logistic", "binary:logitraw"):
        likely = 1 / (1 + np.exp(-raw))
        probabilities = np.stack([1 - likely, likely], axis=1)
    elif objective in ("multi:softprob", "multi:softmax"):
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        probabilities = powers / powers.sum(axis=1, keepdims=True)
    else:
        return outputs
    return outputs | {"probabilities": probabilities, "probability": probabilities[np.arange(len(best)), best]}


def _encode(predictions: Array, accept: str, *, commas: bool) -> bytes:
    values = predictions.tolist()
    if accept == types.CSV:
        rows = [",".join(map(str, value)) if isinstance(value, list) else str(value) for value in values]
        return (",".join(rows) if commas else "".join(f"{row}\n" for row in rows)).encode()
    return _encode_rows([{"score": value} for value in values], accept)


def _encode_selected(rows: Sequence[Row], accept: str) -> bytes:
    if accept != types.CSV:
        return _encode_rows(rows, accept)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(list(row.values()) for row in rows)
    return text.getvalue().encode()


def _encode_rows(rows: Sequence[Row], accept: str) -> bytes:
    if accept == types.JSON:
        return json.dumps({"predictions": rows}).encode()
    if accept == types.JSON_LINES:
        return "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    tensors = ({key: Tensor(np.atleast_1d(np.float32(value))) for key, value in row.items()} for row in rows)
    return write_records(Record(label=label) for label in tensors)
