"""What a notebook instance runs, where its files are, and where its output goes."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clary import notebook_access
from clary.agent.workload import Bind, Workload
from clary.controllers.contract import base_environment, size
from clary.controllers.identity import SECRET, environment
from clary.controllers.joblog import READ_BYTES, JobLog, ensure_group
from clary.controllers.leavings import part
from clary.controllers.unix_http import UnixConnection
from clary.first_run import sdk_config

if TYPE_CHECKING:
    from clary.platform import Platform
    from clary.store.records import Record

LOG_GROUP = "/aws/sagemaker/NotebookInstances"
HOME = "/home/ec2-user"
VOLUME = f"{HOME}/SageMaker"
SDK_CONFIG = f"{HOME}/.config/sagemaker-config.yaml"
PACKAGES = f"{HOME}/.packages"
"""Where notebooks install packages: the environment is shared and read-only."""

KERNEL = "conda_python3"
"""The kernel that notebooks from AWS ask for."""

SCRIPTS = ("LifecycleConfigOnCreate", "LifecycleConfigOnStart")
REASON_BYTES = 1024
PING_TIMEOUT_S = 5.0


class NotebookGone(Exception):
    """The instance cannot run; the text is its failure reason."""


class NotebookWorkloads:
    """Lays out the workloads of notebook instances."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def id(self, record: Record) -> str:
        """The name under which the instance runs; also what the backend calls when it changes phase."""
        return "/".join((record.kind, record.account, record.region, record.name))

    def bundle(self, record: Record) -> Path:
        """The folder of one run; short, because the path of a Unix socket may have 107 bytes only."""
        return self._platform.settings.home / "n" / hashlib.sha256(self.id(record).encode()).hexdigest()[:12]

    def volume(self, record: Record) -> Path:
        """The folder that is kept over stop and start."""
        return self._platform.settings.home / "notebooks" / record.account / record.region / record.name

    def socket(self, record: Record) -> Path:
        """The Unix socket at which JupyterLab listens."""
        return self.bundle(record) / "run" / "jupyter.sock"

    def prepare(self, record: Record) -> Workload:
        """Writes the files of a run and tells what to run.

        Raises:
            NotebookGone: the lifecycle configuration does not exist.
        """
        bundle, volume = self.bundle(record), self.volume(record)
        volume.mkdir(parents=True, exist_ok=True)
        self._write_scripts(record, bundle / "run")
        _write_json(bundle / "ml" / "metadata" / "resource-metadata.json",
                    {"ResourceArn": record.arn, "ResourceName": record.name})  # fmt: skip
        home = bundle / "home"
        _write_home(home)
        shutil.copyfile(sdk_config(self._platform.settings.home), home / Path(SDK_CONFIG).relative_to(HOME))
        self._rewind_logs(record)
        vcpus, memory = size(record.spec["InstanceType"])
        return Workload(
            id=self.id(record),
            bundle=bundle,
            command=("python", "-m", "clary.toolkit.notebook", notebook_access.base_path(record)),
            env=self._environment(record),
            cpus=vcpus,
            memory_bytes=memory,
            pids=8192,
            cwd=VOLUME,
            hostname=f"ip-{record.name}"[:63],
            binds=(Bind(home, HOME, writable=True), Bind(volume, VOLUME, writable=True)),
        )

    def ready(self, record: Record) -> bool:
        """Whether JupyterLab answers."""
        connection = UnixConnection(self.socket(record), PING_TIMEOUT_S)
        try:
            headers = {"Authorization": f"token {record.observed['ServerToken']}"}
            connection.request("GET", f"{notebook_access.base_path(record)}api/status", headers=headers)
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def failure(self, record: Record) -> str:
        """Why a run ended that never answered."""
        told = part(self.bundle(record), "run/failure", REASON_BYTES).decode("utf-8", "replace")
        if not told:
            return "JupyterLab ended before it answered; see the log stream of the notebook instance."
        config = f"{record.arn.partition('notebook-instance/')[0]}notebook-instance-lifecycle-config/"
        return (
            f"Notebook Instance Lifecycle Config '{config}{record.spec.get('LifecycleConfigName')}' for Notebook "
            f"Instance '{record.arn}' {told}. Please check your CloudWatch logs for more details."
        )

    def take_over_logs(self, record: Record) -> None:
        """Moves what JupyterLab and the lifecycle scripts wrote into their streams."""
        taken = False
        while self._log(record).take_over(self._platform):
            taken = True
        for name in SCRIPTS:
            taken = self._take_over_script(record, name) or taken
        if taken:
            ensure_group(self._platform, record, LOG_GROUP)

    def _log(self, record: Record) -> JobLog:
        return JobLog(self.bundle(record) / "log", _group(record), f"{record.name}/jupyter.log")

    def _take_over_script(self, record: Record, name: str) -> bool:
        """Scripts write plain lines; each bears the time at which it was seen."""
        logs, stream = self._platform.logs, f"{record.name}/{name}"
        position = logs.position(_group(record), stream)
        block = part(self.bundle(record), f"run/{name}.log", READ_BYTES, position)
        now_ms = int(self._platform.clock.now().timestamp() * 1000)
        events = [(now_ms, line) for line in block.decode("utf-8", "replace").splitlines()]
        if events:
            logs.take_over(_group(record), stream, events, position + len(block))
        return bool(events)

    def _rewind_logs(self, record: Record) -> None:
        """Each run writes its files anew, into streams that stay."""
        for stream in ("jupyter.log", *SCRIPTS):
            if self._platform.logs.has_stream(_group(record), f"{record.name}/{stream}"):
                self._platform.logs.take_over(_group(record), f"{record.name}/{stream}", (), 0)

    def _write_scripts(self, record: Record, folder: Path) -> None:
        folder.mkdir(parents=True)
        name = record.spec.get("LifecycleConfigName")
        if not name:
            return
        config = self._platform.records.get("notebook-instance-lifecycle-config", record.account, record.region, name)
        if config is None:
            raise NotebookGone(f"The lifecycle configuration {name} does not exist.")
        hooks = ("OnStart",) if record.observed.get("Created") else ("OnCreate", "OnStart")
        for hook in hooks:
            for script in config.spec.get(hook, ()):
                (folder / f"LifecycleConfig{hook}.sh").write_bytes(base64.b64decode(script.get("Content", "")))

    def _environment(self, record: Record) -> dict[str, str]:
        return {
            **base_environment(),
            **environment(self._platform, record, record.observed[SECRET]),
            "HOME": HOME,
            "USER": "ec2-user",
            "SHELL": "/bin/bash",
            "JUPYTER_TOKEN": record.observed["ServerToken"],
            # Short, because kernels listen on Unix sockets in it.
            "JUPYTER_RUNTIME_DIR": "/run/clary/kernels",
            "SAGEMAKER_USER_CONFIG_OVERRIDE": SDK_CONFIG,
            "PIP_TARGET": PACKAGES,
            "PYTHONPATH": PACKAGES,
        }


def _group(record: Record) -> str:
    return f"{record.account}/{record.region}/{LOG_GROUP}"


def _write_home(home: Path) -> None:
    """A fresh home: no news dialog, and the kernel's name as AWS has it."""
    (home / ".config").mkdir(parents=True)
    (home / ".packages").mkdir()
    _write_json(
        home / ".jupyter" / "labconfig" / "page_config.json",
        {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}},
    )
    _write_json(
        home / ".local" / "share" / "jupyter" / "kernels" / KERNEL / "kernel.json",
        {
            "argv": ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": KERNEL,
            "language": "python",
            "metadata": {"debugger": True},
        },
    )


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
