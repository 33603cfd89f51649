"""Answers in pages: nextToken and maxResults."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, TypeVar

from .errors import InvalidParameterException

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clary.services.service import Members

MOST = 100

T = TypeVar("T")


def page(items: Sequence[T], request: Members) -> tuple[Sequence[T], dict[str, str]]:
    """The items that a request asks for, and the token for those behind them.

    Raises:
        InvalidParameterException: the token was not given out here.
    """
    start = _start(request)
    end = start + int(request.get("maxResults", MOST))
    token = {"nextToken": base64.b64encode(str(end).encode()).decode()} if end < len(items) else {}
    return items[start:end], token


def _start(request: Members) -> int:
    try:
        return int(base64.b64decode(request.get("nextToken", ""), validate=True) or 0)
    except (binascii.Error, ValueError) as error:
        raise InvalidParameterException("Invalid parameter at 'nextToken' failed to satisfy constraint") from error
