"""Python environments with the versions that images name: made once with uv, shared, never changed.

DIGEST/          an environment; DIGEST is that of what was asked for
DIGEST/lock.txt  what was installed, written last: without it the environment is not complete
DIGEST.lock      held by who makes it
cache/           uv's, on the same disk, so that environments share their files by hard links
toolkit/         the platform's package alone, for interpreters that must not see its libraries
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import clary
from clary.agent.bundle import remove
from clary.agent.workload import Bind, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_LOCK = "lock.txt"
_OLDEST = (3, 10)
"""The first Python that can run the platform's launcher and model server."""
_TAIL = 400


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment that is complete."""

    place: Path
    toolkit: Path
    """What its interpreter finds of this platform."""

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.place / "bin" / "python"

    def inside(self, workload: Workload) -> Workload:
        """The workload as it runs in this environment; what it installs there is thrown away with it."""
        first, *rest = workload.command
        command = (str(self.python), *rest) if first in {"python", "python3"} else workload.command
        search = os.pathsep.join(filter(None, [str(self.toolkit), workload.env.get("PYTHONPATH")]))
        path = workload.env.get("PATH", os.defpath).replace(str(Path(sys.executable).parent), str(self.python.parent))
        base = self.python.resolve().parents[1]
        shown = [Bind(folder, str(folder)) for folder in (self.place, self.toolkit, base) if not _is_system(folder)]
        return replace(
            workload,
            command=command,
            env={**workload.env, "PATH": path, "PYTHONPATH": search},
            binds=(*workload.binds, *shown),
            changeable=(str(self.place),),
            warm=False,
        )


class CannotMake(Exception):
    """The environment cannot be had on this machine; the text tells why."""


class Environments:
    """A folder of environments, which several processes may share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, requirements: Sequence[str], python: str = "") -> Environment:
        """The environment with these requirements, made now unless it has been before.

        `python` is a version (`3.10`) that is tried before the platform's own.

        Raises:
            CannotMake: no Python of this machine has wheels for them, or they cannot be downloaded.
        """
        name = _digest([python, *sorted(requirements)])
        place = self._folder / name
        with _locked(place.with_name(f"{name}.lock")):
            if not (place / _LOCK).exists():
                self._make(place, requirements, python)
        return Environment(place, self._toolkit())

    def _make(self, place: Path, requirements: Sequence[str], python: str) -> None:
        reasons = []
        for version in _pythons(python):
            remove(place)
            place.mkdir(parents=True)
            try:
                self._install(place, requirements, version)
            except CannotMake as error:
                reasons.append(str(error))
            else:
                return
        remove(place)
        raise CannotMake(reasons[0])

    def _install(self, place: Path, requirements: Sequence[str], version: str) -> None:
        self._uv("venv", "--quiet", "--allow-existing", "--python", version, str(place))
        python = str(place / "bin" / "python")
        wanted = place / "requirements.txt"
        wanted.write_text("\n".join([*requirements, ""]))
        draft = place / f".{_LOCK}"
        compiled = ("--only-binary", ":all:", "--python", python)
        self._uv("pip", "compile", "--quiet", *compiled, str(wanted), "--output-file", str(draft))
        self._uv("pip", "sync", "--quiet", "--compile-bytecode", *compiled, str(draft))
        draft.rename(place / _LOCK)

    def _uv(self, *arguments: str) -> None:
        done = subprocess.run(  # noqa: S603  # our own tool
            [_uv(), *arguments],
            env=_environment(os.environ, self._folder / "cache"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise CannotMake(" ".join(done.stdout.split())[-_TAIL:])

    def _toolkit(self) -> Path:
        """A folder in which an interpreter finds this platform's package and nothing else."""
        folder = self._folder / "toolkit"
        link, package = folder / "clary", Path(clary.__file__).parent
        folder.mkdir(exist_ok=True)
        if not link.is_symlink() or link.readlink() != package:
            draft = folder / f".clary.{os.getpid()}"
            with suppress(FileNotFoundError):
                draft.unlink()
            draft.symlink_to(package)
            draft.replace(link)
        return folder


def _is_system(folder: Path) -> bool:
    return folder.is_relative_to("/usr")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _digest(parts: Sequence[str]) -> str:
    text = "\n".join([platform.platform(), sys.version, *parts])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _pythons(version: str) -> list[str]:
    """The interpreters to try, by version or path."""
    usable = version.count(".") == 1 and tuple(int(part) for part in version.split(".")) >= _OLDEST
    return [*([version] if usable else []), str(Path(sys.executable).resolve())]


def _uv() -> str:
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which("uv", path=beside)
    if found is None:
        raise CannotMake("uv, which makes environments, is not installed (clary[science] has it)")
    return found


def _environment(environ: Mapping[str, str], cache: Path) -> dict[str, str]:
    # As pip does: a company's certificates are the system's.
    ours = {"UV_CACHE_DIR": str(cache), "UV_SYSTEM_CERTS": "1"}
    # What belongs to this process's own environment must not reach another interpreter.
    return {name: value for name, value in environ.items() if not name.startswith(("VIRTUAL_ENV", "PYTHON"))} | ours
