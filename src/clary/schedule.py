"""When monitoring runs, and the span of time that each run looks at.

Source: "Cron expressions for monitoring schedule", SageMaker developer guide: on the hour in UTC, every hour, at one
hour of the day, or from one hour on every so many hours; NOW runs once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

NOW = "NOW"
DAILY = "cron(0 0 ? * * *)"
"""AWS chooses an hour of the day when no expression is given; here it is midnight."""

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Hours:
    """The hours of the day at which something begins, in UTC."""

    hours: frozenset[int]

    @classmethod
    def parse(cls, expression: str) -> Hours:
        """The hours that a cron expression names.

        Raises:
            ValueError: it is none of the expressions that monitoring schedules may have.
        """
        match = _CRON.fullmatch(expression)
        if match is None:
            raise ValueError(expression)
        first = 0 if match["hour"] == "*" else int(match["hour"])
        every = int(match["every"] or (1 if match["hour"] == "*" else 24))
        if first > 23 or not 1 <= every <= 24:
            raise ValueError(expression)
        # "Every 12 hours, starting at 5 pm" also means 5 am: the count goes on over midnight.
        return cls(frozenset((first + passed) % 24 for passed in range(0, 24, every)))

    def after(self, moment: datetime) -> datetime:
        """The first beginning after a moment."""
        hour = moment.replace(minute=0, second=0, microsecond=0) + HOUR
        while hour.hour not in self.hours:
            hour += HOUR
        return hour

    def latest(self, moment: datetime) -> datetime:
        """The last beginning at or before a moment."""
        hour = moment.replace(minute=0, second=0, microsecond=0)
        while hour.hour not in self.hours:
            hour -= HOUR
        return hour


def offset(text: str) -> timedelta:
    """An ISO 8601 duration such as `-PT1H`, in days, hours, minutes and seconds.

    Raises:
        ValueError: it is none.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(text)
    days, hours, minutes, seconds = (int(part or 0) for part in match.group("days", "hours", "minutes", "seconds"))
    span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    return -span if match["sign"] == "-" else span


def window(expression: str, scheduled: datetime, offsets: tuple[str, str] | None) -> tuple[datetime, datetime]:
    """The span from start (included) to end (not included) that a run looks at.

    Without offsets it begins at the run before, but never more than a day earlier.
    """
    if offsets is not None:
        return scheduled + offset(offsets[0]), scheduled + offset(offsets[1])
    before = Hours.parse(expression).latest(scheduled - timedelta(microseconds=1))
    return max(before, scheduled - DAY), scheduled


_CRON = re.compile(r"cron\(0 (?P<hour>\*|\d{1,2})(?:/(?P<every>\d{1,2}))? [?*] \* [?*] \*\)")
_DURATION = re.compile(
    r"(?P<sign>[+-]?)P(?=[T\d])(?:(?P<days>\d+)D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?"
)
