from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from clary.auth import entities
from clary.auth.authorize import Authorizer, Refused
from clary.auth.check import Check
from clary.auth.credentials import role_session, root_user
from clary.auth.managed import AWS_MANAGED
from clary.auth.policy import Source
from clary.context import ANONYMOUS, Context, Principal, PrincipalKind
from clary.errors import AccessDenied
from tests.auth.conftest import ACCOUNT, Accounts, HandClock

if TYPE_CHECKING:
    from clary.store.records import Record, Records

OBJECT = "arn:aws:s3:::b/k"
READ = Check("s3:GetObject", OBJECT)


def statement(effect: str = "Allow", action: str | list[str] = "*", resource: str = "*", **more: Any) -> str:
    body = {"Effect": effect, "Action": action, "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [body]})


@pytest.fixture
def authorizer(records: Records, clock: HandClock) -> Authorizer:
    return Authorizer(records, clock)


@pytest.fixture
def ctx(clock: HandClock) -> Context:
    return Context("r", ACCOUNT, "eu-west-1", root_user(ACCOUNT), "s3", "GetObject", clock.now())


def as_user(ctx: Context, user: Record, **changes: Any) -> Context:
    principal = Principal(PrincipalKind.USER, ACCOUNT, user.arn, "AIDA", user.name)
    return replace(ctx, principal=principal, **changes)


def refusal(authorizer: Authorizer, ctx: Context, *checks: Check) -> str:
    with pytest.raises(AccessDenied) as caught:
        authorizer.authorize(ctx, checks)
    return caught.value.message


def test_root_is_bound_by_explicit_denials_of_buckets_only(authorizer: Authorizer, ctx: Context) -> None:
    authorizer.authorize(ctx, [READ, Check("iam:DeleteUser")])
    denying = statement("Deny", Principal="*")
    message = refusal(authorizer, ctx, READ._replace(resource_policies=(denying,)))
    assert message.endswith("with an explicit deny in a resource-based policy")


def test_platform_may_act(authorizer: Authorizer, ctx: Context) -> None:
    service = Principal(PrincipalKind.SERVICE, ACCOUNT, "sagemaker.amazonaws.com", "", "sagemaker.amazonaws.com")
    authorizer.authorize(replace(ctx, principal=service), [READ])


def test_platform_needs_the_trust_of_a_role(authorizer: Authorizer, ctx: Context) -> None:
    name = "sagemaker.amazonaws.com"
    caller = replace(ctx, principal=Principal(PrincipalKind.SERVICE, ACCOUNT, name, name, name))
    condition = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    trust = statement(action="sts:AssumeRole", Principal={"Service": name}, Condition=condition)
    check = Check("sts:AssumeRole", "arn:aws:iam::123456789012:role/worker", resource_policies=(trust,), trust=True)
    authorizer.authorize(caller, [check])
    other = statement(action="sts:AssumeRole", Principal={"Service": "ec2.amazonaws.com"})
    refusal(authorizer, caller, check._replace(resource_policies=(other,)))


def test_every_check_must_be_allowed(authorizer: Authorizer, ctx: Context, accounts: Accounts) -> None:
    caller = as_user(ctx, accounts.user("ada", statement(action="s3:Get*")))
    authorizer.authorize(caller, [READ])
    refusal(authorizer, caller, READ, Check("s3:PutObject", OBJECT))


def test_rulings_tell_what_decided(authorizer: Authorizer, ctx: Context, accounts: Accounts) -> None:
    own = accounts.policy("readers", statement(action="s3:Get*", Sid="Read"))
    accounts.entity(entities.GROUP, "analysts", AttachedPolicies=[own.arn])
    caller = as_user(ctx, accounts.user("ada", Groups=["analysts"]))
    put = Check("s3:PutObject", OBJECT)
    with pytest.raises(Refused) as caught:
        authorizer.authorize(caller, [READ, put, READ])
    allowed, refused = caught.value.rulings
    assert allowed.decision.statement
    assert allowed.decision.statement.source == Source(
        "user-managed", "readers", own.arn, f"arn:aws:iam::{ACCOUNT}:group/analysts"
    )
    assert (allowed.decision.statement.index, allowed.decision.statement.sid) == (0, "Read")
    assert refused.check is put
    assert not refused.decision.allowed
    assert caught.value.code == "AccessDenied"


def test_anonymous_checks_need_nothing(authorizer: Authorizer, ctx: Context, accounts: Accounts) -> None:
    authorizer.authorize(as_user(ctx, accounts.user("ada")), [Check("sts:GetCallerIdentity", anonymous=True)])


def test_anonymous_callers_need_a_resource_policy(authorizer: Authorizer, ctx: Context) -> None:
    caller = replace(ctx, principal=ANONYMOUS)
    assert refusal(authorizer, caller, READ) == "Access Denied"
    public = statement(action="s3:GetObject", Principal="*")
    authorizer.authorize(caller, [READ._replace(resource_policies=(public,))])


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (
            READ,
            'is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::b/k" '
            "because no identity-based policy allows the s3:GetObject action",
        ),
        (
            Check("sagemaker:DescribeModel", "arn:aws:sagemaker:eu-west-1:123456789012:model/m"),
            "is not authorized to perform: sagemaker:DescribeModel on resource: "
            "arn:aws:sagemaker:eu-west-1:123456789012:model/m "
            "because no identity-based policy allows the sagemaker:DescribeModel action",
        ),
        (
            Check("iam:ListUsers"),
            "is not authorized to perform: iam:ListUsers on resource: * "
            "because no identity-based policy allows the iam:ListUsers action",
        ),
        (
            Check("sts:AssumeRole", "arn:aws:iam::123456789012:role/r", resource_policies=(statement(),), trust=True),
            "is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::123456789012:role/r",
        ),
    ],
)
def test_sentence(authorizer: Authorizer, ctx: Context, accounts: Accounts, check: Check, message: str) -> None:
    user = accounts.user("ada")
    check = check._replace(resource_policies=()) if check.trust else check
    assert refusal(authorizer, as_user(ctx, user), check) == f"User: {user.arn} {message}"


@pytest.mark.parametrize(
    ("action", "resource", "told"),
    [
        ("iam:ListUsers", "user/", f"arn:aws:iam::{ACCOUNT}:user/"),
        ("iam:GetRole", "role/teams/worker", "role worker"),
        ("iam:CreateRole", "role/worker", f"arn:aws:iam::{ACCOUNT}:role/worker"),
        ("iam:PassRole", "role/worker", f"arn:aws:iam::{ACCOUNT}:role/worker"),
        ("iam:CreateAccessKey", "user/bob", "user bob"),
        ("iam:DeleteInstanceProfile", "instance-profile/p", "instance profile p"),
        ("iam:CreatePolicy", "policy/p", "policy p"),
        ("iam:GetPolicy", "policy/p", f"policy arn:aws:iam::{ACCOUNT}:policy/p"),
        ("iam:DeleteVirtualMFADevice", "mfa/m", f"arn:aws:iam::{ACCOUNT}:mfa/m"),
    ],
)
def test_iam_calls_entities_by_name(
    authorizer: Authorizer, ctx: Context, accounts: Accounts, action: str, resource: str, told: str
) -> None:
    check = Check(action, f"arn:aws:iam::{ACCOUNT}:{resource}")
    message = refusal(authorizer, as_user(ctx, accounts.user("ada")), check)
    assert f"perform: {action} on resource: {told} because no" in message


def test_explicit_denials_of_managed_policies_tell_the_arn(
    authorizer: Authorizer, ctx: Context, accounts: Accounts
) -> None:
    guard = accounts.policy("guard", statement("Deny"))
    caller = as_user(ctx, accounts.user("ada", AttachedPolicies=[guard.arn]))
    assert refusal(authorizer, caller, READ).endswith(f"with an explicit deny in an identity-based policy: {guard.arn}")
    limited = as_user(ctx, accounts.user("bob", statement(), PermissionsBoundary=guard.arn))
    assert refusal(authorizer, limited, READ).endswith(f"with an explicit deny in a permissions boundary: {guard.arn}")


@pytest.mark.parametrize(
    ("sessions", "told"),
    [
        ((statement("Deny"),), "with an explicit deny in a session policy"),
        ((statement(action="iam:*"),), "because no session policy allows the s3:GetObject action"),
    ],
)
def test_sentences_of_session_policies(
    authorizer: Authorizer, ctx: Context, accounts: Accounts, sessions: tuple[str, ...], told: str
) -> None:
    caller = replace(ctx, principal=role_session(accounts.role("worker", statement()), "s", sessions, {}))
    assert refusal(authorizer, caller, READ).endswith(told)


def test_sentences_of_trust_policies(authorizer: Authorizer, ctx: Context, accounts: Accounts) -> None:
    user = accounts.user("ada", statement())
    role = f"arn:aws:iam::{ACCOUNT}:role/r"
    denying = statement("Deny", action="sts:AssumeRole", Principal={"AWS": user.arn})
    check = Check("sts:AssumeRole", role, resource_policies=(denying,), trust=True)
    message = refusal(authorizer, as_user(ctx, user), check)
    assert message.endswith(f"sts:AssumeRole on resource: {role} with an explicit deny in the role trust policy")


def test_federated_users_have_what_both_leave(authorizer: Authorizer, ctx: Context, accounts: Accounts) -> None:
    user = accounts.user("ada", statement(action="s3:*"))
    guest = Principal(
        PrincipalKind.FEDERATED_USER, ACCOUNT, f"arn:aws:sts::{ACCOUNT}:federated-user/g", f"{ACCOUNT}:g", "ada"
    )
    narrow = replace(guest, session_policies=(statement(action=["s3:Get*", "iam:*"]),))
    authorizer.authorize(replace(ctx, principal=narrow), [READ])
    refusal(authorizer, replace(ctx, principal=narrow), Check("iam:ListUsers"))
    refusal(authorizer, replace(ctx, principal=guest), READ)
    for named in (guest.arn, user.arn):
        policy = statement(action="s3:*", Principal={"AWS": named})
        check = READ._replace(resource_policies=(policy,))
        authorizer.authorize(replace(ctx, principal=narrow), [check])
        assert authorizer.decision(replace(ctx, principal=guest), check).allowed is (named == guest.arn)
    of_root = replace(guest, name="", session_policies=(statement(action="iam:*"),))
    authorizer.authorize(replace(ctx, principal=of_root), [Check("iam:ListUsers")])
    refusal(authorizer, replace(ctx, principal=of_root), READ)


def test_sentence_of_ec2(authorizer: Authorizer, ctx: Context, accounts: Accounts) -> None:
    message = refusal(authorizer, as_user(ctx, accounts.user("ada")), Check("ec2:DescribeInstances"))
    assert message.startswith("You are not authorized to perform this operation. User: arn:aws:iam::")


def test_sentence_of_an_explicit_denial(authorizer: Authorizer, ctx: Context, accounts: Accounts) -> None:
    message = refusal(authorizer, as_user(ctx, accounts.user("ada", statement("Deny"))), READ)
    assert message.endswith('on resource: "arn:aws:s3:::b/k" with an explicit deny in an identity-based policy')


def test_groups_and_managed_policies(authorizer: Authorizer, ctx: Context, accounts: Accounts) -> None:
    own = accounts.policy("readers", statement(action="s3:Get*"))
    accounts.entity(entities.GROUP, "analysts", AttachedPolicies=[own.arn])
    caller = as_user(ctx, accounts.user("ada", Groups=["analysts"]))
    authorizer.authorize(caller, [READ])
    refusal(authorizer, caller, Check("s3:PutObject", OBJECT))


def test_policies_of_aws(authorizer: Authorizer, ctx: Context, accounts: Accounts) -> None:
    caller = as_user(ctx, accounts.user("ada", AttachedPolicies=["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]))
    authorizer.authorize(caller, [READ])
    refusal(authorizer, caller, Check("s3:PutObject", OBJECT))


def test_pass_role_of_sagemaker_full_access(authorizer: Authorizer, ctx: Context, accounts: Accounts) -> None:
    caller = as_user(ctx, accounts.user("ada", AttachedPolicies=["arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"]))
    role = "arn:aws:iam::123456789012:role/worker"
    authorizer.authorize(caller, [Check("iam:PassRole", role, {"iam:PassedToService": "sagemaker.amazonaws.com"})])
    refusal(authorizer, caller, Check("iam:PassRole", role, {"iam:PassedToService": "ec2.amazonaws.com"}))


def test_every_policy_of_aws_compiles(authorizer: Authorizer, ctx: Context, accounts: Accounts) -> None:
    for number, arn in enumerate(AWS_MANAGED):
        caller = as_user(ctx, accounts.user(f"user-{number}", AttachedPolicies=[arn]))
        assert authorizer.decision(caller, READ).allowed in (True, False)


def test_permissions_boundary(authorizer: Authorizer, ctx: Context, accounts: Accounts) -> None:
    limit = accounts.policy("limit", statement(action="s3:Get*"))
    caller = as_user(ctx, accounts.user("ada", statement(), PermissionsBoundary=limit.arn))
    authorizer.authorize(caller, [READ])
    message = refusal(authorizer, caller, Check("s3:PutObject", OBJECT))
    assert message.endswith("because no permissions boundary allows the s3:PutObject action")


def test_deleted_boundary_allows_nothing(authorizer: Authorizer, ctx: Context, accounts: Accounts) -> None:
    caller = as_user(
        ctx, accounts.user("ada", statement(), PermissionsBoundary="arn:aws:iam::123456789012:policy/gone")
    )
    refusal(authorizer, caller, READ)


def test_session_policies_narrow(authorizer: Authorizer, ctx: Context, accounts: Accounts) -> None:
    role = accounts.role("worker", statement())
    caller = replace(ctx, principal=role_session(role, "s", (statement(action="s3:Get*"),), {}))
    authorizer.authorize(caller, [READ])
    message = refusal(authorizer, caller, Check("s3:PutObject", OBJECT))
    assert message.startswith("User: arn:aws:sts::123456789012:assumed-role/worker/s is not authorized")
    assert message.endswith("because no session policy allows the s3:PutObject action")
    free = replace(ctx, principal=role_session(role, "s", (), {}))
    authorizer.authorize(free, [Check("s3:PutObject", OBJECT)])


def test_writes_to_iam_take_effect_at_once(
    authorizer: Authorizer, ctx: Context, accounts: Accounts, records: Records
) -> None:
    user = accounts.user("ada")
    caller = as_user(ctx, user)
    refusal(authorizer, caller, READ)
    user = records.update(replace(user, spec={entities.INLINE: {"p": statement()}}))
    authorizer.authorize(caller, [READ])
    records.delete(user)
    refusal(authorizer, caller, READ)


def test_a_write_while_policies_are_read_is_not_missed(
    authorizer: Authorizer, ctx: Context, accounts: Accounts, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = accounts.user("ada", statement())
    granted = entities.granted

    def slowly(found: Records, entity: Record) -> list[Any]:
        read = list(granted(found, entity))
        monkeypatch.undo()
        records.update(replace(user, spec={entities.INLINE: {}}))
        return read

    monkeypatch.setattr(entities, "granted", slowly)
    authorizer.authorize(as_user(ctx, user), [READ])
    refusal(authorizer, as_user(ctx, user), READ)


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        ({"StringEquals": {"aws:username": "ada"}}, True),
        ({"StringEquals": {"aws:PrincipalTag/team": "blue"}}, True),
        ({"StringEquals": {"aws:PrincipalTag/team": "red"}}, False),
        ({"StringEquals": {"aws:RequestedRegion": ["eu-west-1"]}}, True),
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, True),
        ({"Bool": {"aws:SecureTransport": "true"}}, False),
        ({"DateLessThan": {"aws:CurrentTime": "2026-03-02T00:00:00Z"}}, True),
        ({"NumericGreaterThan": {"aws:EpochTime": "1772366399"}}, True),
        ({"StringLike": {"aws:UserAgent": "Boto3/*"}}, True),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/a*"}}, True),
        ({"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}, True),
        ({"StringEquals": {"aws:PrincipalType": "User"}}, True),
        ({"StringEquals": {"aws:userid": "AIDA"}}, True),
        ({"Bool": {"aws:ViaAWSService": "false"}}, True),
        ({"Null": {"aws:CalledVia": "true"}}, True),
        ({"Null": {"aws:MultiFactorAuthPresent": "true"}}, True),
        ({"StringEquals": {"aws:ResourceAccount": ACCOUNT}}, True),
        ({"StringEquals": {"aws:Referer": "https://a.example"}}, True),
        ({"Null": {"aws:MultiFactorAuthAge": "true"}}, True),
        ({"Null": {"aws:PrincipalServiceName": "true"}}, True),
        ({"Null": {"aws:PrincipalOrgID": "true"}}, True),
        ({"Null": {"aws:SourceAccount": "true"}}, True),
        ({"StringEquals": {"s3:prefix": "home/"}}, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}, True),
    ],
)
def test_condition_keys(
    authorizer: Authorizer, ctx: Context, accounts: Accounts, condition: dict[str, Any], allowed: bool
) -> None:
    user = accounts.user("ada", statement(Condition=condition))
    accounts.records.update(replace(user, tags={"Team": "blue"}))
    check = READ._replace(keys={"s3:Prefix": "home/", "aws:TagKeys": ["a"]})
    assert (
        authorizer.decision(as_user(ctx, user, user_agent="Boto3/1.44", referer="https://a.example"), check).allowed
        is allowed
    )


def test_keys_of_sessions(authorizer: Authorizer, ctx: Context, accounts: Accounts, clock: HandClock) -> None:
    conditions = {
        "Bool": {"aws:MultiFactorAuthPresent": "true"},
        "NumericLessThan": {"aws:MultiFactorAuthAge": "300"},
        "StringEquals": {
            "aws:SourceIdentity": "ada",
            "aws:FederatedProvider": "accounts.example",
            "accounts.example:sub": "7",
            "aws:PrincipalTag/team": "blue",
            "aws:userid": "IDworker:s",
            "aws:PrincipalType": "AssumedRole",
        },
        "ArnEquals": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/worker"},
        "Null": {"aws:username": "true"},
    }
    role = accounts.role("worker", statement(Condition=conditions))
    session = replace(
        role_session(role, "s", (), {"Team": "blue"}),
        access_key="ASIASESSION",
        mfa_at=clock.now(),
        source_identity="ada",
        session_keys={"aws:federatedprovider": "accounts.example", "accounts.example:sub": "7"},
    )
    caller = replace(ctx, principal=session)
    authorizer.authorize(caller, [READ])
    clock.advance(seconds=300)
    refusal(authorizer, replace(caller, now=clock.now()), READ)
    refusal(authorizer, replace(caller, principal=replace(session, mfa_at=None)), READ)


def test_older_sessions_can_be_revoked(
    authorizer: Authorizer, ctx: Context, accounts: Accounts, records: Records, clock: HandClock
) -> None:
    role = accounts.role("worker", statement())

    def session() -> Context:
        issued = accounts.credentials.issue(role_session(role, "s"), timedelta(hours=1))
        found = accounts.credentials.find(issued["AccessKeyId"], issued["SessionToken"])
        assert found
        return replace(ctx, principal=found.principal)

    before = session()
    clock.advance(minutes=1)
    older = {"DateLessThan": {"aws:TokenIssueTime": clock.time.strftime("%Y-%m-%dT%H:%M:%SZ")}}
    policies = {"all": statement(), "AWSRevokeOlderSessions": statement("Deny", Condition=older)}
    records.update(replace(role, spec={**role.spec, entities.INLINE: policies}))
    refusal(authorizer, before, READ)
    authorizer.authorize(session(), [READ])
    user = as_user(ctx, accounts.user("ada", statement(), statement("Deny", Condition=older)))
    authorizer.authorize(user, [READ])


def test_services_act_for_an_account_and_a_resource(
    authorizer: Authorizer, accounts: Accounts, records: Records
) -> None:
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": ACCOUNT, "aws:PrincipalServiceName": "sagemaker.amazonaws.com"},
            "ArnLike": {"aws:SourceArn": f"arn:aws:sagemaker:*:{ACCOUNT}:model/m*"},
        },
    }
    role = accounts.role("worker", AssumeRolePolicyDocument=json.dumps({"Statement": trust}))
    model = f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:model/"
    assert authorizer.trusts_service(role, "sagemaker.amazonaws.com", f"{model}mine")
    assert not authorizer.trusts_service(role, "sagemaker.amazonaws.com", f"{model}other")
    assert not authorizer.trusts_service(role, "sagemaker.amazonaws.com")


def test_role_trusts_a_service(authorizer: Authorizer, accounts: Accounts) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = accounts.role("worker", AssumeRolePolicyDocument=document)
    assert authorizer.trusts_service(role, "sagemaker.amazonaws.com")
    assert not authorizer.trusts_service(role, "ec2.amazonaws.com")
    trust["Condition"] = {"StringEquals": {"aws:SourceAccount": "999999999999"}}
    other = accounts.role("other", AssumeRolePolicyDocument=json.dumps({"Statement": trust}))
    assert not authorizer.trusts_service(other, "sagemaker.amazonaws.com")
