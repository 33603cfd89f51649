"""What a training job asks of the user's script: its hyperparameters, channels and hosts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clary.toolkit.layout import Layout

FRAMEWORK_PREFIX = "sagemaker_"
TUNING_METRIC = "_tuning_objective_metric"


@dataclass(frozen=True, slots=True)
class Job:
    """The configuration files of a job, decoded."""

    layout: Layout
    hyperparameters: Mapping[str, Any]
    """What the user's script is told."""
    framework: Mapping[str, Any]
    """The `sagemaker_*` hyperparameters and the tuner's metric, which are for the launcher only."""
    channels: Mapping[str, Mapping[str, str]]
    resources: Mapping[str, Any]
    text: Mapping[str, str]
    """All hyperparameters as they were sent, for the built-in algorithms; version 2's quotes removed."""

    @classmethod
    def read(cls, layout: Layout) -> Job:
        """The job that the files below `/opt/ml/input/config` describe."""
        sent = _json(layout.config / "hyperparameters.json")
        values = {key: decode(value) for key, value in sent.items()}
        reserved = {key for key in values if key.startswith(FRAMEWORK_PREFIX) or key == TUNING_METRIC}
        return cls(
            layout,
            {key: values[key] for key in sorted(values) if key not in reserved},
            {key: values[key] for key in sorted(reserved)},
            _json(layout.config / "inputdataconfig.json"),
            _json(layout.config / "resourceconfig.json"),
            {key: values[key] if isinstance(values[key], str) else str(sent[key]) for key in sent},
        )

    @property
    def program(self) -> str:
        """The entry point, relative to the code folder; empty when the job names none."""
        return str(self.framework.get("sagemaker_program") or "")

    @property
    def arguments(self) -> list[str]:
        """The hyperparameters as command line arguments of the script."""
        return [part for key, value in self.hyperparameters.items() for part in (_option(key), as_text(value))]

    def environment(self) -> dict[str, str]:
        """The `SM_*` variables, and the few that carry no prefix."""
        details = self._details()
        named = {f"SM_{name.upper()}": _variable(value) for name, value in details.items()}
        hyperparameters = {f"SM_HP_{key.upper()}": as_text(value) for key, value in self.hyperparameters.items()}
        channels = {f"SM_CHANNEL_{name.upper()}": str(self.layout.channel(name)) for name in self.channels}
        training = {"SM_TRAINING_ENV": _variable(self.describe()), "SM_USER_ARGS": _variable(self.arguments)}
        return named | hyperparameters | channels | training | {"SM_HPS": _variable(self.hyperparameters)}

    def describe(self) -> dict[str, Any]:
        """All that the script may know, as printed at the start of the log and given in `SM_TRAINING_ENV`."""
        described = {
            "channel_input_dirs": {name: str(self.layout.channel(name)) for name in self.channels},
            "hyperparameters": dict(self.hyperparameters),
            "job_name": str(self.framework.get("sagemaker_job_name") or os.environ.get("TRAINING_JOB_NAME", "")),
            "additional_framework_parameters": self._framework_parameters(),
            "is_master": self.is_first_host,
            "master_hostname": self._hosts[0],
        }
        skipped = {"channels", "framework_params"}
        return dict(sorted((described | {k: v for k, v in self._details().items() if k not in skipped}).items()))

    @property
    def is_first_host(self) -> bool:
        """Whether this is the host that speaks for all."""
        return self._host == self._hosts[0]

    @property
    def shared_out_channels(self) -> list[str]:
        """The channels of which each host has only a part."""
        sharded = (name for name, c in self.channels.items() if c.get("S3DistributionType") == "ShardedByS3Key")
        return sorted(sharded) if len(self._hosts) > 1 else []

    @property
    def _hosts(self) -> list[str]:
        return list(self.resources.get("hosts") or ["algo-1"])

    @property
    def _host(self) -> str:
        return str(self.resources.get("current_host") or "algo-1")

    def _framework_parameters(self) -> dict[str, Any]:
        known = {f"sagemaker_{name}" for name in ("program", "submit_directory", "container_log_level", "job_name",
                                                  "region")}  # fmt: skip
        return {key: value for key, value in self.framework.items() if key not in known}

    def _details(self) -> dict[str, Any]:
        layout = self.layout
        return {
            **self._instance_details(),
            "channels": sorted(self.channels),
            "framework_module": os.environ.get("SAGEMAKER_TRAINING_MODULE", ""),
            "framework_params": self._framework_parameters(),
            "input_config_dir": str(layout.config),
            "input_data_config": dict(self.channels),
            "input_dir": str(layout.input),
            "log_level": int(self.framework.get("sagemaker_container_log_level") or 20),
            "model_dir": str(layout.model),
            "module_dir": str(self.framework.get("sagemaker_submit_directory") or layout.code),
            "module_name": Path(self.program).stem,
            "num_cpus": os.cpu_count() or 1,
            "num_gpus": int(os.environ.get("CLARY_NUM_GPUS") or 0),
            "num_neurons": 0,
            "output_data_dir": str(layout.output / "data"),
            "output_dir": str(layout.output),
            "output_intermediate_dir": str(layout.output / "intermediate"),
            "resource_config": dict(self.resources),
            "user_entry_point": self.program,
        }

    def _instance_details(self) -> dict[str, Any]:
        groups = self.resources.get("instance_groups") or []
        group = str(self.resources.get("current_group_name") or "homogeneousCluster")
        return {
            "current_host": self._host,
            "current_instance_group": group,
            "current_instance_group_hosts": next((g["hosts"] for g in groups if g["instance_group_name"] == group), []),
            "current_instance_type": str(self.resources.get("current_instance_type") or ""),
            "distribution_instance_groups": [],
            "hosts": self._hosts,
            "instance_groups": [g["instance_group_name"] for g in groups],
            "instance_groups_dict": {g["instance_group_name"]: g for g in groups},
            "is_hetero": len(groups) > 1,
            "network_interface_name": str(self.resources.get("network_interface_name") or "eth0"),
        }


def decode(value: Any) -> Any:
    """A hyperparameter as the SDK meant it: JSON text from version 2, plain text from version 3."""
    try:
        return json.loads(value)
    except (ValueError, TypeError):
        return value


def as_text(value: Any) -> str:
    """A hyperparameter as one command line argument."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ",".join(f"{key}={item}" for key, item in sorted(value.items()))
    return str(value)


def _option(key: str) -> str:
    return f"-{key}" if len(key) == 1 else f"--{key}"


def _variable(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return str(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
