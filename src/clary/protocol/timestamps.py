"""Points in time as the protocols write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from math import floor
from typing import Any

Timestamp = datetime | float | str
"""What a handler may answer for a timestamp: aware datetime, epoch seconds or ISO 8601 text."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Looked up rather than formatted: lists write thousands of times.
_TWO_DIGITS = tuple(f"{number:02}" for number in range(60))
_THREE_DIGITS = tuple(f"{number:03}" for number in range(1000))


def parse(value: Any) -> datetime:
    """The time that epoch seconds, ISO 8601 or HTTP text tell, in UTC.

    Raises:
        ValueError: it is none of these, or out of range.
    """
    if isinstance(value, str):
        return _from_text(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return from_epoch(value)
    raise ValueError(f"not a timestamp: {value!r}")


def from_epoch(seconds: float) -> datetime:
    """The time so many seconds after 1970; raises ValueError when it is out of range."""
    try:
        return EPOCH + timedelta(seconds=seconds)
    except OverflowError as error:
        raise ValueError(f"timestamp out of range: {seconds!r}") from error


def to_datetime(value: Timestamp) -> datetime:
    """The time that a handler's answer means."""
    if isinstance(value, datetime):
        return value if value.tzinfo is UTC else value.astimezone(UTC)
    return parse(value)


def epoch(value: Timestamp) -> float:
    """Epoch seconds to the millisecond, as JSON services write them."""
    return value if isinstance(value, int) else round(_seconds(value), 3)


def iso_seconds(value: Timestamp) -> str:
    """`2024-05-01T10:00:00Z`, as query services write it."""
    minute, second = divmod(floor(_seconds(value)), 60)
    return f"{_minute_text(minute)}{_TWO_DIGITS[second]}Z"


def iso_milliseconds(value: Timestamp) -> str:
    """`2024-05-01T10:00:00.000Z`, as S3 and EC2 write it."""
    second, millisecond = divmod(floor(_seconds(value) * 1000 + 0.5), 1000)
    return f"{_minute_text(second // 60)}{_TWO_DIGITS[second % 60]}.{_THREE_DIGITS[millisecond]}Z"


def http_date(value: Timestamp) -> str:
    """`Wed, 01 May 2024 10:00:00 GMT`, as headers write it."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _http_date(floor(value))
    return _http_text(to_datetime(value))


@lru_cache(maxsize=4096)
def _http_date(seconds: int) -> str:
    return _http_text(from_epoch(seconds))


def _http_text(at: datetime) -> str:
    day, month = _DAYS[at.weekday()], _MONTHS[at.month - 1]
    return f"{day}, {at.day:02} {month} {at.year:04} {at.hour:02}:{at.minute:02}:{at.second:02} GMT"


def _seconds(value: Timestamp) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    return _from_text(value).timestamp() if isinstance(value, str) else value


@lru_cache(maxsize=4096)
def _minute_text(minute: int) -> str:
    # What is listed together was mostly made together, and shares its minutes.
    return from_epoch(minute * 60).isoformat()[:17]


def _from_text(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = _from_other_text(text)
    try:
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"timestamp out of range: {text!r}") from error


def _from_other_text(text: str) -> datetime:
    try:
        return from_epoch(float(text))
    except ValueError:
        return parsedate_to_datetime(text)
