"""Training jobs, from the request to the model in S3."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from clary import warm_pools
from clary.agent import archive
from clary.agent.workload import Archive, Bind, Workload
from clary.algorithms.catalogue import resolve
from clary.controllers import checkpoints, states
from clary.controllers.checkpoints import Synced
from clary.controllers.contract import failure_text, write_training_config
from clary.controllers.frameworks import in_framework
from clary.controllers.images import own_image
from clary.controllers.inputs.channel import of_training
from clary.controllers.job import INTERRUPT, LINE_LOOK_S, OVERDUE, JobController, attempt, trained_s
from clary.controllers.joblog import final, keep, measure
from clary.controllers.staging import Stager, StagingError, unpack
from clary.controllers.warm_pool import CACHE, CACHE_VARIABLE, WarmPools
from clary.warm_pools import POOL

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from clary.compute.base import Backend, Observation
    from clary.controllers.capacity import Capacity
    from clary.controllers.cluster import Host
    from clary.controllers.images import OwnImage
    from clary.controllers.inputs.bring import Brought
    from clary.platform import Platform
    from clary.store.records import Record

MESSAGES = {
    "Starting": "Starting the training job",
    "Pending": "Waiting for room on this machine",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "Stopping": "Stopping the training job",
    "Interrupted": "The training job was interrupted",
    "Restarting": "Restarting the training job after an internal error",
    "MaxWaitTimeExceeded": "Training job exceeded MaxWaitTimeInSeconds provided",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
}


MODEL = Archive("ml/model", "model.tar.gz", keep_empty=True)
OUTPUT = Archive("ml/output/data", "output.tar.gz")
ARCHIVES = (MODEL, OUTPUT)


class TrainingJobController(JobController):
    """Runs training jobs."""

    kind = "training-job"
    states = states.TRAINING_JOB
    log_group = "/aws/sagemaker/TrainingJobs"

    def __init__(self, platform: Platform, backend: Backend, capacity: Capacity) -> None:
        super().__init__(platform, backend, capacity)
        self._pools = WarmPools(platform)

    def step(self, record: Record, now: datetime) -> Record | None:
        """Takes the next step of a job, or of the warm pool that it has left."""
        how = warm_pools.status(record)
        if record.status not in self.states.terminal or how not in {"Available", "Reused"}:
            return super().step(record, now)
        # The platform may have died before everything was gone.
        record = self._removed(record)
        if how == "Reused":
            return self._follow_on(record, now)
        self._capacity.hold(self.job_id(record), self.need(record))
        record = self._pools.wait(record, now)
        if warm_pools.status(record) != "Available":
            self._capacity.leave(self.job_id(record))
        return record

    def place(self, record: Record) -> int:
        """A job that takes a warm pool over need not wait."""
        earlier = _earlier(record)
        if earlier is None or attempt(record) > 1:
            return super().place(record)
        self._capacity.follow(self.job_id(record), self.job_id(earlier), self.need(record))
        return 0

    def _clean(self, record: Record) -> Record:
        if POOL in record.observed:
            self._capacity.hold(self.job_id(record), self.need(record))
        # The next job may take the pool over from here on, while this one is still being removed.
        record = self._pools.keep(record, self._platform.clock.now())
        kept = warm_pools.status(record) == "Available"
        if not kept:
            self._capacity.leave(self.job_id(record))
        return replace(self._removed(record), due=record.due if kept else None)

    def _follow_on(self, record: Record, now: datetime) -> Record:
        """Holds the place of a job until the one that has its pool runs in it, or will not."""
        later = self._platform.records.get(
            record.kind, record.account, record.region, record.observed[warm_pools.STATUS]["ReusedByJob"]
        )
        if later is not None and later.status == "InProgress" and "Handles" not in later.observed:
            return replace(record, due=now + timedelta(seconds=LINE_LOOK_S))
        self._capacity.leave(self.job_id(record))
        return replace(record, due=None)

    def instances(self, record: Record) -> tuple[str, int]:
        """As the job asks for."""
        resources = record.spec["ResourceConfig"]
        return resources["InstanceType"], int(resources.get("InstanceCount", 1))

    def isolated(self, record: Record) -> bool:
        """As the request says."""
        return bool(record.spec.get("EnableNetworkIsolation"))

    def prepare(self, record: Record, host: Host, stager: Stager) -> Workload:
        """Lays out /opt/ml and tells the command of the image."""
        spec = record.spec
        ml = host.bundle / "ml"
        for folder in ("model", "output/data", "output/intermediate", "code", "checkpoints"):
            (ml / folder).mkdir(parents=True, exist_ok=True)
        write_training_config(ml, spec, host)
        own = own_image(self._platform, record, spec["AlgorithmSpecification"]["TrainingImage"], spec["RoleArn"])
        brought = self.bringer(host, stager, own).bring(of_training(spec))
        _fetch_code(spec.get("HyperParameters", {}), ml, stager)
        for each in _checkpoints(record, [host], stager):
            each.restore()
        return self._workload(record, host, own, brought)

    def bring_out(self, record: Record, hosts: Sequence[Host], stager: Stager, seen: Observation) -> Record:
        """Uploads the model (not of a failed job), the other output and the checkpoints of all hosts as one."""
        lead = hosts[0].bundle
        prefix = _prefix(record)
        failed = seen.exit_code != 0 and record.status != "Stopping" and seen.reason != "timeout"
        if len(hosts) > 1:
            _pack([host.bundle for host in hosts])
        output = lead / OUTPUT.target
        if output.exists():
            stager.upload(output, f"{prefix}/output.tar.gz")
        for each in (*_checkpoints(record, hosts, stager), *_intermediate(record, hosts, stager)):
            each.finish()
        model = lead / MODEL.target
        # A stopped job whose processes were lost has packed nothing.
        if failed or not model.exists():
            return record
        uri = f"{prefix}/model.tar.gz"
        if record.spec["OutputDataConfig"].get("CompressionType") == "NONE":
            uri = f"{prefix}/model/"
            for host in hosts:
                stager.upload_folder(host.bundle, host.bundle / "ml" / "model", uri)
        else:
            stager.upload(model, uri)
        return replace(record, observed={**record.observed, "ModelArtifacts": {"S3ModelArtifacts": uri}})

    def failure(self, record: Record, bundle: Path, seen: Observation) -> str:
        """AlgorithmError with what the container wrote into /opt/ml/output/failure."""
        return failure_text(bundle, seen, record.spec["ResourceConfig"]["InstanceType"])

    def enter(self, record: Record, phase: str, now: datetime) -> Record:
        """Adds a secondary status, and the times once the job has ended."""
        observed = dict(record.observed)
        # A job that ran too long ends with that secondary status, although its status is Stopped.
        known = {phase, "MaxRuntimeExceeded", OVERDUE} if phase == "Stopped" else {phase}
        if observed.get("SecondaryStatus") not in known:
            observed["SecondaryStatus"] = phase
            remarks = self.remarks(record) if phase == "Training" else ()
            told = " ".join([MESSAGES[phase], *remarks])
            observed["SecondaryStatusTransitions"] = _next(observed["SecondaryStatusTransitions"], phase, told, now)
        if phase == "Training":
            observed.setdefault("TrainingStartTime", now)
        elif phase in self.states.terminal and "TrainingStartTime" in observed:
            observed["TrainingEndTime"] = now
            observed.setdefault("EndedAt", now)
            duration = trained_s(replace(record, observed=observed))
            observed["TrainingTimeInSeconds"] = observed["BillableTimeInSeconds"] = duration
        return replace(record, observed=observed)

    def sync(self, record: Record, hosts: Sequence[Host], stager: Stager) -> None:
        """Brings new checkpoints and intermediate output to S3."""
        for each in (*_checkpoints(record, hosts, stager), *_intermediate(record, hosts, stager)):
            each.sync()

    def overdue(self, record: Record, now: datetime) -> bool:
        """Whether a managed spot training job has used up its time to wait and to run."""
        longest = record.spec["StoppingCondition"].get("MaxWaitTimeInSeconds")
        spot = record.spec.get("EnableManagedSpotTraining")
        return bool(spot and longest and (now - record.created).total_seconds() > longest)

    def resumes(self, record: Record, hosts: Sequence[Host], seen: Observation) -> str:
        """A job goes on after an interruption, and as often as it asks for after an error of the platform."""
        # A script that saves its state at SIGTERM and leaves with 0 has not finished.
        ended_early = seen.reason == "stopped" or seen.exit_code != 0
        interrupted = record.observed.get("StopSent") == INTERRUPT and ended_early
        lost = seen.exit_code is None or seen.reason in {"lost", "sandbox"}
        retries = record.spec.get("RetryStrategy", {}).get("MaximumRetryAttempts", 0)
        if not interrupted and not (lost and attempt(record) <= retries):
            return ""
        for each in _checkpoints(record, hosts, self.stager(record)):
            each.finish()
        return "Interrupted" if interrupted else "Restarting"

    def waits(self, record: Record, why: str, now: datetime) -> Record:
        """Tells what for, such as the place in line."""
        record = self.enter(record, "Pending", now)
        *earlier, last = record.observed["SecondaryStatusTransitions"]
        told = {**last, "StatusMessage": why}
        return replace(record, observed={**record.observed, "SecondaryStatusTransitions": [*earlier, told]})

    def took_over(self, record: Record, events: list[tuple[int, str]]) -> Record:
        """Finds the metrics of the job in its new log lines."""
        found = measure(record.spec["AlgorithmSpecification"].get("MetricDefinitions", ()), events)
        keep(self._platform, f"{record.account}/{record.region}", record.name, found)
        metrics = final(record.observed.get("FinalMetricDataList", ()), found)
        return replace(record, observed={**record.observed, "FinalMetricDataList": metrics}) if metrics else record

    def _workload(self, record: Record, host: Host, own: OwnImage | None, brought: Brought) -> Workload:
        spec = record.spec
        algorithm = spec["AlgorithmSpecification"]
        image = own.stands_for if own else resolve(algorithm["TrainingImage"])
        if image is None:
            raise StagingError(f"ClientError: Clary cannot run the image {algorithm['TrainingImage']}.")
        entrypoint = (*algorithm.get("ContainerEntrypoint", ()), *algorithm.get("ContainerArguments", ()))
        command = entrypoint or image.train(spec.get("HyperParameters", {}), spec.get("Environment", {}))
        if not command:
            raise StagingError(f"ClientError: The image {image.uri} is not for training.")
        workload = self.workload(record, host, command, brought)
        cache = self._pools.cache(record, host)
        told = {"TRAINING_JOB_NAME": record.name, "TRAINING_JOB_ARN": record.arn}
        workload = replace(
            workload,
            env={**image.environment, **({CACHE_VARIABLE: CACHE} if cache else {}), **told, **workload.env},
            timeout_s=max(1, spec["StoppingCondition"].get("MaxRuntimeInSeconds", 86400) - trained_s(record)),
            archives=ARCHIVES if len(host.addresses) == 1 else (),
            binds=(*workload.binds, *_checkpoint_path(spec, host), *cache),
        )
        return own.inside(workload, ("train",), algorithm) if own else in_framework(self._platform, image, workload)


def _pack(bundles: Sequence[Path]) -> None:
    """Packs what several hosts have left into one archive each, as the agent does for one.

    Raises:
        StagingError: a folder cannot be packed.
    """
    try:
        for wanted in ARCHIVES:
            archive.pack(bundles, wanted)
    except (OSError, ValueError) as error:
        raise StagingError(f"ClientError: Artifact upload failed:{error}") from error


def _checkpoints(record: Record, hosts: Sequence[Host], stager: Stager) -> list[Synced]:
    config = record.spec.get("CheckpointConfig")
    if not config:
        return []
    return [Synced(host.bundle, checkpoints.CHECKPOINTS, config["S3Uri"], stager) for host in hosts]


def _intermediate(record: Record, hosts: Sequence[Host], stager: Stager) -> list[Synced]:
    uri = f"{_prefix(record)}/intermediate"
    return [Synced(host.bundle, checkpoints.INTERMEDIATE, uri, stager) for host in hosts]


def _prefix(record: Record) -> str:
    return f"{record.spec['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{record.name}/output"


def _checkpoint_path(spec: dict[str, Any], host: Host) -> list[Bind]:
    """Where the script wants to find its checkpoints, if not at the usual place."""
    path = spec.get("CheckpointConfig", {}).get("LocalPath", checkpoints.DEFAULT_PATH).rstrip("/")
    if path == checkpoints.DEFAULT_PATH:
        return []
    return [Bind(host.bundle / checkpoints.CHECKPOINTS, path, writable=True)]


def _fetch_code(hyperparameters: dict[str, str], ml: Path, stager: Stager) -> None:
    """Unpacks a script's source archive, so that the launcher need not load an S3 client first."""
    uri = hyperparameters.get("sagemaker_submit_directory", "").strip('"')
    if not uri.startswith("s3://"):
        return
    packed = ml / "input" / "sourcedir.tar.gz"
    stager.fetch(uri, packed)
    unpack(packed, ml / "code", uri)


def _earlier(record: Record) -> Record | None:
    """The identity of the job from which this one takes its warm pool over."""
    earlier = record.observed.get(POOL, {}).get("From")
    return replace(record, name=earlier) if earlier else None


def _next(transitions: list[dict[str, Any]], status: str, message: str, now: datetime) -> list[dict[str, Any]]:
    closed = [*transitions[:-1], {**transitions[-1], "EndTime": now}]
    return [*closed, {"Status": status, "StartTime": now, "StatusMessage": message}]
