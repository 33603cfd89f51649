from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from clary import notebook_access
from clary.notebook_access import LINK_VALID, SIGNING_SECRET, LinkRefused
from clary.store.records import Record

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def notebook(secret: str = "s", name: str = "n") -> Record:
    return Record("notebook-instance", "1", "r", name, f"arn:{name}", {}, NOW, NOW, observed={SIGNING_SECRET: secret})


def test_a_link_works_once() -> None:
    record = notebook_access.with_link(notebook(), "token", HOUR, NOW)
    assert notebook_access.session_s(record, "token", NOW) == 3600
    record = notebook_access.without_link(record, "token", NOW)
    with pytest.raises(LinkRefused):
        notebook_access.without_link(record, "token", NOW)


def test_a_link_is_too_old_after_five_minutes() -> None:
    record = notebook_access.with_link(notebook(), "token", HOUR, NOW)
    notebook_access.session_s(record, "token", NOW + LINK_VALID - timedelta(seconds=1))
    with pytest.raises(LinkRefused):
        notebook_access.session_s(record, "token", NOW + LINK_VALID)


def test_links_do_not_disturb_each_other_and_old_ones_are_forgotten() -> None:
    record = notebook_access.with_link(notebook(), "first", HOUR, NOW)
    record = notebook_access.with_link(record, "second", HOUR, NOW + timedelta(minutes=3))
    record = notebook_access.without_link(record, "first", NOW + timedelta(minutes=4))
    assert notebook_access.session_s(record, "second", NOW + timedelta(minutes=4)) == 3600
    record = notebook_access.with_link(record, "third", HOUR, NOW + timedelta(minutes=9))
    assert len(record.observed[notebook_access.LINKS]) == 1


def test_the_record_does_not_hold_the_token_itself() -> None:
    assert "token" not in str(notebook_access.with_link(notebook(), "token", HOUR, NOW).observed["Links"])


def test_a_session_lasts_as_long_as_it_may() -> None:
    value = notebook_access.session(notebook(), NOW, 60)
    assert notebook_access.admits(notebook(), value, NOW + timedelta(seconds=59))
    assert not notebook_access.admits(notebook(), value, NOW + timedelta(seconds=60))


def test_a_session_belongs_to_one_run_of_one_notebook() -> None:
    value = notebook_access.session(notebook(), NOW, 60)
    assert not notebook_access.admits(notebook(secret="other"), value, NOW)
    assert not notebook_access.admits(notebook(name="other"), value, NOW)


@pytest.mark.parametrize("change", ["", "x", "9999999999.", ".", "²."])
def test_a_made_up_session_is_refused(change: str) -> None:
    assert not notebook_access.admits(notebook(), change, NOW)


def test_a_longer_session_needs_another_signature() -> None:
    expires, _, signature = notebook_access.session(notebook(), NOW, 60).partition(".")
    assert not notebook_access.admits(notebook(), f"{int(expires) + 1}.{signature}", NOW)
    assert not notebook_access.admits(notebook(), f"{expires}.{signature}é", NOW)
