"""Installs what a `requirements.txt` asks for beside the environment, never into it."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class InstallRequirementsError(Exception):
    """The installer refused; `command` is what was run and `code` its exit status."""

    def __init__(self, message: str, command: list[str], code: int) -> None:
        super().__init__(message)
        self.command = command
        self.code = code


def install(requirements: Path, environ: Mapping[str, str]) -> Path | None:
    """The folder that holds the packages of `requirements`, or None when the environment already satisfies them.

    With `CLARY_ENV_CACHE` the folder is kept there under the digest of the file and shared by later jobs.

    Raises:
        InstallRequirementsError: the packages could not be installed.
    """
    lines = _lines(requirements)
    cache = environ.get("CLARY_ENV_CACHE")
    kept = Path(cache) / _digest(lines) if cache and all(_portable(line) for line in lines) else None
    # Looked for first, because to ask whether the environment has it all takes longer.
    if kept is not None and kept.is_dir():
        return kept
    if all(_satisfied(line) for line in lines):
        return None
    if kept is None:
        return _fill(requirements, Path(tempfile.mkdtemp(prefix="requirements-")))
    kept.parent.mkdir(parents=True, exist_ok=True)
    _publish(_fill(requirements, Path(tempfile.mkdtemp(dir=kept.parent, prefix=".new-"))), kept)
    return kept


def top_level_names(overlay: Path) -> set[str]:
    """The modules that can be imported from a folder of installed packages."""
    return {entry.name.partition(".")[0] for entry in overlay.iterdir() if not entry.name.endswith(".dist-info")}


def _lines(requirements: Path) -> list[str]:
    stripped = (line.partition(" #")[0].strip() for line in requirements.read_text(encoding="utf-8").splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


def _satisfied(line: str) -> bool:
    try:
        from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415  # not always installed
    except ImportError:
        return False
    try:
        wanted = Requirement(line)
        if wanted.marker is not None and not wanted.marker.evaluate():
            return True
        return not wanted.url and not wanted.extras and wanted.specifier.contains(metadata.version(wanted.name))
    except (InvalidRequirement, metadata.PackageNotFoundError):
        return False


def _portable(line: str) -> bool:
    """Whether the line means the same in every job: no options, paths or addresses."""
    return not line.startswith(("-", ".", "/")) and "://" not in line


def _digest(lines: Iterable[str]) -> str:
    text = "\n".join([platform.python_version(), platform.platform(), *sorted(lines)])
    return hashlib.sha256(text.encode()).hexdigest()


def _fill(requirements: Path, folder: Path) -> Path:
    command = [*_installer(), "--target", str(folder), "-r", str(requirements)]
    done = subprocess.run(  # noqa: S603  # the installer is ours, the requirements are the user's to choose
        command,
        cwd=requirements.parent,
        env={**os.environ, "UV_SYSTEM_CERTS": "1"},  # as pip does: a company's certificates are the system's
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    sys.stdout.write(done.stdout)
    if done.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        raise InstallRequirementsError(done.stdout[-800:].strip(), command, done.returncode)
    return folder


def _installer() -> list[str]:
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if uv:
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    return [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]


def _publish(filled: Path, kept: Path) -> None:
    filled.chmod(0o755)
    try:
        os.rename(filled, kept)  # noqa: PTH104  # Path.rename does not say that it refuses a folder with content
    except OSError:
        # Another job has published the same packages first.
        shutil.rmtree(filled, ignore_errors=True)
