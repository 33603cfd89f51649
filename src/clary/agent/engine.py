"""The agent of a workload that runs in a container of an engine, podman or Docker for instance."""

from __future__ import annotations

import hashlib
import os
import queue
import shutil
import signal
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from clary.agent import archive, bundle, engine_container, engine_network
from clary.agent.engine_api import Engine, EngineError
from clary.agent.logs import LogWriter
from clary.agent.status import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.agent.workload import Task

_FOLDER_S = 2.0
"""How often to look whether the state folder is still there, and to kill what does not end."""
_AWAY_S = 60.0
"""How long an engine may be away, for a new version of it for instance, while its containers run."""
_AGAIN_S = 0.5
_REMOVALS = 5
"""How often to try to take a container away."""
_KILLED = 128 + signal.SIGKILL
_FULL_BYTES = 1 << 16
"""A workload that fails with less room than this left has probably failed for want of it."""


def name_of(task: Task) -> str:
    """What the container of a task is called; it follows from the bundle alone, so that anyone can remove it."""
    return f"clary-{hashlib.sha256(str(task.workload.bundle).encode()).hexdigest()[:16]}"


def discard(task: Task) -> None:
    """Take the container of a task away, whatever it does."""
    assert task.workload.container is not None  # noqa: S101  # the caller asked
    engine = Engine(task.workload.container.engine)
    for _ in range(_REMOVALS):
        try:
            engine.remove(name_of(task))
        except EngineError:
            # What a container has mounted may be in use for a moment longer.
            time.sleep(_AGAIN_S)
        except OSError:
            return
        else:
            return


class Attendant:
    """Runs one task in a container, to its end."""

    def __init__(self, task: Task) -> None:
        assert task.workload.container is not None  # noqa: S101  # the caller asked
        self._task = task
        self._workload = task.workload
        self._container = task.workload.container
        self._folder = task.workload.bundle
        self._engine = Engine(self._container.engine)
        self._name = name_of(task)
        self._status = Status(task)
        self._log = LogWriter(self._folder / bundle.LOG, task.workload.log_bytes)
        # Made for signal handlers too.
        self._events: queue.SimpleQueue[bool] = queue.SimpleQueue()
        """Something has happened; true: the container has ended."""
        self._exit_code: int | None = None
        self._out_of_memory = False
        self._reason = ""
        self._message = ""
        self._kill_at: float | None = None
        self._killed = False
        self._timeout_at: float | None = None

    def run(self) -> None:
        """Start the workload, tend it and write down how it ended."""
        signal.signal(signal.SIGTERM, lambda *_: self._events.put(False))
        self._status.tell("starting")
        for note in self._workload.notes:
            self._log.say(f"[clary] {note}")
        try:
            self._start()
        except OSError as error:
            self._exit_code, self._reason, self._message = 125, "sandbox", str(error)
        else:
            self._tend()
        self._end()

    def _start(self) -> None:
        self._start_feeders()
        task, port = self._task, self._container.port
        if port:
            task = replace(task, workload=engine_network.lead_out(self._workload, self._engine))
        specification = engine_container.specification(task, self._engine.describe())
        engine_container.let_write(self._workload)
        self._engine.remove(self._name)
        self._engine.create(self._name, specification)
        output = self._engine.attach(self._name)
        self._engine.start(self._name)
        started_at = time.time()
        if port and (published := self._engine.published(self._name, port)):
            engine_network.lead_in(self._workload, published)
        if self._workload.timeout_s is not None:
            self._timeout_at = time.monotonic() + self._workload.timeout_s
        self._status.tell("running", started_at=started_at)
        threading.Thread(target=self._follow, args=(output,), daemon=True).start()

    def _start_feeders(self) -> None:
        if self._workload.pipes:
            from clary.agent import feeder  # noqa: PLC0415  # few need it

            feeder.start(self._workload)

    def _follow(self, output: Iterator[bytes]) -> None:
        """Keep what the container prints, and wait for its end."""
        try:
            self._keep(output)
        except OSError as error:
            self._message = str(error)
        finally:
            self._events.put(True)

    def _keep(self, output: Iterator[bytes]) -> None:
        away_until = float("inf")
        while self._exit_code is None:
            try:
                for data in output:
                    self._log.feed(data)
                state = self._engine.wait(self._name)
                self._exit_code, self._out_of_memory = state["ExitCode"], state["OOMKilled"]
            except ConnectionError:
                away_until = min(away_until, time.monotonic() + _AWAY_S)
                if time.monotonic() >= away_until:
                    raise
                time.sleep(_AGAIN_S)
                with suppress(ConnectionError):
                    output = self._rest()
                    away_until = float("inf")

    def _rest(self) -> Iterator[bytes]:
        """What a container still prints when the engine is back; asked only while it runs, as podman begins it anew."""
        running = self._engine.inspect(self._name)["State"]["Running"]
        return self._engine.attach(self._name) if running else iter(())

    def _tend(self) -> None:
        ended = False
        while not ended:
            self._look()
            with suppress(queue.Empty):
                ended = self._events.get(timeout=self._patience())

    def _patience(self) -> float:
        moments = [moment for moment in (self._kill_at, self._timeout_at) if moment is not None]
        return min([_FOLDER_S, *(max(0.0, moment - time.monotonic()) for moment in moments)])

    def _look(self) -> None:
        """Do what is wished or due."""
        wish = bundle.read(self._folder / bundle.STOP)
        if wish is not None:
            self._stop("stopped", wish["grace_s"])
        if self._input_failure():
            self._stop("inputs", 0.0)
        now = time.monotonic()
        if self._timeout_at is not None and now >= self._timeout_at:
            self._timeout_at = None
            self._stop("timeout", self._workload.grace_s)
        # Somebody who removes the platform's folder wants nothing of it to run any longer.
        if (self._kill_at is not None and now >= self._kill_at) or not (self._folder / bundle.TASK).exists():
            self._killed = True
            self._kill_at = now + _FOLDER_S
            self._signal("SIGKILL")

    def _input_failure(self) -> str:
        path = self._folder / bundle.INPUTS / bundle.FAILURE
        return path.read_text() if self._workload.pipes and path.exists() else ""

    def _stop(self, reason: str, grace_s: float) -> None:
        self._reason = self._reason or reason
        if self._killed:
            return
        deadline = time.monotonic() + grace_s
        if self._kill_at is None:
            self._signal("SIGTERM")
        self._kill_at = min(deadline, self._kill_at or deadline)

    def _signal(self, name: str) -> None:
        # It may have ended meanwhile.
        with suppress(OSError):
            self._engine.kill(self._name, name)

    def _end(self) -> None:
        self._log.close()
        code = self._exit_code
        if code is None:
            self._reason = "lost"
        elif code and not self._reason:
            self._reason = self._blame(code)
        discard(self._task)
        self._status.tell("archiving", ended_at=time.time())
        # Root may read and remove whatever there is.
        if os.geteuid():
            self._take_over()
        message = (self._message if self._reason in {"sandbox", "lost"} else self._input_failure()) or self._archive()
        known = {} if code is None else {"exit_code": code, "signal": max(0, code - 128)}
        bundle.remove(self._folder / bundle.SCRATCH)
        self._status.end(**known, reason=self._reason, message=message)

    def _blame(self, code: int) -> str:
        """What the machine has to do with the end of a workload that nobody asked to end."""
        # Not every engine tells; but nobody else kills what nobody was asked to kill.
        if self._out_of_memory or code == _KILLED:
            return "oom"
        return "disk" if shutil.disk_usage(self._folder).free < _FULL_BYTES else ""

    def _take_over(self) -> None:
        """Become the owner of what the users of an image have made, if it has a program for that."""
        with suppress(OSError):
            if engine_container.is_ours(self._workload):
                return
            change = engine_container.handing_over(self._workload, self._engine.describe())
            self._engine.create(self._name, change)
            self._engine.start(self._name)
            self._engine.wait(self._name)
        discard(self._task)

    def _archive(self) -> str:
        try:
            for wanted in self._workload.archives:
                archive.pack([self._folder], wanted)
        except (OSError, ValueError) as error:
            self._reason = self._reason or "archive"
            return str(error)
        return ""
