"""The tables of cases/, asked of the evaluator and of the naive one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from clary.auth import policy
from clary.auth.conditions import compile_block
from clary.auth.decision import Decision, Grants, PolicyKind, Question, decide
from clary.auth.patterns import matcher, resource_glob, without_variables
from clary.context import ANONYMOUS, Principal, PrincipalKind
from tests.auth import naive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clary.auth.policy import Policy

ACCOUNT, STRANGE = "123456789012", "888888888888"
KEYS: dict[str, tuple[str, ...]] = {"who": ("ada",), "many": ("a", "b"), "star": ("*",)}
KINDS = {
    "identity": PolicyKind.IDENTITY,
    "resource": PolicyKind.RESOURCE,
    "boundary": PolicyKind.BOUNDARY,
    "session": PolicyKind.SESSION,
    "trust": PolicyKind.TRUST,
}
ROLE = f"arn:aws:iam::{ACCOUNT}:role/worker"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/run"
CALLERS = {
    "ada": Principal(PrincipalKind.USER, ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/ada", "AIDAADA", "ada"),
    "bob": Principal(PrincipalKind.USER, ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/bob", "AIDABOB", "bob"),
    "eve": Principal(PrincipalKind.USER, STRANGE, f"arn:aws:iam::{STRANGE}:user/eve", "AIDAEVE", "eve"),
    "root": Principal(PrincipalKind.ROOT, ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT),
    "worker": Principal(PrincipalKind.ASSUMED_ROLE, ACCOUNT, SESSION, "AROAWORKER:run", "worker", ROLE),
    "guest": Principal(
        PrincipalKind.FEDERATED_USER,
        ACCOUNT,
        f"arn:aws:sts::{ACCOUNT}:federated-user/guest",
        f"{ACCOUNT}:guest",
        "ada",
    ),
    "nobody": ANONYMOUS,
    "sagemaker": Principal(
        PrincipalKind.SERVICE, ACCOUNT, "sagemaker.amazonaws.com", "sagemaker.amazonaws.com", "sagemaker.amazonaws.com"
    ),
}
BEHIND = {"worker": (ROLE, "AROAWORKER"), "guest": (f"arn:aws:iam::{ACCOUNT}:user/ada", "AIDAADA")}
ALL = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]


def table(name: str) -> Any:
    return yaml.safe_load((Path(__file__).parent / "cases" / f"{name}.yaml").read_text("utf-8"))


def rows(name: str) -> list[Any]:
    return [pytest.param(group, *line, id=f"{group}: {line}") for group, lines in table(name).items() for line in lines]


@pytest.mark.parametrize(("group", "operator", "wanted", "given", "expected"), rows("conditions"))
def test_condition(group: str, operator: str, wanted: Any, given: Any, expected: bool) -> None:
    request = dict(KEYS)
    if given is not None:
        request["k"] = tuple(given) if isinstance(given, list) else (given,)
    (condition,) = compile_block({operator: {"K": wanted}})
    assert condition(request.get) is expected, group
    statement = {"Effect": "Allow", "Action": "*", "Condition": {operator: {"K": wanted}}}
    allowed = naive.outcome(asked("ada", "s3:GetObject", "*", keys=request, identity=[statement]))
    assert (allowed == "allow") is expected


@pytest.mark.parametrize(("group", "pattern", "resource", "expected"), rows("resources"))
def test_resource(group: str, pattern: str, resource: str, expected: bool) -> None:
    old = group.startswith("without")
    fits = matcher([without_variables(pattern) if old else pattern], resource_glob)
    assert fits(resource, KEYS.get) is expected
    statement = {"Effect": "Allow", "Action": "*", "Resource": pattern, "version": "2008-10-17" if old else ""}
    allowed = naive.outcome(asked("ada", "s3:GetObject", resource, keys=KEYS, identity=[statement]))
    assert (allowed == "allow") is expected


QUESTIONS = [
    pytest.param(case, line, answer, id=f"{case['case']}: {line}")
    for case in table("evaluation")
    for line, answer in case["asks"].items()
]


@pytest.mark.parametrize(("case", "line", "answer"), QUESTIONS)
def test_evaluation(case: dict[str, Any], line: str, answer: str) -> None:
    expected, kind, sid = (*answer.split(), "")[:3]
    decision = evaluate(case, *line.split())
    assert (outcome(decision), decision.kind) == (expected, KINDS[kind])
    if sid:
        assert decision.statement
        assert decision.statement.sid == sid
    assert naive.outcome(asked_of(case, *line.split())) == expected


def outcome(decision: Decision) -> str:
    if decision.allowed:
        return "allow"
    return "explicit" if decision.explicit else "implicit"


def evaluate(case: Mapping[str, Any], caller: str, action: str, resource: str) -> Decision:
    """What the evaluator makes of one line of a case."""
    identity, boundary, session = policies_of(case, caller)
    version = case.get("version", "2012-10-17")
    grants = Grants(
        compiled(identity, version),
        compiled(boundary, version) if boundary is not None else None,
        compiled(session, version) if session is not None else None,
    )
    owner, trust = case.get("owner", ACCOUNT), case.get("trust", False)
    keys = keys_of(case, caller)
    question = Question(CALLERS[caller], action, resource, keys.get, owner, trust, BEHIND.get(caller, ()))
    attached = compiled(case["resource"], version) if "resource" in case else None
    return decide(question, grants, attached)


def policies_of(case: Mapping[str, Any], caller: str) -> tuple[Any, Any, Any]:
    """The statements of the identity policies, the boundary and the session policies that a caller has."""
    if caller == "root":
        return ALL, None, None
    if caller in ("nobody", "sagemaker"):
        return [], None, None
    return case.get("identity", []), case.get("boundary"), case.get("session") if caller in BEHIND else None


def compiled(statements: list[dict[str, Any]], version: str) -> Policy:
    return policy.parse(json.dumps({"Version": version, "Statement": statements}))


def keys_of(case: Mapping[str, Any], caller: str) -> dict[str, tuple[str, ...]]:
    principal = CALLERS[caller]
    keys: dict[str, tuple[str, ...]] = {key.lower(): (value,) for key, value in case.get("keys", {}).items()}
    keys["aws:userid"] = (principal.user_id,)
    if principal.account:
        keys["aws:principalaccount"] = (principal.account,)
        keys["aws:principalarn"] = (principal.role_arn or principal.arn,)
    if principal.kind is PrincipalKind.USER:
        keys["aws:username"] = (principal.name,)
    return keys


def asked_of(case: Mapping[str, Any], caller: str, action: str, resource: str) -> naive.Asked:
    """One line of a case, for the naive evaluator."""
    version = case.get("version", "2012-10-17")
    identity, boundary, session = (
        None if statements is None else [{**each, "version": version} for each in statements]
        for statements in policies_of(case, caller)
    )
    found = asked(caller, action, resource, keys=keys_of(case, caller), identity=identity or [])
    found.owner, found.trust = case.get("owner", ACCOUNT), case.get("trust", False)
    found.boundary, found.session = boundary, session
    found.resource_policies = [{**each, "version": version} for each in case.get("resource", [])]
    return found


def asked(
    caller: str, action: str, resource: str, *, keys: Mapping[str, tuple[str, ...]], identity: list[dict[str, Any]]
) -> naive.Asked:
    who = CALLERS[caller]
    return naive.Asked(
        kind=who.kind.value,
        account=who.account,
        arn=who.arn,
        user_id=who.user_id,
        behind=list(BEHIND.get(caller, ())),
        name=who.name,
        action=action,
        resource=resource,
        owner=ACCOUNT,
        trust=False,
        keys={key: list(values) for key, values in keys.items()},
        identity=identity,
    )
