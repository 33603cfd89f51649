from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.auth import policy
from clary.auth.decision import Decision, Grants, PolicyKind, Question, decide
from clary.auth.policy import InvalidPolicy, Policy
from clary.context import ANONYMOUS, Principal, PrincipalKind

ACCOUNT = "123456789012"
ADA = Principal(PrincipalKind.USER, ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/ada", "AIDA", "ada")
SESSION = Principal(
    PrincipalKind.ASSUMED_ROLE,
    ACCOUNT,
    f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/s",
    "AROA:s",
    "worker",
    f"arn:aws:iam::{ACCOUNT}:role/worker",
)
NOTHING = policy.union(())


def document(*statements: dict[str, Any]) -> Policy:
    return policy.parse(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))


def allow(action: str | list[str] = "*", resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: str | list[str] = "*", resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {**allow(action, resource, **more), "Effect": "Deny"}


def ask(
    grants: Grants,
    resource: Policy | None = None,
    *,
    principal: Principal = ADA,
    action: str = "s3:GetObject",
    on: str = "arn:aws:s3:::b/k",
    owner: str = ACCOUNT,
    trust: bool = False,
) -> Decision:
    keys = {"aws:username": ("ada",)}
    behind = (principal.role_arn, principal.user_id.partition(":")[0]) if principal.role_arn else ()
    return decide(Question(principal, action, on, keys.get, owner, trust, behind), grants, resource)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (allow(), True),
        (allow("s3:*"), True),
        (allow("s3:Get*"), True),
        (allow("S3:getobject"), True),
        (allow("s3:GetObjec?"), True),
        (allow("s3:PutObject"), False),
        (allow("s3:GetObject", "arn:aws:s3:::b/*"), True),
        (allow("s3:GetObject", ["arn:aws:s3:::a/*", "arn:aws:s3:::b/?"]), True),
        (allow("s3:GetObject", "arn:aws:s3:::b"), False),
        (allow("s3:GetObject", "arn:aws:s3:::B/k"), False),
        ({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}, True),
        ({"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}, False),
        ({"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::a/*"}, True),
        ({"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::b/*"}, False),
        (allow(Condition={"StringEquals": {"aws:username": "ada"}}), True),
        (allow(Condition={"StringEquals": {"aws:username": "bob"}}), False),
    ],
)
def test_statement(statement: dict[str, Any], expected: bool) -> None:
    assert ask(Grants(document(statement))).allowed is expected


@pytest.mark.parametrize(
    ("pattern", "resource", "expected"),
    [
        ("arn:aws:s3:::b/${aws:username}/*", "arn:aws:s3:::b/ada/x", True),
        ("arn:aws:s3:::b/${aws:username}/*", "arn:aws:s3:::b/bob/x", False),
        ("arn:aws:s3:::b/${aws:PrincipalTag/team}/*", "arn:aws:s3:::b//x", False),
        ("arn:aws:s3:::b/${aws:PrincipalTag/team, 'none'}/*", "arn:aws:s3:::b/none/x", True),
        ("arn:aws:s3:::b/${*}", "arn:aws:s3:::b/*", True),
        ("arn:aws:s3:::b/${*}", "arn:aws:s3:::b/x", False),
    ],
)
def test_variables(pattern: str, resource: str, expected: bool) -> None:
    assert ask(Grants(document(allow("*", pattern))), on=resource).allowed is expected


def test_implicit_deny_names_what_is_lacking() -> None:
    assert ask(Grants(NOTHING)) == Decision(False, PolicyKind.IDENTITY)
    assert ask(Grants(document(allow()), boundary=NOTHING)) == Decision(False, PolicyKind.BOUNDARY)
    assert ask(Grants(document(allow()), session=NOTHING)) == Decision(False, PolicyKind.SESSION)


@pytest.mark.parametrize("kind", [PolicyKind.IDENTITY, PolicyKind.BOUNDARY, PolicyKind.SESSION, PolicyKind.RESOURCE])
def test_explicit_deny_wins(kind: PolicyKind) -> None:
    everything, denying = document(allow()), document(allow(), deny("s3:Get*", Sid="No"))
    attached = document({**deny("s3:Get*", Sid="No"), "Principal": "*"}) if kind is PolicyKind.RESOURCE else None
    grants = Grants(
        denying if kind is PolicyKind.IDENTITY else everything,
        denying if kind is PolicyKind.BOUNDARY else None,
        denying if kind is PolicyKind.SESSION else None,
    )
    decision = ask(grants, attached)
    assert decision.explicit
    assert decision.kind is kind
    assert decision.statement
    assert decision.statement.sid == "No"


@pytest.mark.parametrize(
    ("principal", "named", "boundary", "expected"),
    [
        (ADA, {"AWS": ADA.arn}, None, True),
        (ADA, {"AWS": ADA.arn}, NOTHING, True),
        (ADA, "*", None, True),
        (ADA, {"AWS": "*"}, NOTHING, False),
        (ADA, {"AWS": ACCOUNT}, None, False),
        (ADA, {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, None, False),
        (ADA, {"AWS": "arn:aws:iam::123456789012:user/bob"}, None, False),
        (SESSION, {"AWS": SESSION.role_arn}, None, True),
        (SESSION, {"AWS": SESSION.role_arn}, NOTHING, False),
        (SESSION, {"AWS": SESSION.arn}, NOTHING, True),
        (ANONYMOUS, "*", None, True),
        (ANONYMOUS, {"AWS": "*"}, None, True),
        (ANONYMOUS, {"AWS": ADA.arn}, None, False),
    ],
)
def test_resource_policy_alone(principal: Principal, named: object, boundary: Policy | None, expected: bool) -> None:
    attached = document(allow(Principal=named))
    assert ask(Grants(NOTHING, boundary), attached, principal=principal).allowed is expected


def test_only_services_are_services() -> None:
    name = "sagemaker.amazonaws.com"
    attached = document(allow(Principal={"Service": name}))
    service = Principal(PrincipalKind.SERVICE, ACCOUNT, name, name, name)
    assert ask(Grants(NOTHING), attached, principal=service).allowed
    user = Principal(PrincipalKind.USER, ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/{name}", "AIDA", name)
    assert not ask(Grants(NOTHING), attached, principal=user).allowed


@pytest.mark.parametrize(
    ("principal", "spared", "allowed"),
    [
        (ADA, [ADA.arn, ACCOUNT], True),
        (ADA, ["AIDA", f"arn:aws:iam::{ACCOUNT}:root"], True),
        (ADA, [ADA.arn], False),
        (ADA, [ACCOUNT], False),
        (ADA, ["*"], True),
        (SESSION, [ADA.arn, ACCOUNT], False),
        (SESSION, [SESSION.arn, SESSION.role_arn, ACCOUNT], True),
        (SESSION, [SESSION.arn, ACCOUNT], False),
        (SESSION, [SESSION.role_arn, ACCOUNT], False),
    ],
)
def test_not_principal(principal: Principal, spared: list[str], allowed: bool) -> None:
    attached = document({"Effect": "Deny", "NotPrincipal": {"AWS": spared}, "Action": "*", "Resource": "*"})
    everything = document(allow())
    assert ask(Grants(everything), attached, principal=principal).allowed is allowed
    assert not ask(Grants(everything, boundary=everything), attached, principal=principal).allowed


def test_other_account_needs_both() -> None:
    everything, attached = Grants(document(allow())), document(allow(Principal={"AWS": ACCOUNT}))
    assert ask(everything, owner="999999999999") == Decision(False, PolicyKind.RESOURCE)
    assert not ask(Grants(NOTHING), attached, owner="999999999999").allowed
    assert ask(everything, attached, owner="999999999999").allowed


def test_trust_needs_the_trust_policy() -> None:
    everything = Grants(document(allow()))
    assert ask(everything, NOTHING, trust=True) == Decision(False, PolicyKind.TRUST)
    assert ask(Grants(NOTHING), document(allow(Principal={"AWS": ADA.arn})), trust=True).allowed
    by_account = document(allow(Principal={"AWS": ACCOUNT}))
    assert ask(everything, by_account, trust=True).allowed
    assert not ask(Grants(NOTHING), by_account, trust=True).allowed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"Statement": 1}',
        '{"Statement": {"Effect": "Maybe", "Action": "*", "Resource": "*"}}',
        '{"Statement": {"Effect": "Allow", "Action": 1, "Resource": "*"}}',
        '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": []}}',
        '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"Like": {"a": "b"}}}}',
        '{"Statement": {"Effect": "Allow", "Action": "*", "Principal": "ada"}}',
    ],
)
def test_broken_documents(text: str) -> None:
    with pytest.raises(InvalidPolicy):
        policy.parse(text)


ACTIONS = st.sampled_from(["*", "s3:*", "s3:Get*", "s3:GetObject", "s3:PutObject", "iam:*"])
RESOURCES = st.sampled_from(["*", "arn:aws:s3:::b/*", "arn:aws:s3:::b/k", "arn:aws:s3:::${aws:username}/*"])
CONDITIONS = st.sampled_from([{}, {"StringEquals": {"aws:username": "ada"}}, {"Null": {"aws:username": "true"}}])
STATEMENTS = st.builds(
    lambda effect, action, resource, condition: {
        "Effect": effect, "Action": action, "Resource": resource, "Condition": condition,
    },
    st.sampled_from(["Allow", "Deny"]), ACTIONS, RESOURCES, CONDITIONS,
)  # fmt: skip


@given(st.lists(STATEMENTS, max_size=4), STATEMENTS)
def test_adding_a_deny_never_allows(statements: list[dict[str, Any]], further: dict[str, Any]) -> None:
    before = ask(Grants(document(*statements)))
    after = ask(Grants(document(*statements, {**further, "Effect": "Deny"})))
    assert before.allowed or not after.allowed


@given(st.lists(STATEMENTS, max_size=4), st.lists(STATEMENTS, max_size=4))
def test_limits_never_allow_more(statements: list[dict[str, Any]], limits: list[dict[str, Any]]) -> None:
    free = ask(Grants(document(*statements)))
    for grants in (
        Grants(document(*statements), boundary=document(*limits)),
        Grants(document(*statements), session=document(*limits)),
    ):
        assert free.allowed or not ask(grants).allowed


@given(st.permutations([allow("s3:Get*"), deny("s3:GetObject"), allow("iam:*"), deny("s3:Put*")]))
def test_order_does_not_matter(statements: list[dict[str, Any]]) -> None:
    assert ask(Grants(document(*statements))).explicit
    assert ask(Grants(document(*statements)), action="s3:GetBucketAcl").allowed


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["*", "s3:*", "Allow", "${a", "arn:aws:s3:::b"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Effect", "Action", "Resource", "Principal", "AWS", "Condition", "StringLike", "Sid"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_a_policy_or_refused(element: Any) -> None:
    try:
        parsed = policy.parse(json.dumps({"Statement": element}))
    except InvalidPolicy:
        return
    assert ask(Grants(parsed), parsed).allowed in (True, False)
