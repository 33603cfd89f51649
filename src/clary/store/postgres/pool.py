"""The connections of a process, which threads borrow."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from clary.store.database import Unavailable
from clary.store.postgres.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_CONNECTIONS = 10
"""A server allows 100 unless told otherwise, for all processes together."""

PATIENCE_S = 10.0
AGAIN_AFTER_S = 1.0
"""How long nobody tries to connect after it failed: requests shall be refused quickly meanwhile."""

T = TypeVar("T")


class Pool:
    """Connections to one server, made as they are needed.

    Args:
        conninfo: where it is.
        is_down: asked when one of them broke: whether the others are of no use either.
    """

    def __init__(self, conninfo: str, is_down: Callable[[], bool]) -> None:
        self._conninfo = conninfo
        self._is_down = is_down
        self._idle: list[Session] = []
        self._slots = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._again_at = 0.0
        self._why = ""

    def first(self, action: Callable[[Session], T]) -> tuple[Session, T]:
        """What an action answers as the first one in a session, which the caller gives back.

        An idle connection may have ended unnoticed with the server; then another one is taken.
        """
        try:
            return self._try(action)
        except _Stale:
            return self._try(action)

    def give(self, session: Session) -> None:
        """Takes a session back."""
        if session.broken:
            session.close()
            if self._is_down():
                self.close()
        else:
            self._idle.append(session)
        self._slots.release()

    def connect(self) -> Session:
        """A session that does not count here.

        Raises:
            Unavailable: the server cannot be reached, or could not a moment ago.
        """
        if time.monotonic() < self._again_at:
            raise Unavailable(self._why)
        try:
            return Session(self._conninfo)
        except Unavailable as error:
            self._why = str(error)
            self._again_at = time.monotonic() + AGAIN_AFTER_S
            raise

    def close(self) -> None:
        """Closes those that are idle."""
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().close()

    def _try(self, action: Callable[[Session], T]) -> tuple[Session, T]:
        session, was_idle = self._take()
        try:
            return session, action(session)
        except BaseException as error:
            session.roll_back()
            broken = session.broken
            self.give(session)
            if broken and was_idle and isinstance(error, Unavailable):
                raise _Stale(str(error)) from error
            raise

    def _take(self) -> tuple[Session, bool]:
        if not self._slots.acquire(timeout=PATIENCE_S):
            raise Unavailable("all connections to the database are busy")
        with suppress(IndexError):
            return self._idle.pop(), True
        try:
            return self.connect(), False
        except BaseException:
            self._slots.release()
            raise


class _Stale(Unavailable):
    """A connection that waited for work was dead already, so nothing was done."""
