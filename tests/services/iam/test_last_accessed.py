from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.audit.world import ACCOUNT, allow, document, refused, user

if TYPE_CHECKING:
    from tests.cloud import Cloud

READ_ONLY = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"


def report(iam: Any, arn: str, **options: Any) -> dict[str, Any]:
    job = iam.generate_service_last_accessed_details(Arn=arn, **options)["JobId"]
    answer: dict[str, Any] = iam.get_service_last_accessed_details(JobId=job)
    assert answer["JobStatus"] == "COMPLETED"
    return {each["ServiceNamespace"]: each for each in answer["ServicesLastAccessed"]}


def test_a_user_used_one_of_the_services_that_it_may_use(cloud: Cloud) -> None:
    cloud.client("s3", user(cloud, "ada", allow("s3:*", "logs:*"))).list_buckets()
    arn = f"arn:aws:iam::{ACCOUNT}:user/ada"
    services = report(cloud.client("iam"), arn)
    assert set(services) == {"s3", "logs"}
    assert services["s3"]["ServiceName"] == "Amazon S3"
    assert services["s3"]["LastAuthenticatedEntity"] == arn
    assert services["s3"]["LastAuthenticatedRegion"] == "eu-west-1"
    assert services["s3"]["TotalAuthenticatedEntities"] == 1
    assert "LastAuthenticated" not in services["logs"]
    assert "TrackedActionsLastAccessed" not in services["s3"]


def test_actions_are_told_where_asked(cloud: Cloud) -> None:
    s3 = cloud.client("s3", user(cloud, "ada", allow("s3:ListAllMyBuckets")))
    s3.list_buckets()
    refused(cloud, lambda: s3.create_bucket(Bucket="not-allowed"))
    arn = f"arn:aws:iam::{ACCOUNT}:user/ada"
    services = report(cloud.client("iam"), arn, Granularity="ACTION_LEVEL")
    actions = {each["ActionName"] for each in services["s3"]["TrackedActionsLastAccessed"]}
    assert actions == {"ListAllMyBuckets", "CreateBucket"}


def test_a_group_and_a_policy_stand_for_their_users(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    keys = user(cloud, "ada")
    user(cloud, "bob")
    iam.create_group(GroupName="readers")
    iam.attach_group_policy(GroupName="readers", PolicyArn=READ_ONLY)
    for name in ("ada", "bob"):
        iam.add_user_to_group(GroupName="readers", UserName=name)
    cloud.client("s3", keys).list_buckets()
    for arn in (f"arn:aws:iam::{ACCOUNT}:group/readers", READ_ONLY):
        assert report(iam, arn)["s3"]["LastAuthenticatedEntity"].endswith("user/ada")
        job = iam.generate_service_last_accessed_details(Arn=arn)["JobId"]
        details = iam.get_service_last_accessed_details_with_entities(JobId=job, ServiceNamespace="s3")
        used = {each["EntityInfo"]["Name"]: "LastAuthenticated" in each for each in details["EntityDetailsList"]}
        assert used == {"ada": True, "bob": False}


def test_the_use_of_an_earlier_user_does_not_count(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    keys = user(cloud, "ada", allow("s3:*"))
    cloud.client("s3", keys).list_buckets()
    iam.delete_access_key(UserName="ada", AccessKeyId=keys["AccessKeyId"])
    iam.delete_user_policy(UserName="ada", PolicyName="own")
    iam.delete_user(UserName="ada")
    user(cloud, "ada", allow("s3:*"))
    assert "LastAuthenticated" not in report(iam, f"arn:aws:iam::{ACCOUNT}:user/ada")["s3"]


def test_pages(cloud: Cloud) -> None:
    user(cloud, "ada", allow("*"))
    iam = cloud.client("iam")
    job = iam.generate_service_last_accessed_details(Arn=f"arn:aws:iam::{ACCOUNT}:user/ada")["JobId"]
    first = iam.get_service_last_accessed_details(JobId=job, MaxItems=2)
    assert first["IsTruncated"]
    second = iam.get_service_last_accessed_details(JobId=job, Marker=first["Marker"])
    names = [each["ServiceNamespace"] for each in first["ServicesLastAccessed"] + second["ServicesLastAccessed"]]
    assert names == sorted(names)
    assert {"s3", "iam", "sagemaker"} <= set(names)


def test_what_grants_a_service(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    user(cloud, "ada", allow("logs:*"), {"Effect": "Deny", "Action": "s3:*", "Resource": "*"})
    iam.create_group(GroupName="readers")
    iam.attach_group_policy(GroupName="readers", PolicyArn=READ_ONLY)
    iam.put_group_policy(
        GroupName="readers",
        PolicyName="most",
        PolicyDocument=document({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}),
    )
    iam.add_user_to_group(GroupName="readers", UserName="ada")
    answer = iam.list_policies_granting_service_access(
        Arn=f"arn:aws:iam::{ACCOUNT}:user/ada", ServiceNamespaces=["s3", "logs", "iam"]
    )["PoliciesGrantingServiceAccess"]
    policies = {each["ServiceNamespace"]: {policy["PolicyName"] for policy in each["Policies"]} for each in answer}
    assert policies == {"s3": {"AmazonS3ReadOnlyAccess", "most"}, "logs": {"own", "most"}, "iam": set()}
    own = answer[1]["Policies"][0]
    assert own == {"PolicyName": "own", "PolicyType": "INLINE", "EntityType": "USER", "EntityName": "ada"}


@pytest.mark.parametrize("arn", [f"arn:aws:iam::{ACCOUNT}:user/nobody", "arn:aws:iam::aws:policy/NoSuchPolicy"])
def test_whom_nobody_knows(cloud: Cloud, arn: str) -> None:
    iam = cloud.client("iam")
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.generate_service_last_accessed_details(Arn=arn)
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.list_policies_granting_service_access(Arn=arn, ServiceNamespaces=["s3"])


def test_an_unknown_job(cloud: Cloud) -> None:
    with pytest.raises(ClientError) as caught:
        cloud.client("iam").get_service_last_accessed_details(JobId="0" * 36)
    assert caught.value.response["Error"]["Code"] == "NoSuchEntity"
