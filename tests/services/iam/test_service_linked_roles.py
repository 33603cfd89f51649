from __future__ import annotations

from typing import Any

import pytest

from tests.services.iam.conftest import ACCOUNT, READ, TRUST, refusal

NAME = "AWSServiceRoleForAutoScaling"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


@pytest.fixture
def role(iam: Any) -> Any:
    return iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com", Description="d")["Role"]


def test_life(iam: Any, role: Any) -> None:
    assert role["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/autoscaling.amazonaws.com/{NAME}"
    assert role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "autoscaling.amazonaws.com"}
    assert refusal(iam.create_service_linked_role, AWSServiceName="autoscaling.amazonaws.com") == (
        "InvalidInput",
        f"Service role name {NAME} has been taken in this account, please try a different suffix.",
    )
    iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com", CustomSuffix="two")
    task = iam.delete_service_linked_role(RoleName=NAME)["DeletionTaskId"]
    assert task.startswith(f"task/aws-service-role/autoscaling.amazonaws.com/{NAME}/")
    assert iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"
    assert refusal(iam.get_role, RoleName=NAME)[0] == "NoSuchEntity"
    assert refusal(iam.get_service_linked_role_deletion_status, DeletionTaskId=task[:-1])[0] == "NoSuchEntity"


@pytest.mark.parametrize(
    ("service", "name"),
    [
        ("batch", "Batch"),
        ("lexv2", "LexV2Bots"),
        ("docdb-elastic", "DocDB-Elastic"),
        ("sagemaker.application-autoscaling", "ApplicationAutoScaling_SageMakerEndpoint"),
    ],
)
def test_names(iam: Any, service: str, name: str) -> None:
    made = iam.create_service_linked_role(AWSServiceName=f"{service}.amazonaws.com")["Role"]
    assert made["RoleName"] == f"AWSServiceRoleFor{name}"


def test_only_aws_changes_it(iam: Any, role: Any) -> None:
    refused = (
        "UnmodifiableEntity",
        f"Cannot perform the operation on the protected role '{NAME}' - this role is only modifiable by AWS",
    )
    assert refusal(iam.delete_role, RoleName=NAME) == refused
    assert refusal(iam.attach_role_policy, RoleName=NAME, PolicyArn=ADMINISTRATOR) == refused
    assert refusal(iam.put_role_policy, RoleName=NAME, PolicyName="p", PolicyDocument=READ) == refused
    assert refusal(iam.update_assume_role_policy, RoleName=NAME, PolicyDocument=TRUST) == refused
    boundary = {"RoleName": NAME, "PermissionsBoundary": ADMINISTRATOR}
    assert refusal(iam.put_role_permissions_boundary, **boundary) == refused
    iam.update_role_description(RoleName=NAME, Description="other")
    iam.tag_role(RoleName=NAME, Tags=[{"Key": "a", "Value": "b"}])


def test_services_that_have_none(iam: Any) -> None:
    assert refusal(iam.create_service_linked_role, AWSServiceName="nonsense")[0] == "InvalidInput"
    suffixed = {"AWSServiceName": "ecs.amazonaws.com", "CustomSuffix": "x"}
    assert refusal(iam.create_service_linked_role, **suffixed)[0] == "InvalidInput"
    iam.create_role(RoleName="own", AssumeRolePolicyDocument=TRUST)
    assert refusal(iam.delete_service_linked_role, RoleName="own")[0] == "NoSuchEntity"
