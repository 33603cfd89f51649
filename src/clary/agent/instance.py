"""The first program of an EC2-like instance: runs the user data once and stays until it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from clary.agent import cloud_config

USER_DATA = Path("/run/clary/user-data")
"""Where the platform leaves the instance's user data."""
STATE = Path("/var/lib/cloud/instance")
"""As cloud-init keeps it: the script that ran and a mark that it did."""


def main() -> None:
    """`python -m clary.agent.instance`."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    STATE.mkdir(parents=True, exist_ok=True)
    if USER_DATA.exists() and not (STATE / "boot-finished").exists():
        # Marked before, as a machine that is switched off half way does not run it again either.
        (STATE / "boot-finished").touch()
        _run(USER_DATA.read_bytes())
    # Waiting for a blocked signal misses none that comes just before.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.sigwait({signal.SIGTERM})


def _run(user_data: bytes) -> None:
    try:
        code = _do(user_data)
    except (OSError, ValueError) as error:
        sys.stdout.write(f"user data: {error}\n")
    else:
        sys.stdout.write(f"user data: ended with exit code {code}\n")
    sys.stdout.flush()


def _do(user_data: bytes) -> int:
    if user_data.startswith(cloud_config.HEADER):
        return cloud_config.run(user_data)
    if not user_data.startswith(b"#!"):
        kind = user_data.partition(b"\n")[0][:80].decode("utf-8", "replace")
        raise ValueError(f"only scripts that begin with #! and #cloud-config are run, this begins with {kind!r}")
    script = STATE / "user-data.txt"
    script.write_bytes(user_data)
    script.chmod(0o700)
    done = subprocess.run([str(script)], cwd="/", env={**os.environ, "HOME": "/root"}, check=False)  # noqa: S603
    return done.returncode


if __name__ == "__main__":
    main()
