"""Points in time as the protocols write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

Timestamp = datetime | float | str
"""What a handler may answer for a timestamp: aware datetime, epoch seconds or ISO 8601 text."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


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
        return value.astimezone(UTC)
    return parse(value)


def epoch(value: Timestamp) -> float:
    """Epoch seconds to the millisecond, as JSON services write them."""
    if isinstance(value, datetime):
        return round(value.timestamp(), 3)
    if isinstance(value, str):
        return round(parse(value).timestamp(), 3)
    return value


def iso_seconds(value: Timestamp) -> str:
    """`2024-05-01T10:00:00Z`, as query services write it."""
    return to_datetime(value).isoformat(timespec="seconds")[:-6] + "Z"


def iso_milliseconds(value: Timestamp) -> str:
    """`2024-05-01T10:00:00.000Z`, as S3 and EC2 write it."""
    return to_datetime(value).isoformat(timespec="milliseconds")[:-6] + "Z"


def http_date(value: Timestamp) -> str:
    """`Wed, 01 May 2024 10:00:00 GMT`, as headers write it."""
    at = to_datetime(value)
    day, month = _DAYS[at.weekday()], _MONTHS[at.month - 1]
    return f"{day}, {at.day:02} {month} {at.year:04} {at.hour:02}:{at.minute:02}:{at.second:02} GMT"


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
