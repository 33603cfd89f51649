"""What every built-in algorithm is, and how it is run below `/opt/ml`."""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING, Any, Protocol

from clary.algorithms.errors import ClientError
from clary.algorithms.hyperparameters import Hyperparameter, validate
from clary.toolkit.framework import announcement
from clary.toolkit.job import TUNING_METRIC, Job, decode
from clary.toolkit.layout import Layout
from clary.toolkit.serve.application import failing, hosting, report
from clary.toolkit.serve.server import listen, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from clary.toolkit.serve.message import Application, Request, Response

CLIENT_ERROR_CODE = 2
"""Exit status that blames the job, as AWS's containers use it."""


class Algorithm(Protocol):
    """A built-in algorithm."""

    @property
    def hyperparameters(self) -> Sequence[Hyperparameter]:
        """All that a job may set."""

    def train(self, job: Job, values: Mapping[str, Any]) -> None:
        """Read the channels, write metrics to the log and the artefact to the model folder.

        `values` holds each declared hyperparameter, and the tuner's metric under its own name where a tuner asks.

        Raises:
            ClientError: the job is at fault.
        """

    def load(self, model_dir: Path, environ: Mapping[str, str]) -> Callable[[Request], Response]:
        """The artefact as a function that answers invocations."""


def run_training(algorithm: Algorithm) -> int:
    """Train as the files below `/opt/ml/input/config` say; answers the exit status."""
    layout = Layout.of(os.environ)
    print(announcement(os.environ), flush=True)  # noqa: T201  # the log of the job is our standard output
    try:
        job = Job.read(layout)
        layout.model.mkdir(parents=True, exist_ok=True)
        values = _values(algorithm, job)
        if _trains_here(job):
            algorithm.train(job, values)
    except ClientError as error:
        print(f"Customer Error: {error}", file=sys.stderr)  # noqa: T201
        layout.write_failure(f"ClientError: {error}")
        return CLIENT_ERROR_CODE
    except Exception as error:  # noqa: BLE001  # whatever it is, the job shall tell
        traceback.print_exc()
        layout.write_failure(f"{type(error).__name__}: {error}")
        return 1
    return 0


def run_server(algorithm: Algorithm) -> int:
    """Serve the artefact of `/opt/ml/model` until SIGTERM."""
    layout = Layout.of(os.environ)
    print(announcement(os.environ), flush=True)  # noqa: T201
    workers = int(os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS") or 1)

    def load() -> Application:
        try:
            return hosting(algorithm.load(layout.model, os.environ), workers=workers)
        except Exception as error:  # noqa: BLE001  # a broken artefact may raise anything
            return failing(f"The model could not be loaded. {report(error)}")

    serve(load, listen(os.environ), workers)
    return 0


def _trains_here(job: Job) -> bool:
    """The first host trains for all of them, which needs all data.

    Raises:
        ClientError: it has only a part.
    """
    parts = job.shared_out_channels
    if parts:
        raise ClientError(
            f"Channel {parts[0]!r} is ShardedByS3Key over several instances, which the built-in algorithms do not "
            "support here; use FullyReplicated or one instance."
        )
    if not job.is_first_host:
        print("The first instance trains for all of them; this one has nothing to do.")  # noqa: T201
    return job.is_first_host


def _values(algorithm: Algorithm, job: Job) -> dict[str, Any]:
    given = dict(job.text)
    metric = given.pop(TUNING_METRIC, "")
    values = validate(algorithm.hyperparameters, given)
    return values | ({TUNING_METRIC: decode(metric)} if metric else {})
