from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from clary.errors import ServiceError, ValidationException
from clary.protocol.errors import (
    InvalidArgument,
    InvalidParameterException,
    InvalidParameterValue,
    MalformedXML,
    MissingParameter,
    ValidationError,
)
from clary.protocol.validate import Validators

if TYPE_CHECKING:
    from .conftest import Wire

CONSTRAINT = "failed to satisfy constraint"


@pytest.fixture(scope="module")
def validators() -> Validators:
    return Validators()


def refusal(wire: Wire, validators: Validators, service: str, operation: str, request: dict[str, Any]) -> ServiceError:
    with pytest.raises(ServiceError) as raised:
        validators.validate(wire.models.operation(service, operation), request)
    return raised.value


MODEL = {"ModelName": "m", "ExecutionRoleArn": "arn:aws:iam::000000000000:role/Role"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"ModelName": "a b"},
            "Value 'a b' at 'modelName' failed to satisfy constraint: Member must satisfy regular expression pattern: "
            r"[a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?",
        ),
        ({"ModelName": None}, "Value null at 'modelName' failed to satisfy constraint: Member must not be null"),
        (
            {"ModelName": "a" * 64},
            f"Value '{'a' * 64}' at 'modelName' {CONSTRAINT}: Member must have length less than or equal to 63",
        ),
        (
            {"PrimaryContainer": {"Mode": "x"}},
            f"Value 'x' at 'primaryContainer.mode' {CONSTRAINT}: "
            "Member must satisfy enum value set: [SingleModel, MultiModel]",
        ),
        (
            {"Tags": [{"Key": "k", "Value": "v"}, {"Key": "k"}]},
            f"Value null at 'tags.2.member.value' {CONSTRAINT}: Member must not be null",
        ),
        (
            {"VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["a!", "b"]}},
            f"Value '[a!, b]' at 'vpcConfig.subnets' {CONSTRAINT}: Member must satisfy constraint: "
            "[Member must have length less than or equal to 32, "
            "Member must satisfy regular expression pattern: [-0-9a-zA-Z]+]",
        ),
        (
            {"VpcConfig": {"SecurityGroupIds": [], "Subnets": ["b"]}},
            f"Value '[]' at 'vpcConfig.securityGroupIds' {CONSTRAINT}: "
            "Member must have length greater than or equal to 1",
        ),
        (
            {"PrimaryContainer": {"Environment": {"a": "b", "c d": ""}}},
            f"Value '{{a=b, c d=}}' at 'primaryContainer.environment' {CONSTRAINT}: Map keys must satisfy constraint: "
            "[Member must have length less than or equal to 1024, "
            "Member must satisfy regular expression pattern: [a-zA-Z_][a-zA-Z0-9_]*]",
        ),
    ],
)
def test_one_error(wire: Wire, validators: Validators, change: dict[str, Any], message: str) -> None:
    error = refusal(wire, validators, "sagemaker", "CreateModel", {**MODEL, **change})
    assert type(error) is ValidationException
    assert error.message == f"1 validation error detected: {message}"


def test_several_errors_are_told_together(wire: Wire, validators: Validators) -> None:
    error = refusal(wire, validators, "sagemaker", "ListModels", {"MaxResults": 0, "NameContains": "a_b"})
    assert error.message == (
        "2 validation errors detected: Value '0' at 'maxResults' failed to satisfy constraint: "
        "Member must have value greater than or equal to 1; "
        "Value 'a_b' at 'nameContains' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [a-zA-Z0-9-]+"
    )


@pytest.mark.parametrize(
    ("service", "operation", "request_", "error", "message"),
    [
        ("iam", "GetRole", {}, ValidationError, "1 validation error detected: Value null at 'roleName'"),
        ("sts", "AssumeRole", {"RoleArn": "x" * 30}, ValidationError, "1 validation error detected"),
        ("logs", "CreateLogGroup", {"logGroupName": ""}, InvalidParameterException, "2 validation errors detected"),
        ("ec2", "RunInstances", {"MinCount": 1}, MissingParameter, "The request must contain the parameter MaxCount"),
        (
            "ec2",
            "RunInstances",
            {"MinCount": 1, "MaxCount": 1, "InstanceType": "huge"},
            InvalidParameterValue,
            "Value (huge) for parameter InstanceType is invalid.",
        ),
        ("s3", "PutBucketVersioning", {"Bucket": "b"}, MalformedXML, "The XML you provided"),
        (
            "s3",
            "PutObject",
            {"Bucket": "b", "Key": "k", "ACL": "everybody"},
            InvalidArgument,
            "Invalid value for x-amz-acl",
        ),
        ("s3", "GetObjectAttributes", {"Bucket": "b", "Key": "k"}, InvalidArgument, "Missing required parameter"),
    ],
)
def test_each_service_refuses_in_its_own_words(
    wire: Wire, service: str, operation: str, request_: dict[str, Any], error: type, message: str
) -> None:
    found = refusal(wire, Validators(), service, operation, request_)
    assert type(found) is error
    assert found.message.startswith(message)


def test_secrets_are_not_repeated(wire: Wire, validators: Validators) -> None:
    request = {"UserName": "u", "Password": "x" * 200}
    error = refusal(wire, validators, "iam", "CreateLoginProfile", request)
    assert "xxx" not in error.message
    assert "Value at 'password' failed" in error.message


def test_good_requests_pass(wire: Wire, validators: Validators) -> None:
    def passes(service: str, operation: str, **request: object) -> None:
        validators.validate(wire.models.operation(service, operation), request)

    passes("sagemaker", "CreateModel", **MODEL, Tags=[{"Key": "Größe: 1", "Value": "x=y @ z"}])
    passes("iam", "CreateRole", RoleName="R-1", AssumeRolePolicyDocument='{"Statement": "é\n"}', Description="tab\t")
    passes("iam", "ListAccountAliases")
    passes("s3", "CreateBucket", Bucket="b", CreateBucketConfiguration={"LocationConstraint": "mars-1"})
    passes("iam", "GetAccountSummary")


def test_patterns_are_not_tried_on_endless_text(wire: Wire, validators: Validators) -> None:
    error = refusal(wire, validators, "sagemaker", "ListModels", {"NameContains": "a" * 10**6 + "!"})
    assert error.message.startswith("1 validation error detected")
    assert error.message.endswith("Member must have length less than or equal to 63")


def test_every_operation_compiles(wire: Wire, validators: Validators) -> None:
    for service in wire.models.services:
        for operation in wire.models.service(service).operation_names:
            validators.validator(wire.models.operation(service, operation))


def test_deep_requests_are_refused(wire: Wire, validators: Validators) -> None:
    deep: dict[str, Any] = {}
    for _ in range(2000):
        deep = {"SubExpressions": [deep]}
    error = refusal(wire, validators, "sagemaker", "Search", {"Resource": "TrainingJob", "SearchExpression": deep})
    assert type(error) is ValidationException


def test_the_checksum_mode_may_be_spelled_in_lower_case(wire: Wire, validators: Validators) -> None:
    request = {"Bucket": "b", "Key": "k", "ChecksumMode": "enabled"}
    validators.validate(wire.models.operation("s3", "GetObject"), request)
