from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.services.iam.conftest import ACCOUNT, TRUST, allowing, refusal

if TYPE_CHECKING:
    from tests.cloud import Cloud


def decisions(answer: dict[str, Any]) -> list[str]:
    return [result["EvalDecision"] for result in answer["EvaluationResults"]]


def test_principal(iam: Any) -> None:
    arn = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    iam.attach_role_policy(RoleName="worker", PolicyArn="arn:aws:iam::aws:policy/AmazonSageMakerFullAccess")
    answer = iam.simulate_principal_policy(
        PolicySourceArn=arn, ActionNames=["ecr:GetAuthorizationToken", "cloudwatch:PutMetricData", "iam:CreateUser"]
    )
    assert decisions(answer) == ["allowed", "allowed", "implicitDeny"]
    matched = answer["EvaluationResults"][0]["MatchedStatements"]
    assert [(each["SourcePolicyId"], each["SourcePolicyType"]) for each in matched] == [
        ("AmazonSageMakerFullAccess", "IAM Policy")
    ]


def test_each_resource_has_its_result(iam: Any) -> None:
    arn = iam.create_user(UserName="ada")["User"]["Arn"]
    iam.put_user_policy(UserName="ada", PolicyName="p", PolicyDocument=allowing("s3:*", "arn:aws:s3:::b/*"))
    answer = iam.simulate_principal_policy(
        PolicySourceArn=arn, ActionNames=["s3:PutObject"], ResourceArns=["arn:aws:s3:::b/*", "arn:aws:s3:::c/*"]
    )
    (result,) = answer["EvaluationResults"]
    assert result["EvalDecision"] == "implicitDeny"
    assert [
        (each["EvalResourceName"], each["EvalResourceDecision"], len(each["MatchedStatements"]))
        for each in result["ResourceSpecificResults"]
    ] == [("arn:aws:s3:::b/*", "allowed", 1), ("arn:aws:s3:::c/*", "implicitDeny", 0)]
    assert result["MatchedStatements"][0]["SourcePolicyId"] == "user_ada_p"
    assert result["EvalDecisionDetails"] == {}
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=arn, ActionNames=["s3:a", "s3:b", "s3:c"], PaginationConfig={"PageSize": 2}
    )
    assert [len(page["EvaluationResults"]) for page in pages] == [2, 1]


def test_between_accounts_both_sides_are_told(iam: Any) -> None:
    resource_policy = allowing("s3:GetObject", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:user/ada"})
    answer = iam.simulate_custom_policy(
        PolicyInputList=[allowing("s3:PutObject")],
        ActionNames=["s3:GetObject", "s3:PutObject"],
        ResourceArns=["arn:aws:s3:::b/k"],
        ResourcePolicy=resource_policy,
        ResourceOwner="arn:aws:iam::999999999999:root",
        CallerArn=f"arn:aws:iam::{ACCOUNT}:user/ada",
    )
    assert decisions(answer) == ["implicitDeny", "implicitDeny"]
    assert [each["EvalDecisionDetails"] for each in answer["EvaluationResults"]] == [
        {"IAM Policy": "implicitDeny", "Resource Policy": "allowed"},
        {"IAM Policy": "allowed", "Resource Policy": "implicitDeny"},
    ]


def test_resource_policies_name_the_caller(iam: Any) -> None:
    caller = f"arn:aws:iam::{ACCOUNT}:role/worker"
    asked = {
        "PolicyInputList": [allowing("iam:*")],
        "ActionNames": ["s3:GetObject"],
        "ResourcePolicy": allowing("s3:GetObject", Principal={"AWS": caller}),
    }
    answer = iam.simulate_custom_policy(**asked, CallerArn=caller, ResourceArns=["arn:aws:s3:::b/k"])
    assert decisions(answer) == ["allowed"]
    matched = answer["EvaluationResults"][0]["MatchedStatements"]
    assert [(each["SourcePolicyId"], each["SourcePolicyType"]) for each in matched] == [
        ("ResourcePolicy", "Resource Policy")
    ]
    assert refusal(iam.simulate_custom_policy, **asked)[0] == "InvalidInput"


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ('{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}', (1, 38), (1, 87)),
        ('{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}', (1, 38), (1, 86)),
        (
            json.dumps(
                {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]},
                indent=2,
            ),
            (3, 17),
            (8, 6),
        ),
        (
            '{"Statement": [{"Effect":"Deny","Action":"iam:*","Resource":"*"} , '
            '{"Effect":"Allow","Action":"s3:*","Resource":"*"}], "Version": "2012-10-17"}',
            (1, 65),
            (1, 117),
        ),
    ],
)
def test_positions(iam: Any, text: str, start: tuple[int, int], end: tuple[int, int]) -> None:
    answer = iam.simulate_custom_policy(PolicyInputList=[text], ActionNames=["s3:GetObject"])
    (matched,) = answer["EvaluationResults"][0]["MatchedStatements"]
    assert (matched["StartPosition"]["Line"], matched["StartPosition"]["Column"]) == start
    assert (matched["EndPosition"]["Line"], matched["EndPosition"]["Column"]) == end


@pytest.mark.parametrize(
    "wrong",
    [
        {"ActionNames": ["s3:*"]},
        {"ActionNames": ["s3g"]},
        {"ResourceArns": ["*", "arn:aws:s3:::b"]},
        {"ResourceOwner": "somebody"},
        {"CallerArn": f"arn:aws:sts::{ACCOUNT}:assumed-role/r/s"},
    ],
)
def test_what_does_not_fit(iam: Any, wrong: dict[str, Any]) -> None:
    asked = {"PolicyInputList": [allowing("s3:*")], "ActionNames": ["s3:GetObject"], **wrong}
    assert refusal(iam.simulate_custom_policy, **asked)[0] == "InvalidInput"


def test_missing_keys_of_every_statement_about_the_call(iam: Any) -> None:
    condition = {"StringEquals": {"aws:RequestedRegion": "eu-west-1", "aws:SourceVpc": "vpc-1"}}
    documents = [
        allowing("s3:GetObject", Condition=condition),
        allowing("s3:PutObject", Condition={"Bool": {"aws:SecureTransport": "true"}}),
    ]
    answer = iam.simulate_custom_policy(PolicyInputList=documents, ActionNames=["s3:GetObject"])
    assert answer["EvaluationResults"][0]["MissingContextValues"] == ["aws:requestedregion", "aws:sourcevpc"]


def test_group(iam: Any) -> None:
    arn = iam.create_group(GroupName="staff")["Group"]["Arn"]
    iam.put_group_policy(GroupName="staff", PolicyName="p", PolicyDocument=allowing("s3:GetObject"))
    assert decisions(iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=["s3:GetObject"])) == ["allowed"]


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (f"arn:aws:iam::{ACCOUNT}:user/nobody", "NoSuchEntity"),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/r/session", "InvalidInput"),
        ("not-an-arn-but-long-enough", "InvalidInput"),
    ],
)
def test_bad_sources(iam: Any, source: str, code: str) -> None:
    assert refusal(iam.simulate_principal_policy, PolicySourceArn=source, ActionNames=["s3:GetObject"])[0] == code


def test_custom_with_context(iam: Any) -> None:
    policy = allowing("s3:GetObject", Condition={"StringEquals": {"aws:RequestedRegion": "eu-west-1"}})
    missing = iam.simulate_custom_policy(PolicyInputList=[policy], ActionNames=["s3:GetObject"])
    assert decisions(missing) == ["implicitDeny"]
    assert missing["EvaluationResults"][0]["MissingContextValues"] == ["aws:requestedregion"]
    entry = {"ContextKeyName": "aws:RequestedRegion", "ContextKeyValues": ["eu-west-1"], "ContextKeyType": "string"}
    given = iam.simulate_custom_policy(PolicyInputList=[policy], ActionNames=["s3:GetObject"], ContextEntries=[entry])
    assert decisions(given) == ["allowed"]
    assert given["EvaluationResults"][0]["MatchedStatements"][0]["SourcePolicyId"] == "PolicyInputList.1"


def test_explicit_deny_and_boundary(iam: Any) -> None:
    denying = json.dumps({"Statement": {"Effect": "Deny", "Action": "s3:Put*", "Resource": "*"}})
    answer = iam.simulate_custom_policy(
        PolicyInputList=[allowing("s3:*"), denying],
        PermissionsBoundaryPolicyInputList=[allowing("s3:Get*")],
        ActionNames=["s3:PutObject", "s3:GetObject", "s3:ListBucket"],
    )
    assert decisions(answer) == ["explicitDeny", "allowed", "implicitDeny"]
    boundary = [
        each["PermissionsBoundaryDecisionDetail"]["AllowedByPermissionsBoundary"]
        for each in answer["EvaluationResults"]
    ]
    assert boundary[1:] == [True, False]
    assert refusal(iam.simulate_custom_policy, PolicyInputList=["{}"], ActionNames=["s3:a"])[0] == "InvalidInput"


def test_simulations_agree_with_calls(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    limit = iam.create_policy(PolicyName="limit", PolicyDocument=allowing(["iam:List*", "iam:Get*"]))["Policy"]["Arn"]
    arn = iam.create_user(UserName="ada", PermissionsBoundary=limit)["User"]["Arn"]
    own = {"StringEquals": {"aws:PrincipalArn": arn}}
    statements = [
        {"Effect": "Allow", "Action": ["iam:List*", "iam:CreateGroup"], "Resource": "*", "Condition": own},
        {"Effect": "Deny", "Action": "iam:ListRoles", "Resource": "*"},
    ]
    iam.put_user_policy(UserName="ada", PolicyName="p", PolicyDocument=json.dumps({"Statement": statements}))
    ada = cloud.client("iam", iam.create_access_key(UserName="ada")["AccessKey"])
    calls: dict[str, Any] = {
        "iam:ListUsers": ada.list_users,
        "iam:ListRoles": ada.list_roles,
        "iam:GetAccountSummary": ada.get_account_summary,
        "iam:CreateGroup": lambda: ada.create_group(GroupName="g"),
    }
    answer = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=list(calls))
    assert decisions(answer) == ["allowed", "explicitDeny", "implicitDeny", "implicitDeny"]
    for call, decision in zip(calls.values(), decisions(answer), strict=True):
        if decision == "allowed":
            call()
        else:
            assert refusal(call)[0] == "AccessDenied"
