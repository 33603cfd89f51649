from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from botocore.exceptions import ClientError

from clary.quotas import ENDPOINT, PROCESSING, SPOT, TRAINING, TRANSFORM, Quota, Quotas, ResourceLimitExceeded
from tests.cloud import Cloud
from tests.services.sagemaker.test_kinds import IMAGE, ROLE, TRUST
from tests.services.sagemaker.test_training import PROCESSING as PROCESSING_JOB
from tests.services.sagemaker.test_training import TRAINING as TRAINING_JOB

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGE = Quota(TRAINING, "ml.m5.large")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Cloud]:
    """A platform on which an account may use two instances of each type."""
    cloud = Cloud(tmp_path, botocore.session.get_session(), instance_quota=2)
    cloud.empty()
    cloud.client("iam").create_role(RoleName="run", AssumeRolePolicyDocument=json.dumps(TRUST))
    yield cloud
    cloud.close()


def refusal(call: Any, **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        call(**request)
    told = error.value.response["Error"]
    return told["Code"], told["Message"]


def limited(name: str, used: int, more: int) -> tuple[str, str]:
    return (
        "ResourceLimitExceeded",
        f"The account-level service limit '{name}' is 2 Instances, with current utilization of {used} Instances and a "
        f"request delta of {more} Instances. Please use AWS Service Quotas to request an increase for this quota. If "
        "AWS Service Quotas is not available, contact AWS support to request an increase for this quota.",
    )


def job(name: str, count: int = 1, **changes: Any) -> dict[str, Any]:
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": count, "VolumeSizeInGB": 1}
    return {**TRAINING_JOB, "TrainingJobName": name, "ResourceConfig": resources, **changes}


def test_there_is_a_quota_for_each_type_and_purpose(cloud: Cloud) -> None:
    quotas = cloud.client("service-quotas")
    (service,) = quotas.list_services()["Services"]
    assert service == {"ServiceCode": "sagemaker", "ServiceName": "Amazon SageMaker"}
    pages = quotas.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
    found = {quota["QuotaName"]: quota for page in pages for quota in page["Quotas"]}
    for purpose in (TRAINING, SPOT, PROCESSING, TRANSFORM, ENDPOINT):
        assert found[f"ml.m5.large for {purpose.words}"]["Value"] == 1000
    assert "ml.m5.large for training warm pool usage" in found
    assert len({quota["QuotaCode"] for quota in found.values()}) == len(found) > 1000
    (one,) = quotas.list_service_quotas(ServiceCode="sagemaker", QuotaCode=LARGE.code)["Quotas"]
    assert one == found[LARGE.name]
    assert one["QuotaArn"] == f"arn:aws:servicequotas:eu-west-1:123456789012:sagemaker/{LARGE.code}"
    assert one["Adjustable"]


def test_more_is_granted_at_once(cloud: Cloud) -> None:
    quotas = cloud.client("service-quotas")
    of = {"ServiceCode": "sagemaker", "QuotaCode": LARGE.code}
    asked = quotas.request_service_quota_increase(**of, DesiredValue=2000)["RequestedQuota"]
    assert (asked["Status"], asked["DesiredValue"], asked["QuotaName"]) == ("APPROVED", 2000, LARGE.name)
    assert quotas.get_service_quota(**of)["Quota"]["Value"] == 2000
    assert quotas.get_aws_default_service_quota(**of)["Quota"]["Value"] == 1000
    quotas.request_service_quota_increase(**of, DesiredValue=3000)
    assert quotas.get_service_quota(**of)["Quota"]["Value"] == 3000
    history = quotas.list_requested_service_quota_change_history(ServiceCode="sagemaker")["RequestedQuotas"]
    assert [each["DesiredValue"] for each in history] == [3000, 2000]
    assert quotas.list_requested_service_quota_change_history_by_quota(**of)["RequestedQuotas"] == history
    assert quotas.get_requested_service_quota_change(RequestId=asked["Id"])["RequestedQuota"] == history[1]
    pending = quotas.list_requested_service_quota_change_history(Status="PENDING")
    assert pending["RequestedQuotas"] == []
    other = quotas.list_requested_service_quota_change_history_by_quota(
        ServiceCode="sagemaker", QuotaCode=Quota(SPOT, "ml.m5.large").code
    )
    assert other["RequestedQuotas"] == []


def test_less_is_not_granted(cloud: Cloud) -> None:
    quotas = cloud.client("service-quotas")
    of = {"ServiceCode": "sagemaker", "QuotaCode": LARGE.code}
    for desired in (1, 1000):
        assert refusal(quotas.request_service_quota_increase, **of, DesiredValue=desired) == (
            "IllegalArgumentException",
            "You must provide a quota value greater than the default quota value of 1000.0",
        )
    quotas.request_service_quota_increase(**of, DesiredValue=1500)
    _, message = refusal(quotas.request_service_quota_increase, **of, DesiredValue=1200)
    assert message == "You must provide a quota value greater than the current quota value of 1500.0"


def test_what_is_not_there_is_refused(cloud: Cloud) -> None:
    quotas = cloud.client("service-quotas")
    for call, request in (
        (quotas.list_service_quotas, {"ServiceCode": "lambda"}),
        (quotas.get_service_quota, {"ServiceCode": "sagemaker", "QuotaCode": "L-1"}),
        (quotas.get_requested_service_quota_change, {"RequestId": "none"}),
    ):
        assert refusal(call, **request)[0] == "NoSuchResourceException"
    bad = {"ServiceCode": "sagemaker", "NextToken": "YQ=="}
    assert refusal(quotas.list_service_quotas, **bad)[0] == "InvalidPaginationTokenException"


def test_a_policy_decides_who_may_ask_for_more(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    iam.create_user(UserName="reader")
    keys = iam.create_access_key(UserName="reader")["AccessKey"]
    statement = {"Effect": "Allow", "Action": ["servicequotas:Get*", "servicequotas:List*"], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=document)
    quotas = cloud.client("service-quotas", keys)
    of = {"ServiceCode": "sagemaker", "QuotaCode": LARGE.code}
    assert quotas.get_service_quota(**of)["Quota"]["Value"] == 1000
    code, message = refusal(quotas.request_service_quota_increase, **of, DesiredValue=2000)
    assert code == "AccessDeniedException"
    resource = f"arn:aws:servicequotas:eu-west-1:123456789012:sagemaker/{LARGE.code}"
    assert f"servicequotas:RequestServiceQuotaIncrease on resource: {resource}" in message


def test_training_jobs_may_use_as_much_as_the_quota(small: Cloud) -> None:
    sagemaker = small.client("sagemaker")
    sagemaker.create_training_job(**job("a"))
    told = refusal(sagemaker.create_training_job, **job("b", count=2))
    assert told == limited("ml.m5.large for training job usage", 1, 2)
    sagemaker.create_training_job(**job("b"))
    assert refusal(sagemaker.create_training_job, **job("c")) == limited("ml.m5.large for training job usage", 2, 1)
    quotas = small.client("service-quotas")
    quotas.request_service_quota_increase(ServiceCode="sagemaker", QuotaCode=LARGE.code, DesiredValue=3)
    sagemaker.create_training_job(**job("c"))


def test_each_purpose_and_type_counts_by_itself(small: Cloud) -> None:
    sagemaker = small.client("sagemaker")
    sagemaker.create_training_job(**job("a", count=2))
    spot: dict[str, Any] = {
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60},
    }
    sagemaker.create_training_job(**job("b", count=2, **spot))
    told = refusal(sagemaker.create_training_job, **job("c", **spot))
    assert told == limited("ml.m5.large for spot training job usage", 2, 1)
    other = {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 1}
    sagemaker.create_training_job(**job("d", ResourceConfig=other))
    cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}
    processing = {**PROCESSING_JOB, "ProcessingResources": {"ClusterConfig": cluster}}
    sagemaker.create_processing_job(**processing)
    told = refusal(sagemaker.create_processing_job, **{**processing, "ProcessingJobName": "q"})
    assert told == limited("ml.m5.large for processing job usage", 2, 2)


def test_transform_jobs_and_endpoints_count(small: Cloud) -> None:
    sagemaker = small.client("sagemaker")
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE})
    transform = {
        "ModelName": "m",
        "TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/in"}}},
        "TransformOutput": {"S3OutputPath": "s3://b/out"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    for name in ("a", "b"):
        sagemaker.create_transform_job(TransformJobName=name, **transform)
    told = refusal(sagemaker.create_transform_job, TransformJobName="c", **transform)
    assert told == limited("ml.m5.large for transform job usage", 2, 1)

    for name, number in (("one", 1), ("two", 2), ("three", 3)):
        variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": number}
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    told = refusal(sagemaker.create_endpoint, EndpointName="e", EndpointConfigName="three")
    assert told == limited("ml.m5.large for endpoint usage", 0, 3)
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="one")
    told = refusal(sagemaker.create_endpoint, EndpointName="f", EndpointConfigName="two")
    assert told == limited("ml.m5.large for endpoint usage", 1, 2)
    sagemaker.create_endpoint(EndpointName="f", EndpointConfigName="one")


def test_two_requests_at_once_do_not_exceed_it(small: Cloud) -> None:
    platform = small.parts.platform
    quotas = Quotas(platform, "123456789012", "eu-west-1")
    sagemaker = small.client("sagemaker")
    sagemaker.create_training_job(**job("a"))
    record = platform.records.get("training-job", "123456789012", "eu-west-1", "a")
    assert record is not None

    def begin(index: int) -> bool:
        try:
            with platform.records.together():
                quotas.check(LARGE, 1)
                platform.records.create(replace(record, name=f"j{index}", arn=f"j{index}"))
        except ResourceLimitExceeded:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(begin, range(16))) == 1
    assert quotas.used(LARGE) == 2
