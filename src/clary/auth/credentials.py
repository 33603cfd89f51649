"""Who holds which access key."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from clary import arn
from clary.auth import identifiers, sessions
from clary.auth.entities import ACCESS_KEY, LAST_USE, ROLE, SEAL, USER
from clary.context import Principal, PrincipalKind
from clary.store.records import AlreadyExists, Conflict, Query, Record, Records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clary.clock import Clock

_KINDS = (ACCESS_KEY, USER, ROLE)
_MAX_CACHED = 10_000
_USE_WRITTEN_EVERY = timedelta(minutes=15)
"""AWS tells the last use with a delay as well, so not every request needs a write."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A valid access key and whom it stands for."""

    secret: str
    principal: Principal
    expires: datetime | None = None


class Credentials:
    """Finds the holder of an access key; issues temporary ones."""

    def __init__(self, records: Records, clock: Clock, account: str) -> None:
        self._records = records
        self._clock = clock
        self._account = account
        self._seal = b""
        self._cache: dict[tuple[str, str], Credential] = {}
        self._revision = -1
        self._noted: dict[str, datetime] = {}

    def bootstrap(self) -> dict[str, str] | None:
        """The root user's access key at the very first start, None later."""
        root = Query(ACCESS_KEY, self._account, where=(("UserName", ""),), limit=1)
        if self._records.list(root):
            return None
        record = new_access_key(self._account, "", self._clock.now())
        self._records.create(record)
        return {"AccessKeyId": record.name, "SecretAccessKey": str(record.spec["SecretAccessKey"])}

    def find(self, access_key: str, token: str) -> Credential | None:
        """The credential behind an access key, None when it is unknown, inactive or does not fit the token."""
        revision = self._records.revision(*_KINDS)
        if revision != self._revision or len(self._cache) > _MAX_CACHED:
            self._cache.clear()
            self._revision = revision
        name = (access_key, token)
        credential = self._cache.get(name)
        if credential is None:
            credential = self._session(access_key, token) if token else self._long_term(access_key)
            if credential is not None:
                self._cache[name] = credential
        return credential

    def issue_session(
        self,
        role: Record,
        session_name: str,
        duration: timedelta,
        *,
        session_policies: tuple[str, ...] = (),
        tags: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Temporary credentials of a role, as STS returns them."""
        principal = role_session(role, session_name, session_policies, tags or {})
        return sessions.issue(self._sealing_key(), principal, self._clock.now() + duration)

    def issue_own_session(self, principal: Principal, duration: timedelta) -> dict[str, Any]:
        """Temporary credentials for the same user (GetSessionToken)."""
        return sessions.issue(self._sealing_key(), principal, self._clock.now() + duration)

    def note_use(self, principal: Principal, service: str, region: str) -> None:
        """Remembers that a long-term key or a role was used just now; written only now and then."""
        name = principal.user_id.partition(":")[0] if principal.role_arn else principal.access_key
        now = self._clock.now()
        noted = self._noted.get(name)
        if noted is not None and now - noted < _USE_WRITTEN_EVERY:
            return
        if len(self._noted) > _MAX_CACHED:
            self._noted.clear()
        self._noted[name] = now
        self._write_use(name, {"ServiceName": service, "Region": region}, now)

    def _write_use(self, name: str, use: dict[str, Any], now: datetime) -> None:
        record = self._records.get(LAST_USE, self._account, "", name)
        try:
            if record is None:
                self._records.create(Record(LAST_USE, self._account, "", name, "", use, now, now))
            elif now - record.modified >= _USE_WRITTEN_EVERY:
                self._records.update(replace(record, spec=use, modified=now))
        except (AlreadyExists, Conflict):
            pass  # another process wrote the same news

    def _long_term(self, access_key: str) -> Credential | None:
        record = self._records.get(ACCESS_KEY, self._account, "", access_key)
        if record is None or record.status != "Active":
            return None
        principal = self._holder(str(record.spec["UserName"]), access_key)
        return Credential(str(record.spec["SecretAccessKey"]), principal) if principal else None

    def _session(self, access_key: str, token: str) -> Credential | None:
        session = sessions.open_token(self._sealing_key(), access_key, token)
        if session is None or not self._is_current(session.principal):
            return None
        return Credential(session.secret, session.principal, session.expires)

    def _holder(self, user_name: str, access_key: str) -> Principal | None:
        if not user_name:
            return root_user(self._account, access_key)
        user = self._records.get(USER, self._account, "", user_name)
        if user is None:
            return None
        user_id = str(user.observed["UserId"])
        return Principal(PrincipalKind.USER, self._account, user.arn, user_id, user_name, access_key=access_key)

    def _is_current(self, principal: Principal) -> bool:
        """Whether the user or role still is the one for whom the session was made."""
        if principal.kind is PrincipalKind.ROOT:
            return True
        kind, member = (ROLE, "RoleId") if principal.role_arn else (USER, "UserId")
        record = self._records.get(kind, self._account, "", principal.name)
        return record is not None and principal.user_id.partition(":")[0] == record.observed[member]

    def _sealing_key(self) -> bytes:
        if not self._seal:
            self._seal = self._stored_seal()
        return self._seal

    def _stored_seal(self) -> bytes:
        record = self._records.get(SEAL, self._account, "", "seal")
        if record is None:
            now = self._clock.now()
            spec = {"Key": secrets.token_hex(32)}
            try:
                record = self._records.create(Record(SEAL, self._account, "", "seal", "", spec, now, now))
            except AlreadyExists:  # another process was first
                return self._stored_seal()
        return bytes.fromhex(str(record.spec["Key"]))


def new_access_key(account: str, user_name: str, now: datetime) -> Record:
    """A fresh, active key of a user; of the root user when the name is empty."""
    spec = {"UserName": user_name, "SecretAccessKey": identifiers.secret_access_key()}
    return Record(ACCESS_KEY, account, "", identifiers.access_key_id(), "", spec, now, now, status="Active")


def root_user(account: str, access_key: str = "") -> Principal:
    """The principal that owns the account."""
    return Principal(PrincipalKind.ROOT, account, arn.build("iam", "", account, "root"), account, access_key=access_key)


def role_session(
    role: Record, session_name: str, session_policies: tuple[str, ...], tags: Mapping[str, str]
) -> Principal:
    """The principal of a session of `role`."""
    return Principal(
        PrincipalKind.ASSUMED_ROLE,
        role.account,
        arn.build("sts", "", role.account, f"assumed-role/{role.name}/{session_name}"),
        f"{role.observed['RoleId']}:{session_name}",
        role.name,
        role_arn=role.arn,
        session_policies=session_policies,
        session_tags=dict(tags),
    )
