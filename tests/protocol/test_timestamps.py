from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.protocol import timestamps

TIMES = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # made aware


@given(TIMES)
def test_what_is_written_is_read(time: datetime) -> None:
    second = time.replace(microsecond=0)
    assert timestamps.parse(timestamps.iso_seconds(time)) == second
    assert timestamps.parse(timestamps.http_date(time)) == second
    assert abs(timestamps.parse(timestamps.iso_milliseconds(time)) - time) <= timedelta(milliseconds=1)
    assert abs(timestamps.parse(timestamps.epoch(time)) - time) <= timedelta(milliseconds=1)
    assert timestamps.iso_milliseconds(time.isoformat()) == timestamps.iso_milliseconds(time)


@pytest.mark.parametrize("value", ["", "soon", "2024-13-01", "1e400", float("inf"), float("nan"), 1e20, True, None, []])
def test_what_is_no_time(value: object) -> None:
    with pytest.raises(ValueError, match=r".*"):
        timestamps.parse(value)
