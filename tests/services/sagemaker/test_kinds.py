"""Describe, list, tags and errors, which are the same for every kind of record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from tests.cloud import Cloud

ROLE = "arn:aws:iam::123456789012:role/run"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


@pytest.fixture
def sagemaker(cloud: Cloud) -> Any:
    cloud.client("iam").create_role(RoleName="run", AssumeRolePolicyDocument=json.dumps(TRUST))
    return cloud.client("sagemaker")


def make_models(sagemaker: Any, *names: str) -> None:
    for name in names:
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE})


def make_config(sagemaker: Any, name: str, model: str) -> Any:
    variant = {"VariantName": "a", "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    return sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])


def refusal(call: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        call()
    told = error.value.response["Error"]
    return told["Code"], told["Message"]


def test_describe_tells_what_was_asked(sagemaker: Any) -> None:
    make_models(sagemaker, "m")
    found = sagemaker.describe_model(ModelName="m")
    assert found["ModelArn"] == "arn:aws:sagemaker:eu-west-1:123456789012:model/m"
    assert found["PrimaryContainer"] == {"Image": IMAGE}
    assert found["ExecutionRoleArn"] == ROLE
    assert found["CreationTime"].tzinfo is not None


def test_lists_filter_and_page(sagemaker: Any) -> None:
    make_models(sagemaker, *(f"m-{number}" for number in range(5)), "other")
    pages = sagemaker.get_paginator("list_models").paginate(
        NameContains="m-", SortBy="Name", SortOrder="Ascending", PaginationConfig={"PageSize": 2}
    )
    found = [[model["ModelName"] for model in page["Models"]] for page in pages]
    assert found == [["m-0", "m-1"], ["m-2", "m-3"], ["m-4"]]
    newest = sagemaker.list_models(MaxResults=1)["Models"]
    assert [model["ModelName"] for model in newest] == ["other"]
    assert refusal(lambda: sagemaker.list_models(NextToken="%%%"))[0] == "ValidationException"


def test_tags(sagemaker: Any) -> None:
    make_models(sagemaker, "m")
    arn = sagemaker.describe_model(ModelName="m")["ModelArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    many = [{"Key": str(number), "Value": ""} for number in range(50)]
    assert refusal(lambda: sagemaker.add_tags(ResourceArn=arn, Tags=many))[0] == "ValidationException"


def test_errors_in_the_words_that_clients_look_for(sagemaker: Any) -> None:
    make_models(sagemaker, "m")
    make_config(sagemaker, "c", "m")
    arn = "arn:aws:sagemaker:eu-west-1:123456789012"
    assert refusal(lambda: make_models(sagemaker, "m")) == (
        "ValidationException",
        f'Cannot create already existing model "{arn}:model/m".',
    )
    assert refusal(lambda: sagemaker.describe_endpoint(EndpointName="e")) == (
        "ValidationException",
        f'Could not find endpoint "{arn}:endpoint/e".',
    )
    assert refusal(lambda: make_config(sagemaker, "d", "none"))[1] == f'Could not find model "{arn}:model/none".'
    assert refusal(lambda: make_config(sagemaker, "c", "m"))[1].startswith("Cannot create already existing endpoint")
    assert refusal(lambda: sagemaker.describe_training_job(TrainingJobName="t")) == (
        "ValidationException",
        "Requested resource not found.",
    )
    assert refusal(lambda: sagemaker.describe_monitoring_schedule(MonitoringScheduleName="s"))[0] == "ResourceNotFound"


def test_models_that_could_never_run_are_refused(cloud: Cloud, sagemaker: Any) -> None:
    def create(**changes: Any) -> tuple[str, str]:
        request = {"ModelName": "m", "ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": IMAGE}, **changes}
        return refusal(lambda: sagemaker.create_model(**request))

    assert "cannot run the image" in create(PrimaryContainer={"Image": "my/image:latest"})[1]
    assert "MultiModel" in create(PrimaryContainer={"Image": IMAGE, "Mode": "MultiModel"})[1]
    assert "Could not assume role" in create(ExecutionRoleArn="arn:aws:iam::123456789012:role/none")[1]
    container = {"Image": IMAGE, "ModelDataUrl": "s3://nowhere/model.tar.gz"}
    assert "Could not access model data" in create(PrimaryContainer=container)[1]
    lambda_only = json.dumps(TRUST).replace("sagemaker", "lambda")
    cloud.client("iam").create_role(RoleName="other", AssumeRolePolicyDocument=lambda_only)
    assert "Could not assume role" in create(ExecutionRoleArn="arn:aws:iam::123456789012:role/other")[1]


def test_a_user_needs_pass_role(cloud: Cloud, sagemaker: Any) -> None:
    iam = cloud.client("iam")
    iam.create_user(UserName="ann")
    allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sagemaker:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=json.dumps(allowed))
    ann = cloud.client("sagemaker", iam.create_access_key(UserName="ann")["AccessKey"])
    code, message = refusal(lambda: make_models(ann, "m"))
    assert code == "AccessDeniedException"
    assert "arn:aws:iam::123456789012:user/ann is not authorized to perform: iam:PassRole on resource" in message
    assert ROLE in message
    assert ann.list_models()["Models"] == []


def test_an_operation_that_is_not_there_says_so(sagemaker: Any) -> None:
    code, message = refusal(lambda: sagemaker.delete_cluster(ClusterName="c"))
    assert code == "NotImplemented"
    assert "DeleteCluster" in message
