"""The first program of an EC2-like instance: runs the user data once and stays until it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

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
    while True:
        signal.pause()


def _run(user_data: bytes) -> None:
    if not user_data.startswith(b"#!"):
        kind = user_data.partition(b"\n")[0][:80].decode("utf-8", "replace")
        sys.stdout.write(f"user data: only scripts that begin with #! are run, this begins with {kind!r}\n")
        sys.stdout.flush()
        return
    script = STATE / "user-data.txt"
    script.write_bytes(user_data)
    script.chmod(0o700)
    try:
        done = subprocess.run([str(script)], cwd="/", env={**os.environ, "HOME": "/root"}, check=False)  # noqa: S603
    except OSError as error:
        sys.stdout.write(f"user data: {error}\n")
    else:
        sys.stdout.write(f"user data: ended with exit code {done.returncode}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
