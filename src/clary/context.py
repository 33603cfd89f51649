"""Who asks, for which account and region, and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from clary.auth.authorize import Ruling


class PrincipalKind(Enum):
    """What sort of identity signed the request."""

    ROOT = "root"
    USER = "user"
    ASSUMED_ROLE = "assumed-role"
    FEDERATED_USER = "federated-user"
    SERVICE = "service"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Principal:
    """The identity behind a request.

    `arn` is what GetCallerIdentity tells (`arn:aws:sts::A:assumed-role/ROLE/SESSION` for a session);
    `name` is the user's or the role's own name; `role_arn` is set for assumed roles only;
    `session_policies` are inline policy documents that narrow a session; `session_tags` become aws:PrincipalTag keys,
    those named in `transitive_tags` also in the sessions that this one starts; `mfa_at` is when a second factor was
    shown; `session_keys` are further condition keys, those of an identity provider, in lower case.
    """

    kind: PrincipalKind
    account: str
    arn: str
    user_id: str
    name: str = ""
    role_arn: str = ""
    access_key: str = ""
    session_policies: tuple[str, ...] = ()
    session_tags: Mapping[str, str] = field(default_factory=dict)
    transitive_tags: tuple[str, ...] = ()
    source_identity: str = ""
    mfa_at: datetime | None = None
    session_keys: Mapping[str, str] = field(default_factory=dict)


ANONYMOUS = Principal(PrincipalKind.ANONYMOUS, "", "anonymous", "anonymous")


@dataclass(frozen=True, slots=True)
class Context:
    """One request: passed first to every handler, fixed while it is handled."""

    request_id: str
    account: str
    """The account that owns what is addressed."""
    region: str
    """From the credential scope of the signature."""
    principal: Principal
    service: str
    """The service as botocore names it."""
    operation: str
    """The operation as the model names it, e.g. `CreateTrainingJob`."""
    now: datetime
    endpoint: str = "http://127.0.0.1:4100"
    """The base address under which the caller reached the platform; links handed out start with it."""
    source_ip: str = "127.0.0.1"
    secure: bool = False
    user_agent: str = ""
    referer: str = ""
    signed: Mapping[str, str] = field(default_factory=dict)
    """Condition keys that tell how the request was signed, in lower case."""
    via: str = ""
    """The service on whose behalf the call is made (`sagemaker.amazonaws.com`), empty for direct calls."""
    rulings: list[Ruling] = field(default_factory=list, compare=False)
    """What was decided about the permissions of the call so far, for the audit log."""
    proved: list[Principal] = field(default_factory=list, compare=False)
    """Who made the call, where its content proves it rather than its signature: a signed form."""
