from __future__ import annotations

import hashlib
import hmac
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from clary.controllers.bucket_lifecycle import BucketLifecycleController
from clary.controllers.bucket_notification import BucketNotificationController
from clary.destinations import Destinations
from clary.object_events import SUBSCRIBER, subscriber
from clary.store.records import Record
from tests.webhooks import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cloud import Cloud

TOPIC = "arn:aws:sns:eu-west-1:123456789012:news"
SECRET = "s3cret"


class Fixture:
    """A bucket that notifies a webhook, and its controller."""

    def __init__(self, cloud: Cloud, receiver: Receiver) -> None:
        self.cloud = cloud
        self.platform = cloud.parts.platform
        self.receiver = receiver
        self.s3 = cloud.client("s3")
        self.bucket = f"news-{uuid.uuid4().hex}"
        location = {"LocationConstraint": self.s3.meta.region_name}
        self.s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration=location)
        self.destinations = Destinations(self.platform.records, self.platform.keyring, self.platform.settings.account)
        self.destinations.put(TOPIC, receiver.url, {"Secret": SECRET}, cloud.clock.now())

    def notify(self, *events: str, **more: Any) -> None:
        topic = {"TopicArn": TOPIC, "Events": events or ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"], "Id": "c", **more}
        self.s3.put_bucket_notification_configuration(
            Bucket=self.bucket, NotificationConfiguration={"TopicConfigurations": [topic]}
        )
        self.step()
        self.receiver.messages.clear()
        self.receiver.bodies.clear()
        self.receiver.headers.clear()

    def put(self, key: str, body: bytes = b"xyz") -> Any:
        return self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def record(self) -> Record:
        account = self.platform.settings.account
        found = self.platform.records.get("bucket-notification", account, "", self.bucket)
        assert found is not None
        return found

    def step(self) -> Record:
        """One step, stored as the loop would."""
        outcome = BucketNotificationController(self.platform).step(self.record(), self.cloud.clock.now())
        assert outcome is not None
        return self.platform.records.update(outcome)

    def told(self) -> list[tuple[str, str]]:
        """Names and keys of the events that arrived."""
        records = [message["Records"][0] for message in self.receiver.messages]
        return [(record["eventName"], record["s3"]["object"]["key"]) for record in records]

    def waiting(self) -> int:
        return len(self.platform.objects.events.pending(self.bucket, f"notify {TOPIC}", 1000))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def news(cloud: Cloud, receiver: Receiver) -> Fixture:
    return Fixture(cloud, receiver)


def test_a_configuration_is_tested_at_once(news: Fixture) -> None:
    topic = {"TopicArn": TOPIC, "Events": ["s3:ObjectCreated:*"]}
    news.s3.put_bucket_notification_configuration(
        Bucket=news.bucket, NotificationConfiguration={"TopicConfigurations": [topic]}
    )
    news.step()
    test = news.receiver.messages[0]
    assert (test["Event"], test["Bucket"], test["Service"]) == ("s3:TestEvent", news.bucket, "Amazon S3")


def test_a_message_is_as_on_aws_and_signed(news: Fixture) -> None:
    news.notify()
    put = news.put("a b/ü.txt")
    news.step()
    record = news.receiver.messages[0]["Records"][0]
    subject = record["s3"]["object"]
    assert {name: subject[name] for name in ("key", "size", "eTag")} == {
        "key": "a+b/%C3%BC.txt",
        "size": 3,
        "eTag": put["ETag"].strip('"'),
    }
    assert re.fullmatch("[0-9A-F]{18}", subject["sequencer"])
    assert record["eventName"] == "ObjectCreated:Put"
    assert (record["eventVersion"], record["eventSource"], record["awsRegion"]) == ("2.1", "aws:s3", "eu-west-1")
    assert record["s3"]["configurationId"] == "c"
    assert record["s3"]["bucket"] == {
        "name": news.bucket,
        "ownerIdentity": {"principalId": "123456789012"},
        "arn": f"arn:aws:s3:::{news.bucket}",
    }
    assert record["responseElements"]["x-amz-request-id"] == put["ResponseMetadata"]["RequestId"]
    assert record["requestParameters"] == {"sourceIPAddress": "127.0.0.1"}
    at, digest = re.fullmatch("t=(\\d+),v1=(\\w+)", news.receiver.headers[0]["X-Clary-Signature"]).groups()  # type: ignore[union-attr]
    signed = f"{at}.".encode() + news.receiver.bodies[0]
    assert hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest() == digest


def test_every_kind_of_change_is_told(news: Fixture) -> None:
    news.s3.put_bucket_ownership_controls(
        Bucket=news.bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    )
    news.notify("s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*", "s3:ObjectAcl:Put")
    news.put("a")
    news.s3.copy_object(Bucket=news.bucket, Key="b", CopySource=f"{news.bucket}/a")
    upload = news.s3.create_multipart_upload(Bucket=news.bucket, Key="m")["UploadId"]
    part = news.s3.upload_part(Bucket=news.bucket, Key="m", UploadId=upload, PartNumber=1, Body=b"x")
    news.s3.complete_multipart_upload(
        Bucket=news.bucket, Key="m", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )  # fmt: skip
    news.s3.put_object_tagging(Bucket=news.bucket, Key="a", Tagging={"TagSet": []})
    news.s3.delete_object_tagging(Bucket=news.bucket, Key="a")
    news.s3.put_object_acl(Bucket=news.bucket, Key="a", ACL="bucket-owner-full-control")
    news.s3.delete_object(Bucket=news.bucket, Key="a")
    news.s3.delete_objects(Bucket=news.bucket, Delete={"Objects": [{"Key": "b"}]})
    news.step()
    assert news.told() == [
        ("ObjectCreated:Put", "a"),
        ("ObjectCreated:Copy", "b"),
        ("ObjectCreated:CompleteMultipartUpload", "m"),
        ("ObjectTagging:Put", "a"),
        ("ObjectTagging:Delete", "a"),
        ("ObjectAcl:Put", "a"),
        ("ObjectRemoved:Delete", "a"),
        ("ObjectRemoved:Delete", "b"),
    ]


def test_a_restoration_begins_and_ends_at_once(news: Fixture) -> None:
    news.notify("s3:ObjectRestore:*")
    news.s3.put_object(Bucket=news.bucket, Key="a", Body=b"x", StorageClass="GLACIER")
    news.s3.restore_object(Bucket=news.bucket, Key="a", RestoreRequest={"Days": 1})
    news.step()
    assert news.told() == [("ObjectRestore:Post", "a"), ("ObjectRestore:Completed", "a")]


def test_versions_and_markers_are_told_apart(news: Fixture) -> None:
    news.s3.put_bucket_versioning(Bucket=news.bucket, VersioningConfiguration={"Status": "Enabled"})
    news.notify()
    version = news.put("a")["VersionId"]
    marker = news.s3.delete_object(Bucket=news.bucket, Key="a")["VersionId"]
    news.s3.delete_object(Bucket=news.bucket, Key="a", VersionId=version)
    news.step()
    records = [message["Records"][0] for message in news.receiver.messages]
    assert [(each["eventName"], each["s3"]["object"]["versionId"]) for each in records] == [
        ("ObjectCreated:Put", version),
        ("ObjectRemoved:DeleteMarkerCreated", marker),
        ("ObjectRemoved:Delete", version),
    ]
    sequencers = [each["s3"]["object"]["sequencer"] for each in records]
    assert sequencers == sorted(set(sequencers))


def test_only_what_was_asked_for_is_told(news: Fixture) -> None:
    rules = [{"Name": "prefix", "Value": "in/"}, {"Name": "Suffix", "Value": ".csv"}]
    news.notify("s3:ObjectCreated:Put", Filter={"Key": {"FilterRules": rules}})
    for key in ("in/a.csv", "in/a.txt", "a.csv"):
        news.put(key)
    news.s3.delete_object(Bucket=news.bucket, Key="in/a.csv")
    news.step()
    assert news.told() == [("ObjectCreated:Put", "in/a.csv")]


def test_a_change_that_is_refused_is_not_told(news: Fixture) -> None:
    news.notify()
    news.put("a")
    with pytest.raises(news.s3.exceptions.ClientError, match="PreconditionFailed"):
        news.s3.put_object(Bucket=news.bucket, Key="a", Body=b"", IfNoneMatch="*")
    assert news.waiting() == 1


def test_what_the_rules_of_the_lifecycle_do_is_told(news: Fixture) -> None:
    news.notify("s3:LifecycleExpiration:*")
    news.put("a")
    rule = {"ID": "r", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}}
    news.s3.put_bucket_lifecycle_configuration(Bucket=news.bucket, LifecycleConfiguration={"Rules": [rule]})
    record = news.platform.records.get("bucket-lifecycle", news.platform.settings.account, "", news.bucket)
    assert record is not None
    BucketLifecycleController(news.platform).step(record, datetime.now(UTC) + timedelta(days=3))
    news.step()
    assert news.told() == [("LifecycleExpiration:Delete", "a")]
    assert news.receiver.messages[0]["Records"][0]["eventVersion"] == "2.3"


def test_a_receiver_that_stumbles_holds_back_the_key_only(news: Fixture) -> None:
    news.notify()
    news.put("a", b"1")
    news.put("a", b"22")
    news.put("b")
    news.receiver.statuses = [500]
    outcome = news.step()
    assert news.told() == [("ObjectCreated:Put", "b")]
    assert outcome.due is not None
    assert timedelta() < outcome.due - news.cloud.clock.now() <= timedelta(seconds=1)
    news.cloud.clock.shift = timedelta(seconds=5)
    news.step()
    sizes = [message["Records"][0]["s3"]["object"]["size"] for message in news.receiver.messages]
    assert sizes == [3, 1, 2]
    assert news.waiting() == 0


def test_a_receiver_that_is_away_is_asked_ever_less(news: Fixture) -> None:
    news.notify()
    news.put("a")
    news.put("b")
    news.destinations.remove(TOPIC)
    pauses = []
    for _ in range(4):
        due = news.step().due
        assert due is not None
        pauses.append(round((due - news.cloud.clock.now()).total_seconds()))
        news.cloud.clock.shift += timedelta(seconds=pauses[-1] + 1)
    assert pauses == [1, 2, 4, 8]
    assert news.waiting() == 2
    news.destinations.put(TOPIC, news.receiver.url, {"Secret": SECRET}, news.cloud.clock.now())
    news.cloud.clock.shift += timedelta(seconds=60)
    assert (news.step().observed, news.told()) == ({}, [("ObjectCreated:Put", "a"), ("ObjectCreated:Put", "b")])


@pytest.mark.parametrize("status", [400, 302])
def test_a_refusal_is_final_and_redirects_are_not_followed(news: Fixture, status: int) -> None:
    news.notify()
    news.put("a")
    news.receiver.statuses = [status]
    news.receiver.location = news.receiver.url
    news.step()
    assert (len(news.receiver.bodies), news.receiver.messages, news.waiting()) == (1, [], 0)


def test_what_nobody_hears_for_a_day_is_dropped(news: Fixture) -> None:
    news.notify()
    news.put("a")
    news.destinations.remove(TOPIC)
    news.step()
    news.cloud.clock.shift = timedelta(hours=25)
    news.step()
    assert news.waiting() == 0


def test_a_message_is_sent_again_when_the_process_died_before_it_was_noted(news: Fixture) -> None:
    news.notify()
    news.put("a")
    before = news.platform.objects.events.pending(news.bucket, f"notify {TOPIC}", 10)
    news.step()
    news.platform.objects.events.add((news.bucket, f"notify {TOPIC}", "a"), before[0].event, before[0].at)
    news.step()
    assert news.receiver.messages[0] == news.receiver.messages[1]


def test_a_bucket_that_notifies_nobody_writes_nothing(news: Fixture) -> None:
    news.put("a")
    assert news.waiting() == 0


def test_parts_of_the_platform_may_subscribe(news: Fixture) -> None:
    now = news.cloud.clock.now()
    account = news.platform.settings.account
    news.platform.records.create(Record("thing", account, "", "woken", "", {}, now, now, due=now + timedelta(days=1)))
    spec = {"Wake": ["thing", account, "", "woken"]}
    news.platform.records.create(Record(SUBSCRIBER, account, "", "rules", "", spec, now, now))
    news.s3.put_bucket_notification_configuration(
        Bucket=news.bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    news.put("a b")
    events = news.platform.objects.events
    assert events.targets(news.bucket, subscriber("")) == [subscriber("rules")]
    pending = events.pending(news.bucket, subscriber("rules"), 10)
    event = pending[0].event
    assert (event["source"], event["detail-type"]) == ("aws.s3", "Object Created")
    assert (event["detail"]["object"]["key"], event["detail"]["reason"]) == ("a b", "PutObject")
    woken = news.platform.records.get("thing", account, "", "woken")
    assert woken is not None
    assert woken.due is not None
    assert woken.due < now + timedelta(hours=1)
    events.done(pending)
    assert events.targets(news.bucket, subscriber("")) == []
