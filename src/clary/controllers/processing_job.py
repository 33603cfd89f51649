"""Processing jobs, from the request to the outputs in S3."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clary.algorithms.catalogue import resolve
from clary.controllers import leavings, states
from clary.controllers.container_metrics import ship_metrics
from clary.controllers.contract import LOST, NO_ROOM, resource_config
from clary.controllers.frameworks import in_framework
from clary.controllers.images import own_image
from clary.controllers.inputs.channel import of_processing
from clary.controllers.job import JobController
from clary.controllers.staging import Stager, StagingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from clary.agent.workload import Workload
    from clary.compute.base import Observation
    from clary.controllers.cluster import Host
    from clary.controllers.images import OwnImage
    from clary.controllers.inputs.bring import Brought
    from clary.store.records import Record

LOCAL_ROOT = "/opt/ml/processing"

MESSAGE_BYTES = 1024
"""How much of /opt/ml/output/message becomes the exit message."""


class ProcessingJobController(JobController):
    """Runs processing jobs."""

    kind = "processing-job"
    states = states.PROCESSING_JOB
    log_group = "/aws/sagemaker/ProcessingJobs"

    def instances(self, record: Record) -> tuple[str, int]:
        """Those of the cluster."""
        cluster = record.spec["ProcessingResources"]["ClusterConfig"]
        return cluster["InstanceType"], int(cluster["InstanceCount"])

    def isolated(self, record: Record) -> bool:
        """As NetworkConfig says."""
        return bool(record.spec.get("NetworkConfig", {}).get("EnableNetworkIsolation"))

    def prepare(self, record: Record, host: Host, stager: Stager) -> Workload:
        """Lays out /opt/ml/processing and tells the command."""
        ml = host.bundle / "ml"
        _write_config(ml, record, host)
        (ml / "output").mkdir(parents=True, exist_ok=True)
        inputs = [
            of_processing(entry, s3.get("LocalPath", LOCAL_ROOT))
            for entry, s3 in _parts(record.spec.get("ProcessingInputs", ()), "S3Input")
        ]
        outputs = [s3.get("LocalPath", LOCAL_ROOT) for _, s3 in _outputs(record)]
        own = own_image(self._platform, record, record.spec["AppSpecification"]["ImageUri"], record.spec["RoleArn"])
        brought = self.bringer(host, stager, own).bring(inputs, outputs)
        for _, s3 in _outputs(record):
            _local(ml, s3).mkdir(parents=True, exist_ok=True)
        return self._workload(record, host, own, brought)

    def bring_out(self, record: Record, hosts: Sequence[Host], stager: Stager, seen: Observation) -> Record:  # noqa: ARG002  # outputs go out whatever happened
        """Uploads every output folder, also of a failed job, as far as there are files."""
        message = ""
        for host in hosts:
            for _, s3 in _outputs(record):
                stager.upload_folder(host.bundle, _local(host.bundle / "ml", s3), s3["S3Uri"])
            ship_metrics(self._platform, record, host.bundle)
            told = leavings.part(host.bundle, "ml/output/message", MESSAGE_BYTES).decode("utf-8", "ignore").strip()
            message = message or told
        return replace(record, observed={**record.observed, "ExitMessage": message}) if message else record

    def failure(self, record: Record, bundle: Path, seen: Observation) -> str:
        """AlgorithmError with the exit code; the log tells more."""
        if seen.reason == "oom":
            return "ClientError: Please use an instance type with more memory: the job was killed for using too much."
        if seen.exit_code is None:
            return LOST
        if seen.exit_code and seen.reason == "disk":
            return NO_ROOM
        if seen.exit_code:
            reason = f"AlgorithmError: See job logs for more information, exit code: {seen.exit_code}"
            return f"{reason}. {_no_sandbox(bundle)}" if seen.isolation == "none" else reason
        if seen.isolation == "none" and _wrote_elsewhere(record, bundle):
            return f"ClientError: The script left nothing in the folders of its outputs. {_no_sandbox(bundle)}"
        return ""

    def enter(self, record: Record, phase: str, now: datetime) -> Record:
        """Keeps the start and end of processing."""
        if phase == "Training":
            return replace(record, observed={**record.observed, "ProcessingStartTime": now})
        if phase in self.states.terminal:
            return replace(record, observed={**record.observed, "ProcessingEndTime": now})
        return record

    def _workload(self, record: Record, host: Host, own: OwnImage | None, brought: Brought) -> Workload:
        spec = record.spec
        application = spec["AppSpecification"]
        image = own.stands_for if own else resolve(application["ImageUri"])
        command = (*application.get("ContainerEntrypoint", ()), *application.get("ContainerArguments", ()))
        command = command or (image.process() if image else None) or ()
        if image is None or not (command or own):
            raise StagingError(f"ClientError: The image {application['ImageUri']} has no command of its own to run.")
        workload = self.workload(record, host, command, brought)
        told = {"PROCESSING_JOB_NAME": record.name, "PROCESSING_JOB_ARN": record.arn}
        workload = replace(
            workload,
            env={**image.environment, **told, **workload.env},
            timeout_s=spec["StoppingCondition"]["MaxRuntimeInSeconds"],
        )
        return own.inside(workload, (), application) if own else in_framework(self._platform, image, workload)


def _write_config(ml: Path, record: Record, host: Host) -> None:
    config = ml / "config"
    config.mkdir(parents=True, exist_ok=True)
    spec = record.spec
    cluster = spec["ProcessingResources"]["ClusterConfig"]
    (config / "resourceconfig.json").write_text(json.dumps(resource_config(cluster["InstanceType"], host)))
    job = {
        "ProcessingJobArn": record.arn,
        "ProcessingJobName": record.name,
        "AppSpecification": {"ContainerEntrypoint": None, "ContainerArguments": None, **spec["AppSpecification"]},
        "Environment": spec.get("Environment"),
        "ProcessingInputs": spec.get("ProcessingInputs", []),
        "ProcessingOutputConfig": {"Outputs": [], "KmsKeyId": None, **spec.get("ProcessingOutputConfig", {})},
        "ProcessingResources": spec["ProcessingResources"],
        "RoleArn": spec["RoleArn"],
        "StoppingCondition": spec["StoppingCondition"],
    }
    (config / "processingjobconfig.json").write_text(json.dumps(job))


def _parts(entries: Any, member: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [(entry, entry[member]) for entry in entries]


def _outputs(record: Record) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return _parts(record.spec.get("ProcessingOutputConfig", {}).get("Outputs", ()), "S3Output")


def _no_sandbox(bundle: Path) -> str:
    return (
        f"Without a sandbox {LOCAL_ROOT} cannot be private: in this job it is {bundle / 'ml/processing'}, as "
        "CLARY_ML_ROOT and rewritten arguments tell."
    )


def _wrote_elsewhere(record: Record, bundle: Path) -> bool:
    """Whether the script may have taken the machine's own folder for its private one."""
    folders = [_local(bundle / "ml", s3) for _, s3 in _outputs(record)]
    return bool(folders) and Path(LOCAL_ROOT).exists() and not any(any(folder.rglob("*")) for folder in folders)


def _local(ml: Path, s3: dict[str, Any]) -> Path:
    path: str = s3.get("LocalPath", LOCAL_ROOT)
    return ml / path.removeprefix("/opt/ml/")
