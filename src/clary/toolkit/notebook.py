"""Starts a notebook instance: its lifecycle scripts, then JupyterLab in the same process.

The scripts run first and in the same sandbox, so that what they install or leave running is there for the notebooks.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

RUN = Path("/run/clary")
SOCKET = RUN / "jupyter.sock"
FAILURE = RUN / "failure"
HOME = "/home/ec2-user"
ROOT = f"{HOME}/SageMaker"
SCRIPTS = ("LifecycleConfigOnCreate", "LifecycleConfigOnStart")
SCRIPT_LIMIT_S = 300
"""How long a script may take, as on AWS."""


def main(base_url: str) -> None:
    """Runs the scripts and becomes JupyterLab; never returns."""
    for name in SCRIPTS:
        script = RUN / f"{name}.sh"
        failure = _run(script) if script.exists() else ""
        if failure:
            FAILURE.write_text(failure)
            sys.exit(1)
    command = [
        sys.executable, "-m", "jupyterlab",
        f"--ServerApp.sock={SOCKET}",
        "--ServerApp.sock_mode=0600",
        f"--ServerApp.base_url={base_url}",
        f"--ServerApp.root_dir={ROOT}",
        "--ServerApp.allow_root=True",
        "--ServerApp.open_browser=False",
        "--ServerApp.terminado_settings=shell_command=['/bin/bash']",
        # Kernels listen on Unix sockets: the network is shared with the machine.
        "--KernelManager.transport=ipc",
    ]  # fmt: skip
    os.execv(sys.executable, command)  # noqa: S606  # our own interpreter


def _run(script: Path) -> str:
    """Runs one script; tells how it failed, empty when it did not."""
    # A file and no pipe: what the script leaves running may hold its output open.
    with script.with_suffix(".log").open("wb") as log:
        try:
            done = subprocess.run(  # noqa: S603  # the owner's own script
                ["/bin/bash", str(script)], cwd=HOME, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                timeout=SCRIPT_LIMIT_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return "took longer than 5 minutes"
    return f"failed with exit code {done.returncode}" if done.returncode else ""


if __name__ == "__main__":
    main(sys.argv[1])
