"""Calls of webhooks: one message after the other over a kept connection, signed, and led nowhere else."""

from __future__ import annotations

import hashlib
import hmac
import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from clary.controllers.outbox import Failed, Unreachable

if TYPE_CHECKING:
    from clary.destinations import Destination

TIMEOUT_S = 5.0
ANSWER_BYTES = 1 << 16

SIGNATURE = "X-Clary-Signature"
"""Holds `t=SECONDS,v1=DIGEST`: the HMAC-SHA256, in hexadecimal, of `SECONDS.BODY` with the destination's secret."""


class Refused(Exception):
    """The receiver does not want this message; asking again would not help."""


class Webhook:
    """The receiver behind a destination; redirects are not followed."""

    def __init__(self, destination: Destination, timeout_s: float = TIMEOUT_S) -> None:
        self._destination = destination
        self._parts = urlsplit(destination.url)
        self._timeout_s = timeout_s
        self._connection: HTTPConnection | None = None

    def post(self, body: bytes, at: int) -> None:
        """Sends one message; `at` is the time in seconds since 1970 that the signature holds.

        Raises:
            Unreachable: there is no answer, or the request to come later.
            Failed: the answer is a fault of the receiver's own.
            Refused: it is any other that is no success.
        """
        status = self._status(body, at)
        if 200 <= status < 300:
            return
        self.close()
        text = f"{self._destination.url} answers {status}"
        if status in (408, 429, 503):
            raise Unreachable(text)
        raise Failed(text) if status >= 500 else Refused(text)

    def close(self) -> None:
        """Ends the connection; the next message opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _status(self, body: bytes, at: int) -> int:
        path = self._parts.path or "/"
        target = f"{path}?{self._parts.query}" if self._parts.query else path
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Clary",
            "X-Clary-Destination": self._destination.arn,
            SIGNATURE: signature(self._destination.secrets["Secret"], body, at),
        }
        connection = self._connection = self._connection or self._connect()
        try:
            connection.request("POST", target, body, headers)
            answer = connection.getresponse()
            answer.read(ANSWER_BYTES)
        except (OSError, HTTPException) as error:
            self.close()
            raise Unreachable(f"{self._destination.url}: {error!r}") from error
        if not answer.isclosed():
            self.close()
        return answer.status

    def _connect(self) -> HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            return HTTPSConnection(host, port, timeout=self._timeout_s, context=ssl.create_default_context())
        return HTTPConnection(host, port, timeout=self._timeout_s)


def signature(secret: str, body: bytes, at: int) -> str:
    """What proves that a message comes from this platform, and when it was sent."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"
