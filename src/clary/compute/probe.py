"""What this machine allows workloads, found out by really doing it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clary.agent import probe as agent_probe
from clary.settings import UNIX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clary.agent.workload import Isolation

_PROBE = "import sys; sys.path.insert(0, sys.argv.pop(1)); from clary.agent.probe import main; main()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The means of this machine for running workloads."""

    isolation: Isolation
    reason: str = ""
    """Why there is no isolation."""
    cgroups: Mapping[str, str] = field(default_factory=dict)
    """Where control groups can be made, by controller; empty when nowhere."""
    copies: str = ""
    """Why inputs have to be copied; empty when workloads can be shown what lies on this machine."""
    network: bool = False
    """Whether a workload can be cut off from the network."""
    root: bool = False
    kvm: bool = False
    gpus: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    """Sockets that speak the Docker Engine API."""
    engine: str = ""
    """That of them at which images run; empty where sandboxes run them, or nothing does."""


def probe(*, isolation: str = "auto", containers: str = "auto", folder: Path | None = None) -> Machine:
    """Try everything in child processes, files in `folder`.

    Args:
        isolation: `none` keeps workloads plain processes.
        containers: where images run, as `Settings.containers` has it.
    """
    source = str(Path(agent_probe.__file__).parents[2])
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    # A process of its own, because the platform has threads and must not fork or leave its namespaces.
    result = subprocess.run(  # noqa: S603  # our own interpreter and code
        [sys.executable, "-I", "-S", "-c", _PROBE, source, str(folder or "")],
        stdout=subprocess.PIPE,
        check=True,
        timeout=30,
    )
    found: dict[str, Any] = json.loads(result.stdout)
    if isolation == "none":
        reason = "switched off by the settings"
        found |= {"isolation": "none", "network": False, "reason": reason, "copies": f"sandboxes are {reason}"}
    engine = _engine(containers, found["containers"], sandboxes=found["isolation"] != "none")
    known = {"gpus": tuple(found["gpus"]), "containers": tuple(found["containers"]), "engine": engine}
    return Machine(**{**found, **known})


def _engine(containers: str, sockets: Sequence[str], *, sandboxes: bool) -> str:
    if containers.startswith(UNIX):
        return containers.removeprefix(UNIX)
    wanted = containers == "engine" or (containers == "auto" and not sandboxes)
    return sockets[0] if wanted and sockets else ""
