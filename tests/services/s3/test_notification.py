from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from clary.destinations import Destinations
from tests.services.s3.conftest import error_of

if TYPE_CHECKING:
    from tests.cloud import Cloud

TOPIC = "arn:aws:sns:eu-west-1:123456789012:news"
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:news"
FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:news"


class Bucket:
    def __init__(self, cloud: Cloud) -> None:
        platform = cloud.parts.platform
        self.s3 = cloud.client("s3")
        self.name = f"news-{uuid.uuid4().hex}"
        location = {"LocationConstraint": self.s3.meta.region_name}
        self.s3.create_bucket(Bucket=self.name, CreateBucketConfiguration=location)
        destinations = Destinations(platform.records, platform.keyring, platform.settings.account)
        for arn in (TOPIC, QUEUE, FUNCTION):
            destinations.put(arn, "http://127.0.0.1:9/", {"Secret": "s"}, cloud.clock.now())

    def put(self, configuration: dict[str, Any], **more: Any) -> None:
        self.s3.put_bucket_notification_configuration(Bucket=self.name, NotificationConfiguration=configuration, **more)

    def topics(self, *topics: dict[str, Any], **more: Any) -> None:
        self.put({"TopicConfigurations": list(topics)}, **more)

    def refused(self, *topics: dict[str, Any]) -> dict[str, Any]:
        configuration = {"TopicConfigurations": list(topics)}
        return error_of(
            self.s3.put_bucket_notification_configuration, Bucket=self.name, NotificationConfiguration=configuration
        )


@pytest.fixture
def bucket(cloud: Cloud) -> Bucket:
    return Bucket(cloud)


def topic(*events: str, prefix: str = "", suffix: str = "", **members: Any) -> dict[str, Any]:
    rules = [{"Name": name, "Value": value} for name, value in (("prefix", prefix), ("suffix", suffix)) if value]
    filtered = {"Filter": {"Key": {"FilterRules": rules}}} if rules else {}
    return {"TopicArn": TOPIC, "Events": list(events) or ["s3:ObjectCreated:*"], **filtered, **members}


def test_a_configuration_is_told_as_it_was_put(bucket: Bucket) -> None:
    configuration = {
        "TopicConfigurations": [topic(prefix="a/", Id="1")],
        "QueueConfigurations": [{"QueueArn": QUEUE, "Events": ["s3:ObjectRemoved:*"], "Id": "2"}],
        "LambdaFunctionConfigurations": [
            {"LambdaFunctionArn": FUNCTION, "Events": ["s3:ObjectTagging:Put", "s3:ObjectAcl:Put"], "Id": "3"}
        ],
        "EventBridgeConfiguration": {},
    }
    bucket.put(configuration)
    told = bucket.s3.get_bucket_notification_configuration(Bucket=bucket.name)
    del told["ResponseMetadata"]
    assert told == configuration
    bucket.put({})
    assert set(bucket.s3.get_bucket_notification_configuration(Bucket=bucket.name)) == {"ResponseMetadata"}


def test_the_old_operations_do_the_same(bucket: Bucket) -> None:
    bucket.topics(topic(Id="1"))
    told = bucket.s3.get_bucket_notification(Bucket=bucket.name)
    assert told["TopicConfiguration"]["Topic"] == TOPIC


def test_parts_get_an_id(bucket: Bucket) -> None:
    bucket.topics(topic())
    told = bucket.s3.get_bucket_notification_configuration(Bucket=bucket.name)
    assert len(told["TopicConfigurations"][0]["Id"]) == 48


def test_unknown_destinations_are_refused(bucket: Bucket) -> None:
    unknown = topic(TopicArn=f"{TOPIC}-else")
    error = bucket.refused(unknown)
    assert (error["Code"], error["Message"]) == (
        "InvalidArgument",
        "Unable to validate the following destination configurations",
    )
    assert (error["ArgumentName"], error["ArgumentValue"]) == (f"{TOPIC}-else", "The destination topic does not exist")
    bucket.topics(unknown, SkipDestinationValidation=True)


@pytest.mark.parametrize(
    ("topics", "code", "message"),
    [
        ([topic("s3:ObjectCreated:Throw")], "InvalidArgument", "The event is not supported for notifications"),
        ([topic(TopicArn="news")], "InvalidArgument", "The ARN is not well formed"),
        ([topic(TopicArn=QUEUE)], "InvalidArgument", "The ARN is not well formed"),
        (
            [topic(Filter={"Key": {"FilterRules": [{"Name": "middle", "Value": "x"}]}})],
            "InvalidArgument",
            "filter rule name must be either prefix or suffix",
        ),
        (
            [topic(Filter={"Key": {"FilterRules": [{"Name": "prefix", "Value": "x"}] * 2}})],
            "InvalidArgument",
            "Cannot specify more than one prefix rule in a filter.",
        ),
        ([topic(prefix="x" * 1025)], "InvalidArgument", "Size of filter rule value cannot exceed 1024 bytes"),
        ([topic(Id="1"), topic("s3:ObjectRemoved:*", Id="1")], "InvalidArgument", "Same ID used for multiple"),
        ([topic(), topic("s3:ObjectCreated:Put")], "InvalidArgument", "Configuration is ambiguously defined."),
        (
            [topic(prefix="a", suffix=".csv"), topic(prefix="ab", suffix="csv")],
            "InvalidArgument",
            "Configuration is ambiguously defined.",
        ),
    ],
)
def test_what_is_not_possible_is_refused(bucket: Bucket, topics: list[dict[str, Any]], code: str, message: str) -> None:
    error = bucket.refused(*topics)
    assert error["Code"] == code
    assert error["Message"].startswith(message)


@pytest.mark.parametrize(
    "topics",
    [
        [topic(prefix="a/"), topic(prefix="b/")],
        [topic(suffix=".csv"), topic(suffix=".txt")],
        [topic("s3:ObjectCreated:Put"), topic("s3:ObjectCreated:Copy")],
    ],
)
def test_parts_that_do_not_overlap_may_stand_together(bucket: Bucket, topics: list[dict[str, Any]]) -> None:
    bucket.topics(*topics)
