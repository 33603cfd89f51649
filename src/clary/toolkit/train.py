"""Runs the user's training script the way SageMaker's training toolkit does: `python -m clary.toolkit.train`."""

from __future__ import annotations

import builtins
import json
import os
import signal
import subprocess
import sys
import traceback
from collections import deque
from dataclasses import dataclass
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import TYPE_CHECKING

from clary.toolkit.framework import announcement
from clary.toolkit.job import Job
from clary.toolkit.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MESSAGE_LIMIT = 700
"""Characters of a trace that go into the failure file, of which the platform shows the first 1,024."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the user's script ended."""

    code: int
    message: str = ""


class LaunchError(Exception):
    """The script could not be started; the text is the whole failure file."""


def main() -> int:
    """Run the job described below `/opt/ml` and return its exit status."""
    _write_lines_at_once()
    layout = Layout.of(os.environ)
    print(announcement(os.environ))  # noqa: T201  # the log of the job is our standard output
    job = Job.read(layout)
    try:
        overlay = _prepare(job)
        command = [sys.executable, job.program, *job.arguments]
        _announce(job, command)
        outcome = _run(job, overlay)
    except LaunchError as error:
        print(error, file=sys.stderr)  # noqa: T201
        layout.write_failure(str(error))
        return 1
    return _conclude(layout, command, outcome)


def _write_lines_at_once() -> None:
    os.environ["PYTHONUNBUFFERED"] = "1"
    for stream in (sys.stdout, sys.stderr):
        getattr(stream, "reconfigure", lambda **_: None)(line_buffering=True)


def _prepare(job: Job) -> Path | None:
    """Place code and packages; answers the folder of extra packages, if there are any."""
    code = job.layout.code
    if not job.program:
        raise LaunchError("ClientError: The hyperparameter sagemaker_program, which names the entry point, is missing.")
    if not code.is_dir() or not any(code.iterdir()):
        _place(job)
    if not (code / job.program).exists():
        raise LaunchError(f"ClientError: The entry point {job.program!r} is not in the submitted source code.")
    os.environ.update(job.environment())
    requirements = code / "requirements.txt"
    return _install(requirements) if requirements.is_file() else None


def _place(job: Job) -> None:
    from clary.toolkit import source  # noqa: PLC0415  # tarfile and shutil delay the script, and are rarely needed

    try:
        source.place(str(job.framework.get("sagemaker_submit_directory", "")), job.layout.code, os.environ)
    except source.NoCodeError as error:
        raise LaunchError(f"ClientError: {error}") from error


def _install(path: Path) -> Path | None:
    from clary.toolkit import requirements  # noqa: PLC0415  # delays the script, and is rarely needed

    try:
        return requirements.install(path, os.environ)
    except requirements.InstallRequirementsError as error:
        raise LaunchError(
            _failure("InstallRequirementsError", error.command, Outcome(error.code, str(error)))
        ) from error


def _announce(job: Job, command: list[str]) -> None:
    described = json.dumps(job.describe(), indent=4, sort_keys=True)
    variables = "\n".join(f"{key}={value}" for key, value in sorted(job.environment().items()))
    print(  # noqa: T201
        f"Invoking user script\nTraining Env:\n{described}\nEnvironment variables:\n{variables}\n"
        f"Invoking script with the following command:\n{_shown(command)}\n"
    )


def _run(job: Job, overlay: Path | None) -> Outcome:
    os.chdir(job.layout.code)
    paths = [str(job.layout.code), *([str(overlay)] if overlay else [])]
    os.environ["PYTHONPATH"] = os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])])
    arguments = job.arguments
    if job.program.endswith(".sh"):
        return _spawn(["/bin/bash", job.program, *arguments])
    if not job.program.endswith(".py"):
        return _spawn([sys.executable, "-m", job.program, *arguments])
    if overlay and _replaces_loaded_modules(overlay):
        return _spawn([sys.executable, job.program, *arguments])
    sys.path[:0] = paths
    return _run_here(job.layout.code / job.program, [job.program, *arguments])


def _replaces_loaded_modules(overlay: Path) -> bool:
    from clary.toolkit.requirements import top_level_names  # noqa: PLC0415  # loaded already when there is an overlay

    return any(name in sys.modules for name in top_level_names(overlay))


def _run_here(script: Path, arguments: list[str]) -> Outcome:
    """Run a script as `__main__` of this interpreter, which is what makes a warm start quick."""
    module = ModuleType("__main__")
    module.__file__ = str(script)
    module.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = module
    sys.argv = arguments
    told = _remember_errors()
    try:
        exec(_compiled(script), module.__dict__)  # noqa: S102  # it is the user's job
    except SystemExit as stop:
        return _stopped(stop, told)
    except BaseException as error:  # noqa: BLE001  # whatever the script raises is the job's failure
        frames = error.__traceback__.tb_next if error.__traceback__ else None
        sys.excepthook(type(error), error, frames)
        return Outcome(130 if isinstance(error, KeyboardInterrupt) else 1, _trace(error, frames))
    return Outcome(0)


def _compiled(script: Path) -> CodeType:
    # Without dont_inherit the future imports of this module would hold for the script too.
    return compile(script.read_bytes(), str(script), "exec", dont_inherit=True)


def _remember_errors() -> deque[str]:
    """What is written to the standard error stream last, for scripts that explain their exit status there."""
    told: deque[str] = deque(maxlen=100)
    write = sys.stderr.write

    def remember(text: str) -> int:
        told.append(text)
        return write(text)

    # Only this method, because scripts and libraries also use the stream's buffer and descriptor.
    sys.stderr.write = remember  # type: ignore[method-assign]
    return told


def _stopped(stop: SystemExit, told: Iterable[str]) -> Outcome:
    if stop.code is None or isinstance(stop.code, int):
        code = (stop.code or 0) & 0xFF
        return Outcome(code, "".join(told)[-MESSAGE_LIMIT:].strip() if code else "")
    print(stop.code, file=sys.stderr)  # noqa: T201
    return Outcome(1, str(stop.code))


def _trace(error: BaseException, frames: TracebackType | None) -> str:
    text = "".join(traceback.format_exception(type(error), error, frames)).strip()
    return text if len(text) <= MESSAGE_LIMIT else f"...{text[-MESSAGE_LIMIT:]}"


def _spawn(command: list[str]) -> Outcome:
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace")  # noqa: S603

    def forward(number: int, _frame: FrameType | None) -> None:
        process.send_signal(number)

    previous = signal.signal(signal.SIGTERM, forward)
    tail = _relay(process)
    code = process.wait()
    signal.signal(signal.SIGTERM, previous)
    return Outcome(code if code >= 0 else 128 - code, "".join(tail)[-MESSAGE_LIMIT:].strip())


def _relay(process: subprocess.Popen[str]) -> list[str]:
    """Pass the script's errors on as they come and keep the last trace."""
    tail: list[str] = []
    for line in process.stderr or ():
        sys.stderr.write(line)
        if line.startswith("Traceback"):
            tail.clear()
        tail.append(line)
        del tail[:-100]
    return tail


def _conclude(layout: Layout, command: list[str], outcome: Outcome) -> int:
    sys.stdout.flush()
    if outcome.code:
        text = _failure("ExecuteUserScriptError", command, outcome)
        print(text, file=sys.stderr)  # noqa: T201
        layout.write_failure(text)
        return outcome.code
    print("Reporting training SUCCESS")  # noqa: T201
    layout.output.mkdir(parents=True, exist_ok=True)
    layout.success.touch()
    return 0


def _failure(kind: str, command: list[str], outcome: Outcome) -> str:
    return f'{kind}:\nExitCode {outcome.code}\nErrorMessage "{outcome.message}"\nCommand "{_shown(command)}"'


def _shown(command: list[str]) -> str:
    return " ".join(f'"{part}"' if any(c.isspace() for c in part) or not part else part for part in command)


if __name__ == "__main__":
    sys.exit(main())
