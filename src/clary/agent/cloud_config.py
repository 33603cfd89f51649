"""The part of cloud-init's `#cloud-config` that instances understand: `write_files` and `runcmd`.

Source: "Module reference" of the cloud-init documentation.
"""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from typing import Any

HEADER = b"#cloud-config"


def run(user_data: bytes) -> int:
    """Do what a configuration says; gives the exit code of the first command that failed, or 0.

    Raises:
        ValueError: it cannot be understood.
    """
    config = _parsed(user_data)
    for name in config:
        if name not in {"write_files", "runcmd"}:
            _say(f"cloud-config: {name} is not supported here and left out")
    for file in config.get("write_files") or ():
        _write(file)
    codes = [_command(command) for command in config.get("runcmd") or ()]
    return next((code for code in codes if code), 0)


def _parsed(user_data: bytes) -> dict[str, Any]:
    import yaml  # noqa: PLC0415  # scripts, which most user data are, need not wait for it

    try:
        config = yaml.safe_load(user_data)
    except yaml.YAMLError as error:
        raise ValueError(f"cloud-config: {error}") from error
    if not isinstance(config, dict):
        raise ValueError("cloud-config: it holds no settings")  # noqa: TRY004  # the contents are at fault
    return config


def _command(command: str | list[Any]) -> int:
    argv = ["sh", "-c", command] if isinstance(command, str) else [str(word) for word in command]
    return subprocess.run(argv, cwd="/", check=False).returncode  # noqa: S603  # as the user asks


def _write(file: dict[str, Any]) -> None:
    path = Path(file["path"])
    content = str(file.get("content") or "").encode()
    if file.get("encoding") in {"b64", "base64"}:
        content = base64.b64decode(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab" if file.get("append") else "wb") as target:
        target.write(content)
    path.chmod(int(str(file.get("permissions") or "0644"), 8))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
