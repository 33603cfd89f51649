from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_breast_cancer, load_iris

from clary.algorithms.xgboost_artefact import save
from clary.algorithms.xgboost_serving import BoosterServer
from clary.toolkit.formats.recordio import read_records
from clary.toolkit.serve.application import hosting
from clary.toolkit.serve.message import Request, Response
from tests.algorithms.data import Array, csv, libsvm, recordio
from tests.toolkit.container import Container, Server

if TYPE_CHECKING:
    from pathlib import Path

ROWS, LABELS = load_breast_cancer(return_X_y=True)
FLOWERS, SPECIES = load_iris(return_X_y=True)


def fit(rows: Array, labels: Array, objective: str, **options: object) -> xgboost.Booster:
    return xgboost.train({"objective": objective} | options, xgboost.DMatrix(rows.astype(np.float32), labels), 3)


def invoke(
    folder: Path, body: bytes | str, content_type: str = "text/csv", accept: str = "*/*", **environ: str
) -> Response:
    application = hosting(BoosterServer(folder, environ))
    raw = body.encode() if isinstance(body, str) else body
    return application(Request("POST", "/invocations", {"content-type": content_type, "accept": accept}, raw))


@pytest.fixture
def binary(tmp_path: Path) -> xgboost.Booster:
    booster = fit(ROWS, LABELS, "binary:logistic")
    save(booster, tmp_path / "xgboost-model")
    return booster


@pytest.fixture
def softprob(tmp_path: Path) -> xgboost.Booster:
    booster = fit(FLOWERS, SPECIES, "multi:softprob", num_class=3)
    save(booster, tmp_path / "xgboost-model")
    return booster


def test_runs_as_a_program(container: Container) -> None:
    (container.root / "model").mkdir()
    save(fit(ROWS, LABELS, "binary:logistic"), container.root / "model/xgboost-model")
    server = Server(container, "clary.algorithms", "xgboost", "serve")
    try:
        assert server.client.request("GET", "/ping")[0] == 200
        status, body = server.client.invoke(csv(ROWS[:3]))
        assert (status, len(body.splitlines())) == (200, 3)
    finally:
        assert server.stop()[0] == 0


@pytest.mark.parametrize(
    "content_type", ["text/csv", "text/libsvm", "text/x-libsvm", "application/x-recordio-protobuf"]
)
def test_predictions_are_the_boosters_own(tmp_path: Path, binary: xgboost.Booster, content_type: str) -> None:
    rows = ROWS[:5].astype(np.float32)
    bodies: dict[str, str | bytes] = {
        "text/csv": csv(rows),
        "application/x-recordio-protobuf": recordio(rows, LABELS[:5]),
    }
    response = invoke(tmp_path, bodies.get(content_type) or libsvm(rows, LABELS[:5]), content_type)
    assert (response.status, response.content_type) == (200, "text/csv")
    values = [float(line) for line in response.body.decode().splitlines()]
    np.testing.assert_allclose(values, binary.predict(xgboost.DMatrix(rows)), rtol=1e-5)


def test_replies_in_each_format(tmp_path: Path, binary: xgboost.Booster) -> None:
    expected = pytest.approx([float(v) for v in binary.predict(xgboost.DMatrix(ROWS[:2]))], rel=1e-5)
    body = csv(ROWS[:2])
    answer = json.loads(invoke(tmp_path, body, accept="application/json").body)
    assert [row["score"] for row in answer["predictions"]] == expected
    lines = invoke(tmp_path, body, accept="application/jsonlines").body.splitlines()
    assert [json.loads(line)["score"] for line in lines] == expected
    records = read_records(invoke(tmp_path, body, accept="application/x-recordio-protobuf").body)
    assert [float(record.label["score"].values[0]) for record in records] == expected


def test_a_row_of_probabilities_a_line(tmp_path: Path, softprob: xgboost.Booster) -> None:
    lines = invoke(tmp_path, csv(FLOWERS[:2])).body.decode().splitlines()
    found = np.array([[float(cell) for cell in line.split(",")] for line in lines])
    np.testing.assert_allclose(found, softprob.predict(xgboost.DMatrix(FLOWERS[:2])), rtol=1e-5)


@pytest.mark.parametrize(
    ("requested", "batch", "reply"),
    [("xgboost 0.90-2", "", b","), ("xgboost 1", "", b","), ("xgboost 1.7-1", "", b"\n"), ("xgboost 1", "true", b"\n")],
)
def test_old_versions_join_by_commas(
    tmp_path: Path, binary: xgboost.Booster, requested: str, batch: str, reply: bytes
) -> None:
    body = invoke(tmp_path, csv(ROWS[:3]), CLARY_FRAMEWORK_REQUESTED=requested, SAGEMAKER_BATCH=batch).body
    assert len(body.strip().split(reply)) == 3


def test_selected_outputs(tmp_path: Path, binary: xgboost.Booster) -> None:
    keys = "predicted_label,probability,probabilities,raw_score,labels,predicted_score"
    response = invoke(tmp_path, csv(ROWS[:1]), accept="application/json", SAGEMAKER_INFERENCE_OUTPUT=keys)
    (row,) = json.loads(response.body)["predictions"]
    likely = float(binary.predict(xgboost.DMatrix(ROWS[:1]))[0])
    assert row["predicted_label"] == int(likely > 0.5)
    assert row["probabilities"] == pytest.approx([1 - likely, likely], rel=1e-4)
    assert row["probability"] == pytest.approx(max(likely, 1 - likely), rel=1e-4)
    assert row["labels"] == [0, 1]
    assert np.isnan(row["predicted_score"])


def test_selected_outputs_as_csv(tmp_path: Path, softprob: xgboost.Booster) -> None:
    keys = "predicted_label,probabilities"
    body = invoke(tmp_path, csv(FLOWERS[:1]), SAGEMAKER_INFERENCE_OUTPUT=keys).body.decode()
    label, _, probabilities = body.strip().partition(",")
    assert label == "0"
    assert len(json.loads(probabilities.strip('"'))) == 3


def test_regression_selects_its_score(tmp_path: Path) -> None:
    booster = fit(ROWS, ROWS[:, 0], "reg:squarederror")
    save(booster, tmp_path / "xgboost-model")
    body = invoke(tmp_path, csv(ROWS[:1]), SAGEMAKER_INFERENCE_OUTPUT="predicted_score").body
    assert float(body) == pytest.approx(float(booster.predict(xgboost.DMatrix(ROWS[:1]))[0]), rel=1e-5)


def test_several_boosters_answer_their_mean(tmp_path: Path) -> None:
    boosters = [fit(ROWS, LABELS, "binary:logistic", seed=seed, subsample=0.5) for seed in range(3)]
    for number, booster in enumerate(boosters):
        save(booster, tmp_path / f"xgboost-model-{number}")
    mean = np.mean([booster.predict(xgboost.DMatrix(ROWS[:1])) for booster in boosters])
    assert float(invoke(tmp_path, csv(ROWS[:1])).body) == pytest.approx(float(mean), rel=1e-5)


def test_linear_boosters_are_served(tmp_path: Path) -> None:
    booster = fit(ROWS, LABELS, "binary:logistic", booster="gblinear")
    save(booster, tmp_path / "xgboost-model")
    expected = float(booster.predict(xgboost.DMatrix(ROWS[:1].astype(np.float32)))[0])
    assert float(invoke(tmp_path, csv(ROWS[:1])).body) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("content_type", "accept", "body", "status"),
    [
        ("image/png", "*/*", "x", 415),
        ("text/csv", "image/png", csv(ROWS[:1]), 406),
        ("text/csv", "*/*", "1,2\n", 400),
        ("text/csv", "*/*", "a,b\n", 400),
        ("text/csv", "*/*", "", 204),
    ],
)
def test_requests_at_fault_are_told_so(
    tmp_path: Path, binary: xgboost.Booster, content_type: str, accept: str, body: str, status: int
) -> None:
    assert invoke(tmp_path, body, content_type, accept).status == status
