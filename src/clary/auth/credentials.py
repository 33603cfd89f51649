"""Who holds which access key."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from clary import arn
from clary.auth import entities, identifiers, sessions, workloads
from clary.auth.entities import ACCESS_KEY, LAST_USE, POLICY, ROLE, SEAL, USER
from clary.auth.keys import TOKEN_ISSUE_TIME, moment
from clary.context import Principal, PrincipalKind
from clary.store.records import AlreadyExists, Conflict, Query, Record, Records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clary.auth.sessions import Session
    from clary.clock import Clock
    from clary.store.keyring import Keyring

_KINDS = (ACCESS_KEY, USER, ROLE, POLICY)
_MAX_CACHED = 10_000
_USE_WRITTEN_EVERY = timedelta(minutes=15)
"""AWS tells the last use with a delay as well, so not every request needs a write."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A valid access key and whom it stands for."""

    secret: str
    principal: Principal
    expires: datetime | None = None
    run: str = ""
    """The run of a workload with which it ends."""


class Credentials:
    """Finds the holder of an access key; issues temporary ones. What is secret is sealed in the store."""

    def __init__(self, records: Records, clock: Clock, account: str, keyring: Keyring) -> None:
        self._records = records
        self._clock = clock
        self._account = account
        self._keyring = keyring
        self._seal = b""
        self._found: tuple[int, dict[tuple[str, str], Credential]] = -1, {}
        self._runs: dict[str, int] = {}
        self._noted: dict[str, datetime] = {}

    def bootstrap(self) -> dict[str, str] | None:
        """The root user's access key at the very first start, None later; seals what earlier versions left open.

        Raises:
            WrongKey: the secrets were sealed with another key.
        """
        self._seal_open_secrets()
        self._sealing_key()
        root = Query(ACCESS_KEY, self._account, where=(("UserName", ""),), limit=1)
        if self._records.list(root):
            return None
        key, secret = self.create_key("")
        return {"AccessKeyId": key.name, "SecretAccessKey": secret}

    def create_key(self, user_name: str) -> tuple[Record, str]:
        """A fresh, active key of a user, of the root user when the name is empty, and its secret."""
        name, secret = identifiers.access_key_id(), identifiers.secret_access_key()
        spec = {"UserName": user_name, _SEALED: self._keyring.seal_text(secret, _purpose(name))}
        now = self._clock.now()
        key = self._records.create(Record(ACCESS_KEY, self._account, "", name, "", spec, now, now, status="Active"))
        return key, secret

    def secret_of(self, key: Record) -> str:
        """The secret of a stored access key."""
        if _OPEN in key.spec:
            return str(key.spec[_OPEN])
        return self._keyring.open_text(key.spec[_SEALED], _purpose(key.name))

    def find(self, access_key: str, token: str) -> Credential | None:
        """The credential behind an access key, None when it is unknown, inactive or does not fit the token."""
        revision = self._records.revision(*_KINDS)
        seen, known = self._found
        if revision != seen or len(known) > _MAX_CACHED:
            # A dictionary of its own: another thread may still be filling the one before with what it read by then.
            known = {}
            self._found = revision, known
        name = (access_key, token)
        credential = known.get(name)
        if credential is None:
            credential = self._session(access_key, token) if token else self._long_term(access_key)
            if credential is not None:
                known[name] = credential
        if credential is not None and credential.run and not self._goes_on(credential.run):
            return None
        return credential

    def issue_session(self, role: Record, session_name: str, duration: timedelta, *, run: str = "") -> dict[str, Any]:
        """Temporary credentials of a role, as STS returns them; they end with the `run` of a workload."""
        return self.issue(role_session(role, session_name), duration, run=run)

    def issue(self, principal: Principal, duration: timedelta, *, run: str = "", holder: str = "") -> dict[str, Any]:
        """Temporary credentials of a principal, as STS returns them.

        Args:
            principal: whom they stand for; session policies may be documents, or ARNs of managed policies.
            duration: how long they are valid.
            run: the run of a workload with which they end sooner.
            holder: the unique id of the user with whom they end, where that is not the principal itself.
        """
        now = self._clock.now()
        begun = replace(principal, session_keys={**principal.session_keys, TOKEN_ISSUE_TIME: moment(now)})
        return sessions.issue(self._sealing_key(), begun, now + duration, run, holder)

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
        return Credential(self.secret_of(record), principal) if principal else None

    def _session(self, access_key: str, token: str) -> Credential | None:
        session = sessions.open_token(self._sealing_key(), access_key, token)
        if session is None or not self._is_current(session):
            return None
        policies = tuple(self._session_policy(each) for each in session.principal.session_policies)
        principal = replace(session.principal, session_policies=policies)
        return Credential(session.secret, principal, session.expires, session.run)

    def _session_policy(self, text: str) -> str:
        """Tokens name managed policies rather than carry them, as tokens travel in headers."""
        return entities.managed_document(self._records, text) or entities.NOTHING if text.startswith("arn:") else text

    def _goes_on(self, run: str) -> bool:
        """Asks the store only when a record of the workload's kind was written since."""
        revision = self._records.revision(workloads.kind_of(run))
        if self._runs.get(run) == revision:
            return True
        if not workloads.goes_on(self._records, run):
            self._runs.pop(run, None)
            return False
        if len(self._runs) > _MAX_CACHED:
            self._runs.clear()
        self._runs[run] = revision
        return True

    def _holder(self, user_name: str, access_key: str) -> Principal | None:
        if not user_name:
            return root_user(self._account, access_key)
        user = self._records.get(USER, self._account, "", user_name)
        if user is None:
            return None
        user_id = str(user.observed["UserId"])
        return Principal(PrincipalKind.USER, self._account, user.arn, user_id, user_name, access_key=access_key)

    def _is_current(self, session: Session) -> bool:
        """Whether the user or role still is the one for whom the session was made."""
        principal = session.principal
        holder = session.holder or principal.user_id.partition(":")[0]
        if holder == principal.account:
            return True  # the root user
        kind, member = (ROLE, "RoleId") if principal.role_arn else (USER, "UserId")
        record = self._records.get(kind, self._account, "", principal.name)
        return record is not None and holder == record.observed[member]

    def _sealing_key(self) -> bytes:
        if not self._seal:
            self._seal = self._stored_seal()
        return self._seal

    def _stored_seal(self) -> bytes:
        record = self._records.get(SEAL, self._account, "", _SEAL_NAME)
        if record is None:
            now = self._clock.now()
            spec = {_SEALED_SEAL: self._keyring.seal_text(secrets.token_hex(32), SEAL)}
            try:
                record = self._records.create(Record(SEAL, self._account, "", _SEAL_NAME, "", spec, now, now))
            except AlreadyExists:  # another process was first
                return self._stored_seal()
        return bytes.fromhex(record.spec.get(_OPEN_SEAL) or self._keyring.open_text(record.spec[_SEALED_SEAL], SEAL))

    def _seal_open_secrets(self) -> None:
        """Seals what version 0.1 kept open."""
        for key in self._records.all(Query(ACCESS_KEY, self._account)):
            if _OPEN in key.spec:
                self._records.edit(key, self._sealed_key)
        seal = self._records.get(SEAL, self._account, "", _SEAL_NAME)
        if seal is not None and _OPEN_SEAL in seal.spec:
            sealed = self._keyring.seal_text(seal.spec[_OPEN_SEAL], SEAL)
            self._records.edit(seal, lambda now: replace(now, spec={_SEALED_SEAL: sealed}))

    def _sealed_key(self, key: Record) -> Record:
        spec = {name: value for name, value in key.spec.items() if name != _OPEN}
        return replace(key, spec={**spec, _SEALED: self._keyring.seal_text(self.secret_of(key), _purpose(key.name))})


_OPEN, _SEALED = "SecretAccessKey", "SealedSecretAccessKey"
_SEAL_NAME = "seal"
_OPEN_SEAL, _SEALED_SEAL = "Key", "SealedKey"


def _purpose(access_key: str) -> str:
    return f"access key:{access_key}"


def root_user(account: str, access_key: str = "") -> Principal:
    """The principal that owns the account."""
    return Principal(PrincipalKind.ROOT, account, arn.build("iam", "", account, "root"), account, access_key=access_key)


def role_session(
    role: Record, session_name: str, session_policies: tuple[str, ...] = (), tags: Mapping[str, str] | None = None
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
        session_tags=dict(tags or {}),
    )
