"""Training jobs."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from clary.controllers import states
from clary.errors import NotSupported, ValidationException
from clary.expressions import Expression
from clary.quotas import SPOT, SPOT_FLAG, TRAINING
from clary.services.service import in_thread
from clary.warm_pools import claim

from . import kinds, pools
from .jobs import check_instances, check_quota, check_role, delete_finished, finder, s3_uri, secondary, stop
from .kinds import TRAINING_JOB, Family, describe, find, listing
from .longpoll import held

if TYPE_CHECKING:
    from datetime import datetime

    from clary.api import sagemaker as api
    from clary.context import Context
    from clary.services.service import Document, Members

    from .jobs import ImageFinder

ON_INSTANCES = frozenset({"AlgorithmSpecification", "ResourceConfig", "StoppingCondition"})
"""What AWS requires of training jobs that are not serverless."""

CHECKPOINTS = "/opt/ml/checkpoints"
TAKEN = ("/opt/ml/input", "/opt/ml/model", "/opt/ml/output", "/opt/ml/code")
"""Folders that have a meaning of their own."""


class Training(Family):
    """Training jobs: script mode, built-in algorithms and commands of one's own."""

    @in_thread
    def create_training_job(self, ctx: Context, request: api.CreateTrainingJobRequest) -> api.CreateTrainingJobResponse:
        """Checks what can be checked at once and hands the job to its controller."""
        find_image = finder(self._platform, ctx)
        check_training(request, find_image)
        check_role(self._platform, ctx, request["RoleArn"], TRAINING_JOB.arn(ctx, request["TrainingJobName"]))
        spec = with_defaults(request, find_image)
        transitions = [secondary("Starting", "Starting the training job", ctx.now)]
        observed = {"SecondaryStatus": "Starting", "SecondaryStatusTransitions": transitions} | _rules(request, ctx.now)
        with self._platform.records.together():
            pool = claim(self._platform.records, (ctx.account, ctx.region), request["TrainingJobName"], spec, ctx.now)
            check_quota(self._platform, ctx, SPOT if spec[SPOT_FLAG] else TRAINING, spec["ResourceConfig"])
            record = kinds.create(
                self._platform, ctx, TRAINING_JOB, spec, status="InProgress", observed={**observed, **pool}, due=ctx.now
            )
        return {"TrainingJobArn": record.arn}

    def update_training_job(self, ctx: Context, request: api.UpdateTrainingJobRequest) -> api.UpdateTrainingJobResponse:
        """Keeps the instances of a job that has ended for a longer or shorter time; for none, they go at once."""
        for member in ("ProfilerConfig", "ProfilerRuleConfigurations", "RemoteDebugConfig"):
            if request.get(member):
                raise NotSupported(f"Clary does not support {member} in UpdateTrainingJob.")
        record = find(self._platform, ctx, TRAINING_JOB, request["TrainingJobName"])
        if "ResourceConfig" in request:
            seconds = request["ResourceConfig"]["KeepAlivePeriodInSeconds"]
            self._platform.records.edit(record, lambda current: pools.prolonged(current, seconds, ctx.now))
        return {"TrainingJobArn": record.arn}

    describe_training_job = held(TRAINING_JOB, describe(TRAINING_JOB, pools.told))
    list_training_jobs = listing(TRAINING_JOB, seen=pools.wanted)
    stop_training_job = stop(TRAINING_JOB, states.TRAINING_JOB)
    delete_training_job = delete_finished(TRAINING_JOB, states.TRAINING_JOB, pools.refuse_kept)


def _rules(request: Members, now: datetime) -> Document:
    """What Describe tells of the rules of Debugger and Profiler, none of which is run here."""
    told: Document = {"ProfilingStatus": "Disabled"} if "ProfilerConfig" in request else {}
    for kind in ("Debug", "Profiler"):
        rules = request.get(f"{kind}RuleConfigurations", ())
        if rules:
            told[f"{kind}RuleEvaluationStatuses"] = [
                {
                    "RuleConfigurationName": rule["RuleConfigurationName"],
                    "RuleEvaluationStatus": "Error",
                    "StatusDetails": "Clary does not run the rules of Debugger and Profiler.",
                    "LastModifiedTime": now,
                }
                for rule in rules
            ]
    return told


def check_training(request: Members, find_image: ImageFinder) -> None:
    """Refuses a training request that could never run; also used for the jobs of a tuning job.

    Raises:
        ValidationException: in AWS's words where AWS checks it too.
    """
    if not request.keys() >= ON_INSTANCES:
        raise ValidationException(
            f"{', '.join(sorted(ON_INSTANCES))} are required: Clary does not support serverless training jobs yet."
        )
    algorithm = request["AlgorithmSpecification"]
    if "TrainingImage" not in algorithm:
        raise ValidationException(
            "Clary does not support AlgorithmName (marketplace algorithms) yet; give a TrainingImage."
        )
    find_image(algorithm["TrainingImage"])
    _check_metrics(algorithm)
    channels = [channel["ChannelName"] for channel in request.get("InputDataConfig", ())]
    if len(channels) != len(set(channels)):
        raise ValidationException("Channel names must be unique.")
    for channel in request.get("InputDataConfig", ()):
        source = channel["DataSource"]
        if "S3DataSource" not in source:
            raise ValidationException("Clary supports S3DataSource only; FileSystemDataSource is not supported yet.")
        s3_uri(source["S3DataSource"]["S3Uri"], f"channel {channel['ChannelName']}")
    s3_uri(request["OutputDataConfig"]["S3OutputPath"], "OutputDataConfig.S3OutputPath")
    _check_checkpoints(request.get("CheckpointConfig"))
    _check_resources(request)


def _check_checkpoints(config: Members | None) -> None:
    if config is None:
        return
    s3_uri(config["S3Uri"], "CheckpointConfig.S3Uri")
    path = config.get("LocalPath", CHECKPOINTS)
    parts = PurePosixPath(path).parts
    taken = path.rstrip("/") in TAKEN or any(path.startswith(f"{name}/") for name in TAKEN)
    if not path.startswith("/") or ".." in parts or len(parts) < 3 or taken:
        raise ValidationException(
            f"The LocalPath {path!r} of CheckpointConfig is not valid: it must be an absolute path of at least two "
            f"parts outside of {', '.join(TAKEN)}."
        )


def _check_metrics(algorithm: Members) -> None:
    for metric in algorithm.get("MetricDefinitions", ()):
        try:
            Expression(metric["Regex"])
        except ValueError as error:
            raise ValidationException(
                f"The regular expression of the metric {metric['Name']} is not valid: {error}. Clary takes the syntax "
                "of RE2, which has no look-around and no back references."
            ) from None


def with_defaults(request: Members, find_image: ImageFinder) -> Document:
    """The request with what AWS fills in, so that Describe tells it."""
    output = {"KmsKeyId": "", **request["OutputDataConfig"]}
    algorithm = dict(request["AlgorithmSpecification"])
    algorithm.setdefault("EnableSageMakerMetricsTimeSeries", False)
    reported = find_image(algorithm["TrainingImage"]).reports(
        request.get("HyperParameters", {}), request.get("Environment", {})
    )
    if reported and "MetricDefinitions" not in algorithm:
        algorithm["MetricDefinitions"] = [{"Name": metric.name, "Regex": metric.regex} for metric in reported]
    flags = ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining")
    return {
        **dict.fromkeys(flags, False),
        **request,
        "OutputDataConfig": output,
        "AlgorithmSpecification": algorithm,
    }


def _check_resources(request: Members) -> None:
    resources = request["ResourceConfig"]
    check_instances(resources, "ResourceConfig")
    limits = request["StoppingCondition"]
    if not request.get("EnableManagedSpotTraining"):
        return
    if resources.get("KeepAlivePeriodInSeconds"):
        raise ValidationException("KeepAlivePeriodInSeconds is not supported when EnableManagedSpotTraining is true.")
    if "MaxWaitTimeInSeconds" not in limits:
        raise ValidationException("MaxWaitTimeInSeconds is required when EnableManagedSpotTraining is true.")
    if limits["MaxWaitTimeInSeconds"] < limits.get("MaxRuntimeInSeconds", 86400):
        raise ValidationException(
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"
        )
