from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from clary.algorithms.base import run_training
from clary.algorithms.errors import ClientError
from clary.algorithms.hyperparameters import Hyperparameter, integer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from clary.toolkit.job import Job
    from clary.toolkit.serve.message import Request, Response
    from tests.toolkit.container import Container


class Writer:
    """An algorithm that writes what it was told, or fails as it was told."""

    hyperparameters = (Hyperparameter("n", integer, default=1),)

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def train(self, job: Job, values: Mapping[str, Any]) -> None:
        if self.error is not None:
            raise self.error
        (job.layout.model / "told").write_text(json.dumps(values))

    def load(self, model_dir: Path, environ: Mapping[str, str]) -> Callable[[Request], Response]:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def root(container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLARY_ML_ROOT", str(container.root))


def hosts(container: Container, current: str, distribution: str) -> None:
    container.configure({}, {"train": ""}, {"current_host": current, "hosts": ["algo-1", "algo-2"]})
    channels = {"train": {"S3DistributionType": distribution}}
    container.write("input/config/inputdataconfig.json", json.dumps(channels))


def test_algorithms_get_checked_values(container: Container) -> None:
    container.configure({"n": '"7"', "_tuning_objective_metric": "test:x"})
    assert run_training(Writer()) == 0
    assert json.loads(container.read("model/told")) == {"n": 7, "_tuning_objective_metric": "test:x"}


@pytest.mark.parametrize(
    ("error", "code", "failure"),
    [(ClientError("bad data"), 2, "ClientError: bad data"), (RuntimeError("bug"), 1, "RuntimeError: bug")],
)
def test_failures_say_who_is_to_blame(container: Container, error: Exception, code: int, failure: str) -> None:
    container.configure({})
    assert run_training(Writer(error)) == code
    assert container.read("output/failure") == failure


@pytest.mark.parametrize(("current", "trains"), [("algo-1", True), ("algo-2", False)])
def test_the_first_of_several_hosts_trains(container: Container, current: str, trains: bool) -> None:
    hosts(container, current, "FullyReplicated")
    assert run_training(Writer()) == 0
    assert (container.root / "model/told").exists() == trains


def test_a_part_of_the_data_is_not_enough(container: Container) -> None:
    hosts(container, "algo-1", "ShardedByS3Key")
    assert run_training(Writer()) == 2
    assert "'train' is ShardedByS3Key" in container.read("output/failure")
