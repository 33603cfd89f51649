"""Running a Python command inside an interpreter that was forked with its libraries imported."""

from __future__ import annotations

import atexit
import builtins
import gc
import io
import os
import random
import runpy
import signal
import sys
import threading
import types
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Script:
    """A Python command that needs no interpreter options."""

    kind: str
    """`file`, `module` or `code`."""
    name: str
    argv: tuple[str, ...]
    unbuffered: bool = False


def parse(command: Sequence[str], env: Mapping[str, str]) -> Script | None:
    """The command as a script, or None when only a new interpreter can run it."""
    # These are read when an interpreter starts and cannot be given to a running one.
    if command[0] != sys.executable or {"PYTHONHASHSEED", "PYTHONHOME", "PYTHONSTARTUP", "LD_PRELOAD"} & env.keys():
        return None
    words = list(command[1:])
    unbuffered = bool(env.get("PYTHONUNBUFFERED")) or words[:1] == ["-u"]
    match words[1:] if words[:1] == ["-u"] else words:
        case ["-m", name, *rest]:
            return Script("module", name, ("-m", *rest), unbuffered)
        case ["-c", code, *rest]:
            return Script("code", code, ("-c", *rest), unbuffered)
        case [name, *rest] if not name.startswith("-") and Path(name).is_file():
            return Script("file", name, (name, *rest), unbuffered)
    return None


class WarmInterpreter:
    """What an interpreter prepares before its forks run scripts."""

    def __init__(self) -> None:
        # Looking for the loaded libraries takes 10 ms, which no fork should spend again.
        self._pools = _thread_pools()

    def run(self, script: Script, env: Mapping[str, str], *, cpus: float) -> NoReturn:
        """Run `script` as the main program of this process, a fork, and end with its exit code."""
        os.environ.clear()
        os.environ.update(env)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        _reopen_output(unbuffered=script.unbuffered)
        _reseed()
        if self._pools is not None:
            # These libraries read the environment when they were loaded, before the workload's was known.
            self._pools.limit(limits=max(1, int(cpus)))
        _set_path(script, env)
        _finish(_main(script))


def _thread_pools() -> Any:
    try:
        import threadpoolctl  # type: ignore[import-untyped]  # noqa: PLC0415  # only some environments have it
    except ImportError:
        return None
    return threadpoolctl.ThreadpoolController()


def _main(script: Script) -> int:
    try:
        _execute(script)
    except SystemExit as leave:
        return _exit_code(leave)
    except BaseException as error:  # noqa: BLE001  # like the interpreter's own last resort
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename in _OWN_FRAMES:
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


_OWN_FRAMES = {__file__, "<frozen runpy>"}


def _execute(script: Script) -> None:
    sys.argv = list(script.argv)
    if script.kind == "module":
        runpy.run_module(script.name, run_name="__main__", alter_sys=True)
        return
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = main
    source: str | bytes = script.name
    if script.kind == "file":
        source = Path(script.name).read_bytes()
        main.__file__ = script.name
        main.__dict__["__cached__"] = None
    # Not inherited, because this module's own `from __future__` is none of the user's code.
    code = compile(source, script.name if script.kind == "file" else "<string>", "exec", dont_inherit=True)
    exec(code, main.__dict__)  # noqa: S102  # running the user's code is the purpose


def _exit_code(leave: SystemExit) -> int:
    if leave.code is None:
        return 0
    if isinstance(leave.code, int):
        return leave.code & 0xFF
    sys.stderr.write(f"{leave.code}\n")
    return 1


def _finish(code: int) -> NoReturn:
    """Do what the end of an interpreter does for user code, without tearing down the imported libraries."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads as the interpreter does
        atexit._run_exitfuncs()
        # Files that the program left open are flushed when their last names go.
        sys.modules["__main__"].__dict__.clear()
        gc.collect()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _reopen_output(*, unbuffered: bool) -> None:
    if unbuffered:
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), "utf-8", write_through=True)
    else:
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8")
    errors = io.FileIO(2, "w", closefd=False)
    sys.stderr = io.TextIOWrapper(errors, "utf-8", "backslashreplace", write_through=True)
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # type: ignore[misc]  # the real ones of this process


def _reseed() -> None:
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()


def _set_path(script: Script, env: Mapping[str, str]) -> None:
    first = {"file": str(Path(script.name).resolve().parent), "module": str(Path.cwd()), "code": ""}[script.kind]
    given = [str(Path(path).absolute()) for path in env.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:0] = [first, *given]
