"""Hyperparameter tuning jobs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from clary.controllers import states
from clary.errors import ValidationException
from clary.quotas import SPOT, SPOT_FLAG, TRAINING
from clary.trials import counters, objective, summary, trials

from . import kinds
from .jobs import check_quota, check_role, delete_finished, finder, stop
from .kinds import TUNING_JOB, Family, decode_token, describe, encode_token, find, listing
from .training import check_training, with_defaults

if TYPE_CHECKING:
    from collections.abc import Callable

    from clary.context import Context
    from clary.services.service import Document
    from clary.store.records import Record

    from .jobs import ImageFinder

RANGES = ("ContinuousParameterRanges", "IntegerParameterRanges", "CategoricalParameterRanges")
DEFINITION_ONLY = (
    "DefinitionName",
    "TuningObjective",
    "HyperParameterRanges",
    "StaticHyperParameters",
    "HyperParameterTuningResourceConfig",
)
"""Members of a training job definition that a training job has not."""


class Tuning(Family):
    """Tuning jobs: a search for good hyperparameters by training jobs."""

    def create_hyper_parameter_tuning_job(self, ctx: Context, request: Document) -> Document:
        """Checks what can be checked at once and hands the search to its controller."""
        definition = _definition(request)
        config = _config(request["HyperParameterTuningJobConfig"], definition)
        plan = _plan(config, definition, request["HyperParameterTuningJobName"], finder(self._platform, ctx))
        check_role(
            self._platform, ctx, definition["RoleArn"], TUNING_JOB.arn(ctx, request["HyperParameterTuningJobName"])
        )
        parallel = config["ResourceLimits"]["MaxParallelTrainingJobs"]
        purpose = SPOT if definition.get(SPOT_FLAG) else TRAINING
        check_quota(self._platform, ctx, purpose, plan["TrainingJob"]["ResourceConfig"], parallel)
        record = kinds.create(
            self._platform,
            ctx,
            TUNING_JOB,
            {**request, "HyperParameterTuningJobConfig": config, **_told(request, definition, plan)},
            status="InProgress",
            observed={
                "Plan": plan,
                "Strategy": config["Strategy"],
                "ResourceLimits": config["ResourceLimits"],
                **counters(()),
            },
            due=ctx.now,
        )
        return {"HyperParameterTuningJobArn": record.arn}

    describe_hyper_parameter_tuning_job = describe(TUNING_JOB)
    list_hyper_parameter_tuning_jobs = listing(TUNING_JOB)
    stop_hyper_parameter_tuning_job = stop(TUNING_JOB, states.TUNING_JOB)
    delete_hyper_parameter_tuning_job = delete_finished(TUNING_JOB, states.TUNING_JOB)

    def list_training_jobs_for_hyper_parameter_tuning_job(self, ctx: Context, request: Document) -> Document:
        """The training jobs that a tuning job has begun."""
        tuning = find(self._platform, ctx, TUNING_JOB, request["HyperParameterTuningJobName"])
        order = request.get("SortBy", "Name")
        found = [
            trial
            for trial in trials(self._platform.records, tuning)
            if request.get("StatusEquals", trial.status) == trial.status
            and (order != "FinalObjectiveMetricValue" or objective(trial) is not None)
        ]
        found.sort(key=_ORDERS[order], reverse=request.get("SortOrder") == "Descending")
        start = int(decode_token(request.get("NextToken")) or 0)
        end = start + request.get("MaxResults", 10)
        answer: Document = {"TrainingJobSummaries": [summary(trial) for trial in found[start:end]]}
        if end < len(found):
            answer["NextToken"] = encode_token(end)
        return answer


_ORDERS: dict[str, Callable[[Record], Any]] = {
    "Name": lambda trial: trial.name,
    "CreationTime": lambda trial: trial.created,
    "Status": lambda trial: trial.status,
    "FinalObjectiveMetricValue": objective,
}


def _definition(request: Document) -> Document:
    """The one training job definition."""
    several = request.get("TrainingJobDefinitions") or ()
    if len(several) > 1:
        raise ValidationException(
            "Clary does not support several TrainingJobDefinitions in one tuning job yet; give TrainingJobDefinition."
        )
    if ("TrainingJobDefinition" in request) == bool(several):
        raise ValidationException("Provide exactly one of TrainingJobDefinition and TrainingJobDefinitions.")
    for member in ("WarmStartConfig", "Autotune"):
        if member in request:
            raise ValidationException(f"Clary does not support {member} yet.")
    definition: Document = several[0] if several else request["TrainingJobDefinition"]
    return definition


def _config(config: Document, definition: Document) -> Document:
    """The configuration with the number of training jobs that a grid has."""
    if config["Strategy"] == "Hyperband":
        raise ValidationException("Clary does not support the strategy Hyperband yet; use Bayesian, Random or Grid.")
    if "ConvergenceDetected" in config.get("TuningJobCompletionCriteria", {}):
        raise ValidationException("Clary does not support the completion criterion ConvergenceDetected yet.")
    limits = config["ResourceLimits"]
    wanted = limits.get("MaxNumberOfTrainingJobs")
    if config["Strategy"] == "Grid":
        size = _grid(_ranges(config, definition))
        if wanted not in {None, size}:
            raise ValidationException(
                "For the Grid strategy, the value of MaxNumberOfTrainingJobs must equal the total number of distinct "
                f"categorical combinations possible, which is {size}."
            )
        return {**config, "ResourceLimits": {**limits, "MaxNumberOfTrainingJobs": size}}
    if wanted is None:
        raise ValidationException(f"MaxNumberOfTrainingJobs is required for the {config['Strategy']} strategy.")
    return config


def _grid(ranges: Document) -> int:
    for kind in RANGES[:2]:
        if ranges.get(kind):
            raise ValidationException("Only categorical parameters are supported when using the Grid search strategy.")
    return math.prod(len(set(entry["Values"])) for entry in ranges["CategoricalParameterRanges"])


def _ranges(config: Document, definition: Document) -> Document:
    """The ranges to search, each of them possible."""
    ranges: Document = definition.get("HyperParameterRanges") or config.get("ParameterRanges") or {}
    if ranges.get("AutoParameters"):
        raise ValidationException("Clary does not support AutoParameters yet.")
    entries = [entry for kind in RANGES for entry in ranges.get(kind, ())]
    if not entries:
        raise ValidationException("At least one hyperparameter range is required for a hyperparameter tuning job.")
    names = [entry["Name"] for entry in entries] + list(definition.get("StaticHyperParameters", ()))
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValidationException(f"The hyperparameter [{twice}] is given more than once.")
    for kind, read in (("ContinuousParameterRanges", float), ("IntegerParameterRanges", int)):
        for entry in ranges.get(kind, ()):
            _check_range(entry, read)
    distinct = [
        {**entry, "Values": list(dict.fromkeys(entry["Values"]))}
        for entry in ranges.get("CategoricalParameterRanges", ())
    ]
    return {**ranges, "CategoricalParameterRanges": distinct}


def _check_range(entry: Document, read: type[float] | type[int]) -> None:
    name, scaling = entry["Name"], entry.get("ScalingType", "Auto")
    try:
        low, high = read(entry["MinValue"]), read(entry["MaxValue"])
    except ValueError:
        low, high = math.nan, math.nan
    if not -math.inf < low <= high < math.inf:
        raise ValidationException(
            f"The range of the hyperparameter [{name}] is not valid: MinValue {entry['MinValue']} and MaxValue "
            f"{entry['MaxValue']} must be numbers of its type, the first one not above the second."
        )
    if scaling == "Logarithmic" and low <= 0:
        raise ValidationException(f"Logarithmic scaling of [{name}] needs a range of values greater than 0.")
    if scaling == "ReverseLogarithmic" and (read is int or low < 0 or high >= 1):
        raise ValidationException(
            f"Reverse logarithmic scaling of [{name}] needs a continuous range within 0 <= x < 1."
        )


def _plan(config: Document, definition: Document, name: str, find_image: ImageFinder) -> Document:
    """What the controller goes by, whichever of several members asked for it."""
    training = _training_job(definition, name, find_image)
    wanted = _objective(config, definition, training, find_image)
    static = {**training["HyperParameters"], "_tuning_objective_metric": wanted["MetricName"]}
    return {
        "DefinitionName": definition.get("DefinitionName", ""),
        "Objective": wanted,
        "ParameterRanges": _ranges(config, definition),
        "TrainingJob": {**training, "HyperParameters": static},
    }


def _told(request: Document, definition: Document, plan: Document) -> Document:
    """The training job definition with what AWS fills in, so that Describe tells it."""
    training = plan["TrainingJob"]
    told = {
        **definition,
        "StaticHyperParameters": training["HyperParameters"],
        "OutputDataConfig": training["OutputDataConfig"],
        # The SageMaker SDK v2 sends HyperParameterTuningResourceConfig, but its `attach` reads this one.
        "ResourceConfig": training["ResourceConfig"],
    }
    return {"TrainingJobDefinition": told} if "TrainingJobDefinition" in request else {"TrainingJobDefinitions": [told]}


def _training_job(definition: Document, name: str, find_image: ImageFinder) -> Document:
    """What every training job of the tuning job is created with, its name and tuned hyperparameters aside."""
    resources = definition.get("ResourceConfig") or definition.get("HyperParameterTuningResourceConfig", {})
    if not {"InstanceType", "InstanceCount"} <= resources.keys():
        raise ValidationException(
            "InstanceType and InstanceCount are required in ResourceConfig or HyperParameterTuningResourceConfig; "
            "Clary does not support InstanceConfigs yet."
        )
    request = {
        **{member: value for member, value in definition.items() if member not in DEFINITION_ONLY},
        "HyperParameters": definition.get("StaticHyperParameters", {}),
        "ResourceConfig": resources,
    }
    check_training({**request, "TrainingJobName": name}, find_image)
    return with_defaults(request, find_image)


def _objective(config: Document, definition: Document, training: Document, find_image: ImageFinder) -> Document:
    """Which metric to optimise; one that the training jobs report."""
    wanted: Document | None = definition.get("TuningObjective") or config.get("HyperParameterTuningJobObjective")
    if wanted is None:
        raise ValidationException("HyperParameterTuningJobObjective is required.")
    algorithm = training["AlgorithmSpecification"]
    known = [entry["Name"] for entry in algorithm.get("MetricDefinitions", ())]
    if not known:
        raise ValidationException(
            "A metric is required for this hyperparameter tuning job objective. Provide a metric in the metric "
            "definitions."
        )
    uri, name = algorithm["TrainingImage"], wanted["MetricName"]
    if name not in known:
        raise ValidationException(
            f"The objective metric for the hyperparameter tuning job, [{name}], isn't valid for the [{uri}] algorithm. "
            "Choose a valid objective metric."
        )
    reported = find_image(uri).reports(training["HyperParameters"], training.get("Environment", {}))
    direction = next((metric.direction for metric in reported if metric.name == name), wanted["Type"])
    if direction != wanted["Type"]:
        raise ValidationException(
            f"The objective metric type, [{wanted['Type']}], that you specified for objective metric, [{name}], isn't "
            f"valid for the [{uri}] algorithm. Choose a valid objective metric type."
        )
    return wanted
