from __future__ import annotations

import json
from typing import Any

import pytest

from tests.services.iam.conftest import ACCOUNT, TRUST, allowing, refusal


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
    assert matched == [{"SourcePolicyId": "AmazonSageMakerFullAccess", "SourcePolicyType": "IAM Policy"}]


def test_every_pair_of_action_and_resource(iam: Any) -> None:
    arn = iam.create_user(UserName="ada")["User"]["Arn"]
    iam.put_user_policy(UserName="ada", PolicyName="p", PolicyDocument=allowing("s3:*", "arn:aws:s3:::b/*"))
    answer = iam.simulate_principal_policy(
        PolicySourceArn=arn, ActionNames=["s3:PutObject"], ResourceArns=["arn:aws:s3:::b/*", "arn:aws:s3:::c/*"]
    )
    assert decisions(answer) == ["allowed", "implicitDeny"]
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=arn, ActionNames=["s3:a", "s3:b", "s3:c"], PaginationConfig={"PageSize": 2}
    )
    assert [len(page["EvaluationResults"]) for page in pages] == [2, 1]


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
