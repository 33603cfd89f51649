from __future__ import annotations

import base64
import hmac
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from clary.auth import entities, workloads
from clary.auth.credentials import Credentials, role_session, root_user
from clary.auth.entities import LAST_USE
from clary.context import Principal, PrincipalKind
from clary.store.keyring import Keyring, WrongKey
from clary.store.records import Query, Record, Records
from clary.store.sqlite import SqliteDatabase
from tests.auth.conftest import ACCOUNT, Accounts, HandClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOUR = timedelta(hours=1)


def test_bootstrap_makes_one_root_key(credentials: Credentials) -> None:
    key = credentials.bootstrap()
    assert key
    assert key["AccessKeyId"].startswith("AKIA")
    assert len(key["AccessKeyId"]) == 20
    assert len(key["SecretAccessKey"]) == 40
    assert credentials.bootstrap() is None
    found = credentials.find(key["AccessKeyId"], "")
    assert found
    assert found.principal.kind is PrincipalKind.ROOT


def test_inactive_and_deleted_keys(credentials: Credentials, accounts: Accounts, records: Records) -> None:
    accounts.user("ada")
    key = accounts.key("ada")
    assert credentials.find(key.name, "")
    key = records.update(replace(key, status="Inactive"))
    assert credentials.find(key.name, "") is None
    key = records.update(replace(key, status="Active"))
    assert credentials.find(key.name, "")
    records.delete(key)
    assert credentials.find(key.name, "") is None


def test_key_of_a_deleted_user(credentials: Credentials, accounts: Accounts, records: Records) -> None:
    user = accounts.user("ada")
    key = accounts.key("ada")
    records.delete(user)
    assert credentials.find(key.name, "") is None


def test_session_survives_a_restart(
    credentials: Credentials, accounts: Accounts, records: Records, clock: HandClock, keyring: Keyring
) -> None:
    role = accounts.role("worker")
    principal = replace(
        role_session(role, "job-1", ("{}",), {"team": "blue"}),
        transitive_tags=("team",),
        source_identity="ada",
        mfa_at=clock.now(),
        session_keys={"idp.example/x:sub": "ada"},
    )
    issued = credentials.issue(principal, HOUR)
    found = Credentials(records, clock, ACCOUNT, keyring).find(issued["AccessKeyId"], issued["SessionToken"])
    assert found
    assert found.secret == issued["SecretAccessKey"]
    assert found.expires == clock.now() + HOUR == issued["Expiration"]
    keys = {**principal.session_keys, "aws:tokenissuetime": "2026-03-01T12:00:00Z"}
    assert found.principal == replace(principal, access_key=issued["AccessKeyId"], session_keys=keys)
    assert principal.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/job-1"
    assert principal.user_id == "IDworker:job-1"
    assert principal.role_arn == role.arn


@pytest.mark.parametrize("token", ["", "AAAA", "é", "not base64!", "A" * 400])
def test_forged_tokens(credentials: Credentials, accounts: Accounts, token: str) -> None:
    issued = credentials.issue_session(accounts.role("worker"), "s", HOUR)
    assert credentials.find(issued["AccessKeyId"], token) is None


def test_token_fits_its_key_only(credentials: Credentials, accounts: Accounts) -> None:
    role = accounts.role("worker")
    one, other = credentials.issue_session(role, "s", HOUR), credentials.issue_session(role, "s", HOUR)
    assert credentials.find(one["AccessKeyId"], other["SessionToken"]) is None


def test_session_ends_with_its_role(credentials: Credentials, accounts: Accounts, records: Records) -> None:
    role = accounts.role("worker")
    issued = credentials.issue_session(role, "s", HOUR)
    records.delete(role)
    assert credentials.find(issued["AccessKeyId"], issued["SessionToken"]) is None
    again = accounts.role("worker")
    records.update(replace(again, observed={"RoleId": "another"}))
    assert credentials.find(issued["AccessKeyId"], issued["SessionToken"]) is None


def test_federated_session_ends_with_its_user(credentials: Credentials, accounts: Accounts, records: Records) -> None:
    user = accounts.user("ada")
    arn = f"arn:aws:sts::{ACCOUNT}:federated-user/guest"
    principal = Principal(PrincipalKind.FEDERATED_USER, ACCOUNT, arn, f"{ACCOUNT}:guest", "ada")
    issued = credentials.issue(principal, HOUR, holder="IDada")
    assert credentials.find(issued["AccessKeyId"], issued["SessionToken"])
    records.delete(user)
    assert credentials.find(issued["AccessKeyId"], issued["SessionToken"]) is None


def test_root_session(credentials: Credentials) -> None:
    issued = credentials.issue(root_user(ACCOUNT), HOUR)
    found = credentials.find(issued["AccessKeyId"], issued["SessionToken"])
    assert found
    assert found.principal.kind is PrincipalKind.ROOT
    assert found.principal.access_key == issued["AccessKeyId"]


def test_use_is_noted_now_and_then(credentials: Credentials, records: Records, clock: HandClock) -> None:
    principal = root_user(ACCOUNT, "AKIAROOT")
    first = clock.now()
    credentials.note_use(principal, "s3", "eu-west-1")
    clock.advance(minutes=14)
    credentials.note_use(principal, "iam", "us-east-1")
    noted = records.get(LAST_USE, ACCOUNT, "", "AKIAROOT")
    assert noted
    assert noted.modified == first
    clock.advance(minutes=2)
    credentials.note_use(principal, "iam", "us-east-1")
    noted = records.get(LAST_USE, ACCOUNT, "", "AKIAROOT")
    assert noted
    assert (noted.modified, noted.spec) == (clock.now(), {"ServiceName": "iam", "Region": "us-east-1"})


def test_token_of_version_0_1(credentials: Credentials, accounts: Accounts, records: Records) -> None:
    role = accounts.role("worker")
    seal = records.get(entities.SEAL, ACCOUNT, "", "seal")
    assert seal is None
    key = bytes(32)
    now = accounts.clock.now()
    records.create(Record(entities.SEAL, ACCOUNT, "", "seal", "", {"Key": key.hex()}, now, now))
    expires = int((now + HOUR).timestamp())
    fields = ["ASIAOLD", expires, "assumed-role", ACCOUNT, "arn", "IDworker:s", "worker", role.arn, [], {"a": "b"}]
    payload = orjson.dumps(fields)
    token = base64.b64encode(hmac.digest(key, payload, "sha256") + payload).decode()
    found = credentials.find("ASIAOLD", token)
    assert found
    assert found.principal.session_tags == {"a": "b"}
    assert found.principal.mfa_at is None


def test_secrets_are_sealed_in_the_store(
    credentials: Credentials, accounts: Accounts, records: Records, clock: HandClock, tmp_path: Path
) -> None:
    credentials.bootstrap()
    accounts.user("ada")
    _, secret = credentials.create_key("ada")
    stored = repr(records.all(Query(entities.ACCESS_KEY, ACCOUNT)) + records.all(Query(entities.SEAL, ACCOUNT)))
    assert secret not in stored
    assert "SealedKey" in stored
    with pytest.raises(WrongKey, match="is this the right key file"):
        Credentials(records, clock, ACCOUNT, Keyring.at(tmp_path / "another")).bootstrap()


def test_open_secrets_are_read_and_sealed_at_the_next_start(
    credentials: Credentials, accounts: Accounts, records: Records
) -> None:
    accounts.user("ada")
    now = accounts.clock.now()
    spec = {"UserName": "ada", "SecretAccessKey": "open"}
    records.create(Record(entities.ACCESS_KEY, ACCOUNT, "", "AKIAOLD", "", spec, now, now, status="Active"))
    records.create(Record(entities.SEAL, ACCOUNT, "", "seal", "", {"Key": "00" * 32}, now, now))
    for _ in range(2):
        found = credentials.find("AKIAOLD", "")
        assert found
        assert found.secret == "open"
        credentials.bootstrap()
    stored = repr(records.all(Query(entities.ACCESS_KEY, ACCOUNT)) + records.all(Query(entities.SEAL, ACCOUNT)))
    assert "'open'" not in stored
    assert "00" * 32 not in stored


def test_managed_session_policy_follows_its_policy(
    credentials: Credentials, accounts: Accounts, records: Records
) -> None:
    policy = accounts.policy("p", "{}")
    issued = credentials.issue(role_session(accounts.role("worker"), "s", (policy.arn,)), HOUR)
    found = credentials.find(issued["AccessKeyId"], issued["SessionToken"])
    assert found
    assert found.principal.session_policies == ("{}",)
    records.delete(policy)
    found = credentials.find(issued["AccessKeyId"], issued["SessionToken"])
    assert found
    assert found.principal.session_policies == (entities.NOTHING,)


class Workload:
    """A job that holds credentials of its role."""

    def __init__(self, credentials: Credentials, accounts: Accounts, records: Records) -> None:
        self.credentials = credentials
        self.records = records
        now = accounts.clock.now()
        job = Record("training-job", ACCOUNT, "eu-west-1", "job", "", {}, now, now, status="InProgress")
        self.job = records.create(replace(job, observed={workloads.SECRET: "password"}))
        run = workloads.run_of(self.job)
        self.issued = credentials.issue_session(accounts.role("worker"), "SageMaker", HOUR, run=run)

    @property
    def signs(self) -> bool:
        return self.credentials.find(self.issued["AccessKeyId"], self.issued["SessionToken"]) is not None

    def change(self, **members: Any) -> None:
        self.job = self.records.update(replace(self.job, **members))


@pytest.fixture
def other(records: Records, tmp_path: Path) -> Iterator[Records]:
    """The same records as another process has them."""
    database = SqliteDatabase(tmp_path / "clary.db", durable=False)
    yield Records(database)
    database.close()


@pytest.fixture
def workload(credentials: Credentials, accounts: Accounts, records: Records) -> Workload:
    return Workload(credentials, accounts, records)


@pytest.mark.parametrize(
    "end",
    [
        {"status": "Completed"},
        {"status": "Failed"},
        {"status": "Stopped"},
        {"observed": {}},
        {"observed": {workloads.SECRET: "password of the next run"}},
    ],
)
def test_credentials_of_a_workload_end_with_it(workload: Workload, end: dict[str, Any]) -> None:
    assert workload.signs
    workload.change(status="Stopping")
    assert workload.signs
    workload.change(**end)
    assert not workload.signs


def test_credentials_of_a_workload_end_with_its_record(workload: Workload, records: Records) -> None:
    assert workload.signs
    records.delete(workload.job)
    assert not workload.signs


def test_what_ends_in_another_process_ends_here(workload: Workload, accounts: Accounts, other: Records) -> None:
    accounts.user("ada")
    key = accounts.key("ada")
    assert workload.signs
    assert workload.credentials.find(key.name, "")
    other.update(replace(workload.job, status="Completed"))
    other.update(replace(key, status="Inactive"))
    assert not workload.signs
    assert workload.credentials.find(key.name, "") is None


class Watched(Records):
    """Records that tell what is looked up."""

    def __init__(self, records: Records, asked: list[str]) -> None:
        self.__dict__.update(records.__dict__)
        self._asked = asked

    def get(self, kind: str, account: str, region: str, name: str) -> Record | None:
        self._asked.append(kind)
        return super().get(kind, account, region, name)


def test_workloads_are_asked_only_after_a_change(workload: Workload, records: Records) -> None:
    assert workload.signs
    asked: list[str] = []
    workload.credentials = Credentials(
        Watched(records, asked), workload.credentials._clock, ACCOUNT, workload.credentials._keyring
    )
    assert workload.signs
    assert asked.count("training-job") == 1
    assert workload.signs
    assert asked.count("training-job") == 1
    workload.change(status="Completed")
    assert not workload.signs
