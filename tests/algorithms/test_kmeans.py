from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris

from clary.algorithms import artefact
from clary.algorithms.base import run_training
from clary.algorithms.kmeans import ALGORITHM
from clary.toolkit.formats.recordio import read_records
from clary.toolkit.serve.application import hosting
from clary.toolkit.serve.message import Request
from tests.algorithms.data import Split, csv

if TYPE_CHECKING:
    from tests.toolkit.container import Container

Train = Callable[..., int]
IRIS = Split(load_iris(return_X_y=True))


@pytest.fixture
def train(container: Container, monkeypatch: pytest.MonkeyPatch) -> Train:
    monkeypatch.setenv("CLARY_ML_ROOT", str(container.root))
    IRIS.write(container, other="test", labelled=False)

    def run(**hyperparameters: Any) -> int:
        texts = {"k": "3", "feature_dim": "4"} | {k: str(v) for k, v in hyperparameters.items()}
        container.configure(texts, {"train": "text/csv;label_size=0", "test": "text/csv;label_size=0"})
        return run_training(ALGORITHM)

    return run


@pytest.mark.parametrize("options", [{}, {"init_method": "kmeans++", "epochs": 3, "extra_center_factor": 5}])
def test_clusters_are_nearly_as_tight_as_lloyds(
    train: Train, capsys: pytest.CaptureFixture[str], options: dict[str, Any]
) -> None:
    assert train(eval_metrics='["msd","ssd"]', **options) == 0
    found = dict(re.findall(r"#quality_metric: host=algo-1, test (\w+) <loss>=(\S+)", capsys.readouterr().out))
    best = -KMeans(3, n_init=10, random_state=0).fit(IRIS.rows).score(IRIS.other_rows)
    assert float(found["ssd"]) <= 1.15 * best
    assert float(found["msd"]) == pytest.approx(float(found["ssd"]) / len(IRIS.other_rows))


def test_replies_name_the_closest_cluster(container: Container, train: Train) -> None:
    assert train() == 0
    centres = artefact.load(container.root / "model")["centres"]
    application = hosting(ALGORITHM.load(container.root / "model", {}))
    row = IRIS.other_rows[:1]
    distances = np.linalg.norm(centres - row, axis=1)
    expected = {"closest_cluster": float(distances.argmin()), "distance_to_cluster": pytest.approx(distances.min())}

    def ask(accept: str) -> bytes:
        headers = {"content-type": "text/csv", "accept": accept}
        return application(Request("POST", "/invocations", headers, csv(row).encode())).body

    assert json.loads(ask("application/json")) == {"predictions": [expected]}
    assert json.loads(ask("application/jsonlines")) == expected
    assert ask("text/csv").startswith(b"%.1f," % distances.argmin())
    (record,) = read_records(ask("application/x-recordio-protobuf"))
    assert set(record.label) == {"closest_cluster", "distance_to_cluster"}


@pytest.mark.parametrize(
    ("hyperparameters", "reason"),
    [
        ({"feature_dim": 5}, "feature_dim is 5, but channel 'train' has 4 features"),
        ({"k": 1000}, "k is 1000, but the train channel has only"),
        ({"eval_metrics": '["mean"]'}, "Hyperparameter eval_metrics"),
        ({"clusters": 3}, "'clusters' was unexpected"),
    ],
)
def test_mistakes_fail_the_job(
    container: Container, train: Train, hyperparameters: dict[str, Any], reason: str
) -> None:
    assert train(**hyperparameters) == 2
    assert reason in container.read("output/failure")
