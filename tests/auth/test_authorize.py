from __future__ import annotations

import json
from dataclasses import replace
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


def statement(effect: str = "Allow", action: str = "*", resource: str = "*", **more: Any) -> str:
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
    message = refusal(authorizer, ctx, replace(READ, resource_policies=(denying,)))
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
    refusal(authorizer, caller, replace(check, resource_policies=(other,)))


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
    authorizer.authorize(caller, [replace(READ, resource_policies=(public,))])


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
            "is not authorized to perform: iam:ListUsers "
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
    check = replace(check, resource_policies=()) if check.trust else check
    assert refusal(authorizer, as_user(ctx, user), check) == f"User: {user.arn} {message}"


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
        ({"StringEquals": {"s3:prefix": "home/"}}, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}, True),
    ],
)
def test_condition_keys(
    authorizer: Authorizer, ctx: Context, accounts: Accounts, condition: dict[str, Any], allowed: bool
) -> None:
    user = accounts.user("ada", statement(Condition=condition))
    accounts.records.update(replace(user, tags={"Team": "blue"}))
    check = replace(READ, keys={"s3:Prefix": "home/", "aws:TagKeys": ["a"]})
    assert authorizer.decision(as_user(ctx, user, user_agent="Boto3/1.44"), check).allowed is allowed


def test_role_trusts_a_service(authorizer: Authorizer, accounts: Accounts) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = accounts.role("worker", AssumeRolePolicyDocument=document)
    assert authorizer.trusts_service(role, "sagemaker.amazonaws.com")
    assert not authorizer.trusts_service(role, "ec2.amazonaws.com")
    trust["Condition"] = {"StringEquals": {"aws:SourceAccount": "999999999999"}}
    other = accounts.role("other", AssumeRolePolicyDocument=json.dumps({"Statement": trust}))
    assert not authorizer.trusts_service(other, "sagemaker.amazonaws.com")
