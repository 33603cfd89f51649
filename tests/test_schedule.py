from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.schedule import DAILY, DAY, Hours, offset, window

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOMENTS = st.integers(0, 4 * 10**15).map(lambda passed: NOON + timedelta(microseconds=passed))
EXPRESSIONS = st.one_of(
    st.just("cron(0 * ? * * *)"),
    st.builds("cron(0 {} ? * * *)".format, st.integers(0, 23)),
    st.builds("cron(0 {}/{} ? * * *)".format, st.integers(0, 23), st.integers(1, 24)),
)


@pytest.mark.parametrize(
    ("expression", "hours"),
    [
        ("cron(0 * ? * * *)", set(range(24))),
        ("cron(0 12 ? * * *)", {12}),
        ("cron(0 00 ? * * *)", {0}),
        ("cron(0 17/12 ? * * *)", {17, 5}),
        ("cron(0 0/6 ? * * *)", {0, 6, 12, 18}),
        ("cron(0 0/5 ? * * *)", {0, 5, 10, 15, 20}),
        (DAILY, {0}),
    ],
)
def test_expressions_of_the_developer_guide(expression: str, hours: set[int]) -> None:
    assert Hours.parse(expression).hours == hours


@pytest.mark.parametrize(
    "expression",
    [
        "", "NOW", "rate(1 hour)", "cron(5 * ? * * *)", "cron(0 24 ? * * *)", "cron(0 0/25 ? * * *)",
        "cron(0 0/0 ? * * *)", "cron(0 12 1 * ? *)", "cron(0 12 ? * MON *)", "0 12 * * *", "cron(0 1,2 ? * * *)",
    ],
)  # fmt: skip
def test_other_expressions_are_refused(expression: str) -> None:
    with pytest.raises(ValueError):
        Hours.parse(expression)


@given(EXPRESSIONS, MOMENTS)
def test_beginnings_are_on_the_hour_and_nothing_lies_between(expression: str, moment: datetime) -> None:
    hours = Hours.parse(expression)
    latest, following = hours.latest(moment), hours.after(moment)
    assert latest <= moment < following
    assert {latest.hour, following.hour} <= hours.hours
    assert hours.after(latest) == following
    assert hours.latest(following - timedelta(microseconds=1)) == latest


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("-PT1H", timedelta(hours=-1)),
        ("PT0S", timedelta()),
        ("-P1D", timedelta(days=-1)),
        ("-P1DT2H3M4S", -timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("+PT30M", timedelta(minutes=30)),
    ],
)
def test_offsets(text: str, span: timedelta) -> None:
    assert offset(text) == span


@pytest.mark.parametrize("text", ["", "P", "PT", "-1H", "P1W", "PT1H30", "1 hour"])
def test_other_offsets_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        offset(text)


def test_a_window_reaches_back_to_the_run_before() -> None:
    assert window("cron(0 * ? * * *)", NOON, None) == (NOON - timedelta(hours=1), NOON)
    assert window("cron(0 12 ? * * *)", NOON, None) == (NOON - DAY, NOON)
    assert window("cron(0 0/6 ? * * *)", NOON, None) == (NOON - timedelta(hours=6), NOON)


def test_offsets_set_the_window() -> None:
    assert window("NOW", NOON, ("-PT5H", "-PT1H")) == (NOON - timedelta(hours=5), NOON - timedelta(hours=1))


@given(EXPRESSIONS, MOMENTS)
def test_windows_follow_each_other(expression: str, moment: datetime) -> None:
    hours = Hours.parse(expression)
    first = hours.after(moment)
    second = hours.after(first)
    assert window(expression, second, None) == (first, second)
