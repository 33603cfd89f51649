"""XGBoost: AWS's built-in algorithm with the current library behind it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import xgboost

from clary.algorithms.channels import Dataset, Reading, read_channel, widen
from clary.algorithms.errors import ClientError
from clary.algorithms.xgboost_artefact import load, save
from clary.algorithms.xgboost_folds import train_folds
from clary.algorithms.xgboost_hyperparameters import HYPERPARAMETERS, check_metric, is_maximized, library_parameters
from clary.algorithms.xgboost_metrics import CUSTOM_METRICS, custom_metric
from clary.algorithms.xgboost_serving import BoosterServer
from clary.toolkit.formats import content_type as types
from clary.toolkit.job import TUNING_METRIC, Job

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from clary.toolkit.serve.message import Request, Response

MODEL_NAME = "xgboost-model"
CHECKPOINT_NAME = "xgboost-checkpoint"
CHECKPOINTS_KEPT = 5
CONTENT_TYPES = (types.LIBSVM, types.CSV, types.PARQUET, types.RECORDIO)


class XGBoost:
    """Gradient boosted trees."""

    hyperparameters = HYPERPARAMETERS

    def train(self, job: Job, values: Mapping[str, Any]) -> None:
        """Boost for `num_round` rounds, or until the validation metric no longer gets better."""
        fit = Fit(values)
        train, validation = _read(job, weighted=bool(values["csv_weights"]))
        if values["_kfold"]:
            train_folds(fit, train, validation, values, job.layout)
            return
        checkpoints = job.layout.root / "checkpoints"
        booster = fit.run(train, validation, checkpoints if checkpoints.is_dir() else None)
        save(booster, job.layout.model / MODEL_NAME)

    def load(self, model_dir: Path, environ: Mapping[str, str]) -> Callable[[Request], Response]:
        """The boosters of the model folder behind AWS's request and reply formats."""
        return BoosterServer(model_dir, environ)


ALGORITHM = XGBoost()


class Fit:
    """One call of `xgboost.train`, as often as wanted with the same hyperparameters."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.rounds = int(values["num_round"])
        self.parameters = library_parameters(values)
        self._patience = values["early_stopping_rounds"]
        self._stops_on_term = bool(values["save_model_on_termination"])
        self._metrics = _metric_names(values)
        native = [name for name in self._metrics if name not in CUSTOM_METRICS]
        if native:
            self.parameters["eval_metric"] = native

    def run(self, train: Any, validation: Any = None, checkpoints: Path | None = None) -> Any:
        """The booster for a training DMatrix.

        Raises:
            ClientError: the library refuses the data or the hyperparameters.
        """
        watched = [(train, "train")] + ([(validation, "validation")] if validation is not None else [])
        previous, done = _resume(checkpoints)
        custom = [name for name in self._metrics if name in CUSTOM_METRICS]
        try:
            return xgboost.train(
                self.parameters,
                train,
                num_boost_round=self.rounds - done,
                evals=watched,
                custom_metric=custom_metric(custom, self.parameters["objective"]),
                callbacks=self._callbacks(validation is not None, checkpoints, done),
                xgb_model=previous,
                verbose_eval=False,
            )
        except (xgboost.core.XGBoostError, ValueError) as error:
            raise ClientError(_first_lines(error)) from error

    def _callbacks(self, validated: bool, checkpoints: Path | None, done: int) -> list[Any]:
        callbacks: list[Any] = [Log(done)]
        if self._patience and not validated:
            print("early_stopping_rounds has no effect without a validation channel.")  # noqa: T201
        elif self._patience:
            metric = self._metrics[-1] if self._metrics else None
            maximize = is_maximized(metric) if metric else None
            callbacks.append(
                xgboost.callback.EarlyStopping(
                    rounds=self._patience, metric_name=metric, data_name="validation", maximize=maximize, save_best=True
                )
            )
        if checkpoints is not None:
            callbacks.append(Checkpoint(checkpoints, done))
        if self._stops_on_term:
            callbacks.append(StopOnTerm())
        return callbacks


class Log(xgboost.callback.TrainingCallback):
    """Writes the metrics of each round as the container does: a tab before each."""

    def __init__(self, done: int) -> None:
        super().__init__()
        self._done = done

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Any]) -> bool:
        """Write one line."""
        del model
        scores = [
            f"\t{channel}-{metric}:{history[-1]:.5f}"
            for channel, metrics in evals_log.items()
            for metric, history in metrics.items()
        ]
        print(f"[{epoch + self._done}]{''.join(scores)}", flush=True)  # noqa: T201
        return False


class Checkpoint(xgboost.callback.TrainingCallback):
    """Keeps the last few rounds, from which a restarted job goes on."""

    def __init__(self, folder: Path, done: int) -> None:
        super().__init__()
        self._folder = folder
        self._done = done

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Any]) -> bool:
        """Save the round, then drop the oldest."""
        del evals_log
        number = epoch + self._done
        save(model, self._folder / f"{CHECKPOINT_NAME}.{number}")
        (self._folder / f"{CHECKPOINT_NAME}.{number - CHECKPOINTS_KEPT}").unlink(missing_ok=True)
        return False


class StopOnTerm(xgboost.callback.TrainingCallback):
    """Ends training after the round in which the job is told to stop, so that the model is saved."""

    def __init__(self) -> None:
        super().__init__()
        self._told = False

    def before_training(self, model: Any) -> Any:
        """Listen."""
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "_told", True))
        return model

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Any]) -> bool:
        """Whether to stop."""
        del model, epoch, evals_log
        return self._told


def _read(job: Job, *, weighted: bool) -> tuple[Any, Any]:
    reading = Reading(types.LIBSVM, CONTENT_TYPES, weighted=weighted)
    train = read_channel(job, "train", reading)
    if train is None:
        raise ClientError("Missing required channel: train")
    validation = read_channel(job, "validation", reading)
    width = max(part.features.shape[1] for part in (train, validation) if part is not None)
    return _matrix(train, width), _matrix(validation, width) if validation is not None else None


def _matrix(data: Dataset, width: int) -> Any:
    try:
        return xgboost.DMatrix(widen(data.features, width), label=data.labels, weight=data.weights)
    except xgboost.core.XGBoostError as error:
        raise ClientError(_first_lines(error)) from error


def _metric_names(values: Mapping[str, Any]) -> list[str]:
    """The metrics asked for, the tuner's last, because early stopping watches the last one."""
    wanted = list(values["eval_metric"])
    tuned = str(values.get(TUNING_METRIC, "")).rpartition(":")[2]
    for name in [*wanted, *([tuned] if tuned else [])]:
        check_metric(name)
    return [name for name in wanted if name != tuned] + ([tuned] if tuned else [])


def _resume(checkpoints: Path | None) -> tuple[Any, int]:
    """The newest checkpoint and how many rounds it has."""
    numbers = [int(path.suffix[1:]) for path in (checkpoints.glob(f"{CHECKPOINT_NAME}.*") if checkpoints else ())]
    if checkpoints is None or not numbers:
        return None, 0
    newest = max(numbers)
    return load(checkpoints / f"{CHECKPOINT_NAME}.{newest}"), newest + 1


def _first_lines(error: Exception) -> str:
    return str(error).partition("Stack trace:")[0].strip()
