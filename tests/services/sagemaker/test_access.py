"""Policies about what SageMaker's requests say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from tests.cloud import Cloud

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/worker"
TRUST = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
JOB = {
    "TrainingJobName": "j",
    "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
    "RoleArn": ROLE,
    "OutputDataConfig": {"S3OutputPath": "s3://b/", "KmsKeyId": "arn:aws:kms:eu-west-1:123456789012:key/out"},
    "ResourceConfig": {
        "InstanceType": "ml.m5.large",
        "InstanceCount": 1,
        "VolumeSizeInGB": 1,
        "VolumeKmsKeyId": "arn:aws:kms:eu-west-1:123456789012:key/volume",
    },
    "VpcConfig": {"Subnets": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]},
    "EnableNetworkIsolation": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    "Tags": [{"Key": "team", "Value": "blue"}],
}


def caller(cloud: Cloud, *statements: dict[str, Any]) -> Any:
    """A SageMaker client for a user with these statements."""
    iam = cloud.client("iam")
    trust = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})
    iam.create_role(RoleName="worker", AssumeRolePolicyDocument=trust, Tags=[{"Key": "for", "Value": "jobs"}])
    iam.create_user(UserName="ada")
    document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    iam.put_user_policy(UserName="ada", PolicyName="p", PolicyDocument=document)
    return cloud.client("sagemaker", iam.create_access_key(UserName="ada")["AccessKey"])


def allow(action: str, resource: str = "*", **condition: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, "Condition": condition}


def denied(call: Any, **request: Any) -> str:
    """What is refused; empty when the call fails for another reason, after it was allowed."""
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Message"].partition("perform: ")[2].split()[0] if "AccessDenied" in error["Code"] else ""


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        ({"ForAllValues:StringEquals": {"sagemaker:InstanceTypes": ["ml.m5.large", "ml.m5.xlarge"]}}, True),
        ({"ForAllValues:StringLike": {"sagemaker:InstanceTypes": "ml.c5.*"}}, False),
        ({"ForAllValues:StringEquals": {"sagemaker:VpcSubnets": ["subnet-1", "subnet-2"]}}, True),
        ({"ForAllValues:StringEquals": {"sagemaker:VpcSubnets": ["subnet-1"]}}, False),
        ({"Null": {"sagemaker:VpcSubnets": "false", "sagemaker:VpcSecurityGroupIds": "false"}}, True),
        ({"Bool": {"sagemaker:NetworkIsolation": "true"}}, True),
        ({"Bool": {"sagemaker:NetworkIsolation": "false"}}, False),
        ({"ArnEquals": {"sagemaker:VolumeKmsKey": "arn:aws:kms:*:*:key/volume"}}, True),
        ({"ArnEquals": {"sagemaker:OutputKmsKey": "arn:aws:kms:*:*:key/volume"}}, False),
        ({"NumericLessThanEquals": {"sagemaker:MaxRuntimeInSeconds": "3600"}}, True),
        ({"NumericLessThanEquals": {"sagemaker:MaxRuntimeInSeconds": "3599"}}, False),
        ({"StringEquals": {"aws:RequestTag/team": "blue"}}, True),
        ({"StringEquals": {"aws:RequestTag/team": "red"}}, False),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}, True),
        ({"Null": {"sagemaker:RootAccess": "true"}}, True),
    ],
)
def test_keys_of_a_training_job(cloud: Cloud, condition: dict[str, Any], allowed: bool) -> None:
    sagemaker = caller(
        cloud,
        allow("sagemaker:CreateTrainingJob", f"arn:aws:sagemaker:*:{ACCOUNT}:training-job/j", **condition),
        allow("sagemaker:AddTags", StringEquals={"sagemaker:TaggingAction": "CreateTrainingJob"}),
        allow("iam:PassRole", ROLE),
    )
    refused = denied(sagemaker.create_training_job, **JOB)
    assert refused == ("" if allowed else "sagemaker:CreateTrainingJob")


def test_tags_of_a_new_job_need_a_permission(cloud: Cloud) -> None:
    sagemaker = caller(cloud, allow("sagemaker:Create*"), allow("iam:PassRole"))
    assert denied(sagemaker.create_training_job, **JOB) == "sagemaker:AddTags"
    untagged = {name: value for name, value in JOB.items() if name != "Tags"}
    assert denied(sagemaker.create_training_job, **untagged) == ""


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        ({"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}, True),
        ({"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}, False),
        ({"StringEquals": {"iam:ResourceTag/for": "jobs"}}, True),
        ({"StringEquals": {"aws:ResourceTag/for": "else"}}, False),
        ({"ArnLike": {"iam:AssociatedResourceArn": "arn:aws:sagemaker:*:*:training-job/*"}}, True),
        ({"ArnLike": {"iam:AssociatedResourceArn": "arn:aws:sagemaker:*:*:model/*"}}, False),
    ],
)
def test_keys_of_a_passed_role(cloud: Cloud, condition: dict[str, Any], allowed: bool) -> None:
    sagemaker = caller(cloud, allow("sagemaker:*"), allow("iam:PassRole", ROLE, **condition))
    assert denied(sagemaker.create_training_job, **JOB) == ("" if allowed else "iam:PassRole")


def test_tags_of_the_resource(cloud: Cloud) -> None:
    root = cloud.client("sagemaker")
    lifecycle = {"NotebookInstanceLifecycleConfigName": "mine"}
    root.create_notebook_instance_lifecycle_config(**lifecycle, Tags=[{"Key": "team", "Value": "blue"}])
    root.create_notebook_instance_lifecycle_config(NotebookInstanceLifecycleConfigName="other")
    sagemaker = caller(cloud, allow("sagemaker:*", StringEquals={"aws:ResourceTag/team": "blue"}))
    assert sagemaker.describe_notebook_instance_lifecycle_config(**lifecycle)
    refused = denied(sagemaker.describe_notebook_instance_lifecycle_config, NotebookInstanceLifecycleConfigName="other")
    assert refused == "sagemaker:DescribeNotebookInstanceLifecycleConfig"


@pytest.mark.parametrize(
    ("condition", "trusted"),
    [
        ({"StringEquals": {"aws:SourceAccount": ACCOUNT}}, True),
        ({"StringEquals": {"aws:SourceAccount": "999999999999"}}, False),
        ({"ArnLike": {"aws:SourceArn": f"arn:aws:sagemaker:*:{ACCOUNT}:*"}}, True),
        ({"ArnLike": {"aws:SourceArn": f"arn:aws:sagemaker:*:{ACCOUNT}:model/m"}}, True),
        ({"ArnLike": {"aws:SourceArn": f"arn:aws:sagemaker:*:{ACCOUNT}:model/other"}}, False),
    ],
)
def test_a_role_trusts_for_some_resources(cloud: Cloud, condition: dict[str, Any], trusted: bool) -> None:
    document = json.dumps({"Version": "2012-10-17", "Statement": [{**TRUST, "Condition": condition}]})
    arn = cloud.client("iam").create_role(RoleName="deputy", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    image = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
    request = {"ModelName": "m", "ExecutionRoleArn": arn, "PrimaryContainer": {"Image": image}}
    if trusted:
        assert cloud.client("sagemaker").create_model(**request)["ModelArn"]
        return
    with pytest.raises(ClientError, match="Could not assume role"):
        cloud.client("sagemaker").create_model(**request)
