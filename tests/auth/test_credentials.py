from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from clary.auth.credentials import Credentials, root_user
from clary.auth.entities import LAST_USE
from clary.context import PrincipalKind
from tests.auth.conftest import ACCOUNT, Accounts, HandClock

if TYPE_CHECKING:
    from clary.store.records import Records

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
    credentials: Credentials, accounts: Accounts, records: Records, clock: HandClock
) -> None:
    role = accounts.role("worker")
    issued = credentials.issue_session(role, "job-1", HOUR, session_policies=("{}",), tags={"team": "blue"})
    found = Credentials(records, clock, ACCOUNT).find(issued["AccessKeyId"], issued["SessionToken"])
    assert found
    assert found.secret == issued["SecretAccessKey"]
    assert found.expires == clock.now() + HOUR == issued["Expiration"]
    principal = found.principal
    assert principal.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/job-1"
    assert principal.user_id == "IDworker:job-1"
    assert principal.role_arn == role.arn
    assert principal.session_policies == ("{}",)
    assert principal.session_tags == {"team": "blue"}


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


def test_root_session(credentials: Credentials) -> None:
    issued = credentials.issue_own_session(root_user(ACCOUNT), HOUR)
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
