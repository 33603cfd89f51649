from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from tests.cloud import Cloud

ACCOUNT = "123456789012"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"},
    }
)


@pytest.fixture
def trail(cloud: Cloud) -> Any:
    return cloud.client("cloudtrail")


@pytest.fixture
def began() -> datetime:
    """Events of other tests lie before it; events are timed in milliseconds."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def lookup(trail: Any, began: datetime, key: str, value: str) -> list[dict[str, Any]]:
    attributes = [{"AttributeKey": key, "AttributeValue": value}]
    events = trail.lookup_events(LookupAttributes=attributes, StartTime=began)["Events"]
    return [event for event in events if event["EventTime"] >= began]  # the request tells whole seconds only


def user(cloud: Cloud, name: str) -> dict[str, Any]:
    iam = cloud.client("iam")
    iam.create_user(UserName=name)
    keys: dict[str, Any] = iam.create_access_key(UserName=name)["AccessKey"]
    return keys


def test_an_event_tells_the_call(cloud: Cloud, trail: Any, began: datetime) -> None:
    answer = cloud.client("iam").create_role(RoleName="runner", AssumeRolePolicyDocument=TRUST)
    (event,) = lookup(trail, began, "EventId", answer["ResponseMetadata"]["RequestId"])
    assert (event["EventName"], event["EventSource"], event["ReadOnly"]) == ("CreateRole", "iam.amazonaws.com", "false")
    assert event["Username"] == "root"
    assert event["AccessKeyId"] == cloud.root["aws_access_key_id"]
    assert event["Resources"] == [{"ResourceType": "AWS::IAM::Role", "ResourceName": "runner"}]
    record = json.loads(event["CloudTrailEvent"])
    assert record["eventVersion"] == "1.11"
    assert record["userIdentity"]["type"] == "Root"
    assert record["requestParameters"]["roleName"] == "runner"
    assert record["responseElements"]["role"]["arn"] == f"arn:aws:iam::{ACCOUNT}:role/runner"
    assert (record["readOnly"], record["managementEvent"], record["eventCategory"]) == (False, True, "Management")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("EventName", "CreateUser"),
        ("EventSource", "iam.amazonaws.com"),
        ("ReadOnly", "false"),
        ("ResourceName", "ada"),
        ("ResourceName", f"arn:aws:iam::{ACCOUNT}:user/ada"),
        ("ResourceType", "AWS::IAM::User"),
        ("Username", "root"),
    ],
)
def test_events_are_found_by_attribute(cloud: Cloud, trail: Any, began: datetime, key: str, value: str) -> None:
    cloud.client("iam").create_user(UserName="ada")
    cloud.client("sts").get_caller_identity()
    assert "CreateUser" in {event["EventName"] for event in lookup(trail, began, key, value)}
    other = lookup(trail, began, key, "true" if key == "ReadOnly" else "x")
    assert "CreateUser" not in {event["EventName"] for event in other}


def test_events_are_found_by_access_key(cloud: Cloud, trail: Any, began: datetime) -> None:
    keys = user(cloud, "ada")
    cloud.client("sts", keys).get_caller_identity()
    (event,) = lookup(trail, began, "AccessKeyId", keys["AccessKeyId"])
    assert (event["EventName"], event["Username"]) == ("GetCallerIdentity", "ada")


def test_pages_are_newest_first_and_complete(cloud: Cloud, trail: Any, began: datetime) -> None:
    names = [f"user-{number}" for number in range(7)]
    for name in names:
        cloud.client("iam").create_user(UserName=name)
    pages = trail.get_paginator("lookup_events").paginate(
        StartTime=began,
        LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "CreateUser"}],
        PaginationConfig={"PageSize": 3},
    )
    events = [event for page in pages for event in page["Events"] if event["EventTime"] >= began]
    assert sorted(event["Resources"][0]["ResourceName"] for event in events) == names
    times = [event["EventTime"] for event in events]
    assert times == sorted(times, reverse=True)


def test_refusals_tell_their_error(cloud: Cloud, trail: Any, began: datetime) -> None:
    with pytest.raises(ClientError) as caught:
        cloud.client("iam", user(cloud, "ada")).list_users()
    (event,) = lookup(trail, began, "EventName", "ListUsers")
    record = json.loads(event["CloudTrailEvent"])
    assert record["errorCode"] == "AccessDenied"
    assert record["errorMessage"] == caught.value.response["Error"]["Message"]
    assert record["responseElements"] is None
    assert record["userIdentity"]["userName"] == "ada"


def test_sessions_tell_their_role_and_no_secret(cloud: Cloud, trail: Any, began: datetime) -> None:
    iam = cloud.client("iam")
    role = iam.create_role(RoleName="runner", AssumeRolePolicyDocument=TRUST)["Role"]
    keys = user(cloud, "ada")
    iam.put_user_policy(
        UserName="ada",
        PolicyName="assume",
        PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}
        ),
    )
    session = cloud.client("sts", keys).assume_role(RoleArn=role["Arn"], RoleSessionName="night")["Credentials"]
    cloud.client("sts", session).get_caller_identity()
    (assumed,) = lookup(trail, began, "EventName", "AssumeRole")
    assert session["SessionToken"] not in assumed["CloudTrailEvent"]
    assert session["SecretAccessKey"] not in assumed["CloudTrailEvent"]
    (event,) = lookup(trail, began, "Username", "night")
    identity = json.loads(event["CloudTrailEvent"])["userIdentity"]
    assert identity["type"] == "AssumedRole"
    assert identity["sessionContext"]["sessionIssuer"]["arn"] == role["Arn"]


def test_data_events_are_kept_but_not_looked_up(cloud: Cloud, trail: Any, began: datetime) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="data", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    answer = s3.put_object(Bucket="data", Key="a", Body=b"secret body")
    assert {event["EventName"] for event in lookup(trail, began, "EventSource", "s3.amazonaws.com")} == {"CreateBucket"}
    event = cloud.parts.platform.audit.get(answer["ResponseMetadata"]["RequestId"])
    assert event is not None
    assert event.resources == ["arn:aws:s3:::data/a"]
    assert (event.request["bucketName"], event.request["key"]) == ("data", "a")
    assert "secret body" not in str(event)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"MaxResults": 51}, "ValidationException"),
        ({"NextToken": "nonsense"}, "InvalidNextTokenException"),
        (
            {"LookupAttributes": [{"AttributeKey": "ReadOnly", "AttributeValue": "maybe"}]},
            "InvalidLookupAttributesException",
        ),
        (
            {"StartTime": datetime.now(UTC), "EndTime": datetime.now(UTC) - timedelta(days=1)},
            "InvalidTimeRangeException",
        ),
    ],
)
def test_bad_requests(trail: Any, request_: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError) as caught:
        trail.lookup_events(**request_)
    assert caught.value.response["Error"]["Code"] == code


def test_there_are_no_trails_and_none_is_made(trail: Any) -> None:
    assert trail.describe_trails()["trailList"] == []
    with pytest.raises(ClientError) as caught:
        trail.create_trail(Name="all", S3BucketName="logs")
    assert "CreateTrail" in caught.value.response["Error"]["Message"]
