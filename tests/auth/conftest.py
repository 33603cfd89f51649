from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from clary.auth import entities
from clary.auth.credentials import Credentials, new_access_key
from clary.store.database import Database
from clary.store.records import Record, Records

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ACCOUNT = "123456789012"


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def advance(self, **duration: float) -> None:
        self.time += timedelta(**duration)


class Accounts:
    """Stores users, groups and roles as IAM does."""

    def __init__(self, records: Records, clock: HandClock) -> None:
        self.records = records
        self.clock = clock

    def entity(self, kind: str, name: str, **spec: object) -> Record:
        identifier = {entities.USER: "UserId", entities.GROUP: "GroupId", entities.ROLE: "RoleId"}.get(kind, "PolicyId")
        now = self.clock.now()
        arn = f"arn:aws:iam::{ACCOUNT}:{kind}/{name}"
        observed = {identifier: f"ID{name}"}
        record = Record(kind, ACCOUNT, "", name, arn, spec, now, now, observed=observed)
        return self.records.create(record)

    def user(self, name: str, *policies: str, **spec: object) -> Record:
        inline = {f"inline-{number}": text for number, text in enumerate(policies)}
        return self.entity(entities.USER, name, **{entities.INLINE: inline, **spec})

    def role(self, name: str, *policies: str, **spec: object) -> Record:
        inline = {f"inline-{number}": text for number, text in enumerate(policies)}
        return self.entity(entities.ROLE, name, **{entities.INLINE: inline, **spec})

    def policy(self, name: str, text: str) -> Record:
        versions = {"v1": {"Document": text, "CreateDate": ""}}
        return self.entity(entities.POLICY, name, Versions=versions, DefaultVersionId="v1")

    def key(self, user_name: str) -> Record:
        return self.records.create(new_access_key(ACCOUNT, user_name, self.clock.now()))


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    database = Database(tmp_path / "clary.db", durable=False)
    yield Records(database)
    database.close()


@pytest.fixture
def credentials(records: Records, clock: HandClock) -> Credentials:
    return Credentials(records, clock, ACCOUNT)


@pytest.fixture
def accounts(records: Records, clock: HandClock) -> Accounts:
    return Accounts(records, clock)
