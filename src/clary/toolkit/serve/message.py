"""A request to the model server and its reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Request:
    """One HTTP request; header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        """What the body is, as the client said."""
        return self.headers.get("content-type", "")

    @property
    def accept(self) -> str:
        """What the client wants; `*/*` when it does not say."""
        return self.headers.get("accept") or "*/*"


@dataclass(slots=True)
class Response:
    """One HTTP reply."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain"
    headers: Mapping[str, str] = field(default_factory=dict)


Application = Callable[[Request], Response]
"""Answers requests one at a time; it may not raise."""
