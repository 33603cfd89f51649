"""Writes down every call, once it is known how it ended and before the caller is told."""

from __future__ import annotations

import logging
import re
import time
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

from clary.audit.refusal import refusal
from clary.auth.authorize import Ruling
from clary.auth.check import Check
from clary.auth.decision import Decision, PolicyKind
from clary.context import Context, Principal, PrincipalKind
from clary.store.audit.event import is_management, tells_answer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from clary.audit.parameters import Parameters
    from clary.auth.authorize import Authorizer
    from clary.errors import ServiceError
    from clary.http import Request
    from clary.settings import Settings
    from clary.store.audit import Segments
    from clary.store.records import Record

INTERNAL = "AWS Internal"
"""Where a call comes from that the platform makes by itself, in CloudTrail's words."""
LINE_BYTES = 512 << 10
"""A longer event goes without its parameters."""
MOST_CHECKS = 1000
"""As many as the keys of one DeleteObjects."""
MESSAGE_CHARACTERS = 1024
_DAY_S = 86400
_MAX_CACHED = 10_000
_CLAIMED = re.compile(r"(?:Credential=|X-Amz-Credential=|AWSAccessKeyId=|AWS )([A-Z0-9]{16,128})")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Attempt:
    """A call on its way: what is known of it grows as it passes the stages."""

    id: str
    service: str
    operation: str
    now: datetime
    source_ip: str = ""
    user_agent: str = ""
    http: Request | None = None
    began: float = field(default_factory=time.perf_counter)
    ctx: Context | None = None
    request: Mapping[str, Any] | None = None
    answer: Mapping[str, Any] | None = None
    error: ServiceError | None = None
    gone: bool = False
    """Whether the caller closed the connection before it had sent all."""

    @classmethod
    def over_http(cls, identifier: str, call: tuple[str, str], now: datetime, http: Request) -> Attempt:
        """A call that came by HTTP."""
        return cls(identifier, *call, now, http.client, http.headers.get("user-agent", ""), http)

    @property
    def claimed_key(self) -> str:
        """The access key with which the request says it is signed."""
        if self.http is None:
            return ""
        found = _CLAIMED.search(self.http.headers.get("authorization", "")) or _CLAIMED.search(self.http.query)
        return found[1] if found else ""


class Trail:
    """The audit log as those write it who answer calls."""

    def __init__(self, segments: Segments, parameters: Parameters, authorizer: Authorizer, settings: Settings) -> None:
        self._segments = segments
        self._authorizer = authorizer
        self._parameters = parameters
        self._settings = settings
        self._all = settings.audit == "all"
        self._callers: dict[tuple[str, str], orjson.Fragment] = {}

    def write(self, attempt: Attempt, status: int) -> None:
        """Adds the event of a call that was answered with this HTTP status; whatever goes wrong, the call goes on."""
        if not self._all and not is_management(attempt.service, attempt.operation):
            return
        try:
            seconds = attempt.now.timestamp()
            event = self._event(attempt, status)
            event["time"] = int(seconds * 1000)
            line = orjson.dumps(event, default=str)
            if len(line) > LINE_BYTES:
                line = orjson.dumps({**event, **_omitted(len(line))}, default=str)
            self._segments.append(line, int(seconds + event["us"] / 1e6) // _DAY_S)
        except Exception:  # a fault here must not turn an answer into an error
            log.exception("the call %s could not be written to the audit log", attempt.id)

    def handed_out(self, role: Record, session: str, issued: Mapping[str, Any], service: str, now: datetime) -> None:
        """Adds the event of credentials of a role that the platform gave to a workload on behalf of a service."""
        principal = Principal(PrincipalKind.SERVICE, role.account, service, service, service)
        region = self._settings.region
        ctx = Context(str(uuid.uuid4()), role.account, region, principal, "sts", "AssumeRole", now, via=service)
        attempt = Attempt(ctx.request_id, ctx.service, ctx.operation, now, service, service, ctx=ctx)
        attempt.request = {"RoleArn": role.arn, "RoleSessionName": session}
        attempt.answer = {"Credentials": issued}
        check = Check("sts:AssumeRole", role.arn, trust=True)
        ctx.rulings.append(Ruling(check, Decision(True, PolicyKind.TRUST)))
        self.write(attempt, 200)

    def _event(self, attempt: Attempt, status: int) -> dict[str, Any]:
        ctx, error = attempt.ctx, attempt.error
        event: dict[str, Any] = {
            "id": attempt.id,
            "who": self._who(ctx.proved[-1] if ctx.proved else ctx.principal) if ctx else {"key": attempt.claimed_key},
            "service": attempt.service,
            "operation": attempt.operation,
            "region": ctx.region if ctx else self._settings.region,
            "account": ctx.account if ctx else self._settings.account,
            "ip": attempt.source_ip,
            "agent": attempt.user_agent,
            "status": status,
            "us": int((time.perf_counter() - attempt.began) * 1e6),
        }
        if attempt.request is not None:
            event["request"] = self._parameters.of_request(attempt.service, attempt.operation, attempt.request)
        if ctx is not None:
            if ctx.via:
                event["via"] = ctx.via
            event["checks"] = [_check(ruling) for ruling in ctx.rulings[:MOST_CHECKS]]
            for ruling in ctx.rulings:
                if not ruling.decision.allowed:
                    caller = replace(ctx, principal=ctx.proved[-1]) if ctx.proved else ctx
                    event["refusal"] = refusal(caller, ruling.check, self._authorizer)
                    break
        if error is not None:
            event["code"], event["message"] = error.code, error.message[:MESSAGE_CHARACTERS]
        elif attempt.gone:
            event["code"], event["message"] = "RequestTimeout", "The caller closed the connection too early."
        elif attempt.answer and tells_answer(attempt.operation):
            event["response"] = self._parameters.of_answer(attempt.service, attempt.operation, attempt.answer)
        return event

    def _who(self, principal: Principal) -> orjson.Fragment:
        """The caller as JSON, made once for all its calls."""
        key = (principal.arn, principal.access_key)
        known = self._callers.get(key)
        if known is None:
            if len(self._callers) >= _MAX_CACHED:
                self._callers.clear()
            known = self._callers[key] = orjson.Fragment(orjson.dumps(_caller(principal)))
        return known


def _caller(principal: Principal) -> dict[str, Any]:
    caller = {
        "kind": principal.kind.value,
        "account": principal.account,
        "arn": principal.arn,
        "id": principal.user_id,
        "name": principal.name,
        "role": principal.role_arn,
        "key": principal.access_key,
        "mfa": principal.mfa_at is not None,
        "source_identity": principal.source_identity,
    }
    if principal.kind is PrincipalKind.ANONYMOUS:
        caller["arn"] = ""
    return {name: value for name, value in caller.items() if value}


def _check(ruling: Ruling) -> dict[str, Any]:
    """What was decided about one permission, and by which statement."""
    decision = ruling.decision
    check: dict[str, Any] = {
        "action": ruling.check.action,
        "resource": ruling.check.resource,
        "kind": decision.kind.value,
    }
    statement = decision.statement
    if statement is not None:
        source = statement.source
        check["statement"] = [source.kind, source.name, source.arn, source.holder, statement.index, statement.sid]
    if not decision.allowed:
        check["refused"] = True
    if ruling.check.action == "iam:PassRole":
        check["passed"] = ruling.check.keys.get("iam:PassedToService", "")
    return check


def _omitted(size: int) -> dict[str, Any]:
    """What stands in the place of parameters that are too large, as CloudTrail says it."""
    told = {"omitted": True, "originalSize": size, "reason": "requestParameters too large"}
    return {"request": told, "response": None, "refusal": None}
