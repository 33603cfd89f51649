from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from clary.auth import entities
from clary.auth.credentials import Credentials
from clary.store.keyring import Keyring
from clary.store.records import Record, Records
from clary.store.sqlite import SqliteDatabase

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

    def __init__(self, records: Records, clock: HandClock, credentials: Credentials) -> None:
        self.records = records
        self.clock = clock
        self.credentials = credentials

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
        return self.credentials.create_key(user_name)[0]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    database = SqliteDatabase(tmp_path / "clary.db", durable=False)
    yield Records(database)
    database.close()


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring.at(tmp_path / "key")


@pytest.fixture
def credentials(records: Records, clock: HandClock, keyring: Keyring) -> Credentials:
    return Credentials(records, clock, ACCOUNT, keyring)


@pytest.fixture
def accounts(records: Records, clock: HandClock, credentials: Credentials) -> Accounts:
    return Accounts(records, clock, credentials)
