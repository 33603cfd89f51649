from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from clary.controllers.bucket_logging import BucketLoggingController
from clary.controllers.storage_metrics import StorageMetricsController, begin
from tests.services.s3.conftest import error_of

if TYPE_CHECKING:
    from clary.store.records import Record
    from tests.cloud import Cloud

FIELD = re.compile(r'\[[^\]]*\]|"(?:[^"\\]|\\.)*"|\S+')


class Fixture:
    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.platform = cloud.parts.platform
        self.s3 = cloud.client("s3")
        self.source, self.target = self.bucket(), self.bucket()

    def bucket(self) -> str:
        name = f"watch-{uuid.uuid4().hex}"
        location = {"LocationConstraint": self.s3.meta.region_name}
        self.s3.create_bucket(Bucket=name, CreateBucketConfiguration=location)
        return name

    def log(self, **more: Any) -> None:
        enabled = {"TargetBucket": self.target, "TargetPrefix": "logs/", **more}
        self.s3.put_bucket_logging(Bucket=self.source, BucketLoggingStatus={"LoggingEnabled": enabled})

    def deliver(self) -> Record:
        self.cloud.parts.watch.flush()
        record = self.platform.records.get("bucket-logging", self.platform.settings.account, "", self.source)
        assert record is not None
        outcome = self.cloud.in_thread(BucketLoggingController(self.platform).step, record, self.cloud.clock.now())
        assert outcome is not None
        return outcome  # type: ignore[no-any-return]

    def lines(self) -> list[list[str]]:
        found = []
        for each in self.s3.list_objects_v2(Bucket=self.target).get("Contents", []):
            text = self.s3.get_object(Bucket=self.target, Key=each["Key"])["Body"].read().decode()
            found += [FIELD.findall(line) for line in text.splitlines()]
        return found


@pytest.fixture
def watch(cloud: Cloud) -> Fixture:
    return Fixture(cloud)


def test_logs_are_delivered_in_the_format_of_aws(watch: Fixture) -> None:
    watch.log()
    put = watch.s3.put_object(Bucket=watch.source, Key="a b/ü", Body=b"xyz")
    watch.s3.get_object(Bucket=watch.source, Key="a b/ü", Range="bytes=0-1")
    error_of(watch.s3.get_object, Bucket=watch.source, Key="none")
    watch.s3.list_objects_v2(Bucket=watch.source)
    due = watch.deliver().due
    assert due is not None
    lines = {line[6]: line for line in watch.lines() if line[6] != "REST.PUT.LOGGING"}
    names = ["REST.GET.BUCKET", "REST.GET.OBJECT", "REST.PUT.OBJECT"]
    assert sorted(lines) == names
    line = lines["REST.PUT.OBJECT"]
    assert len(line) == 26
    assert line[:2] == [f"{123456789012:064x}", watch.source]
    assert datetime.strptime(line[2], "[%d/%b/%Y:%H:%M:%S %z]") <= watch.cloud.clock.now()
    assert line[3:6] == ["127.0.0.1", f"{123456789012:064x}", put["ResponseMetadata"]["RequestId"]]
    assert (line[7], line[9], line[10], line[12]) == ("a%2520b/%25C3%25BC", "200", "-", "3")
    assert line[8].startswith(f'"PUT /{watch.source}/a%20b/%C3%BC')
    assert line[19:22] == ["SigV4", "-", "AuthHeader"]
    gets = [line for line in watch.lines() if line[6] == "REST.GET.OBJECT"]
    assert [(each[9], each[10], each[11]) for each in gets] == [("206", "-", "2"), ("404", "NoSuchKey", gets[1][11])]
    assert gets[0][12] == "3"


def test_log_objects_are_named_as_asked(watch: Fixture) -> None:
    watch.log(TargetObjectKeyFormat={"PartitionedPrefix": {"PartitionDateSource": "DeliveryTime"}})
    watch.s3.head_bucket(Bucket=watch.source)
    watch.deliver()
    key = watch.s3.list_objects_v2(Bucket=watch.target)["Contents"][0]["Key"]
    place = f"logs/123456789012/eu-west-1/{watch.source}"
    assert re.fullmatch(place + r"/\d{4}/\d\d/\d\d/\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-[0-9A-F]{16}", key)


def test_a_bucket_without_logging_leaves_no_lines(watch: Fixture) -> None:
    watch.log()
    told = watch.s3.get_bucket_logging(Bucket=watch.source)["LoggingEnabled"]
    assert told == {"TargetBucket": watch.target, "TargetPrefix": "logs/"}
    watch.s3.put_bucket_logging(Bucket=watch.source, BucketLoggingStatus={})
    assert "LoggingEnabled" not in watch.s3.get_bucket_logging(Bucket=watch.source)
    watch.s3.put_object(Bucket=watch.source, Key="k", Body=b"")
    assert watch.deliver().due is None
    assert watch.lines() == []


def test_lines_cannot_be_forged(watch: Fixture) -> None:
    watch.log()
    watch.s3.meta.events.register(
        "before-send.s3.HeadBucket",
        lambda request, **_: request.headers.__setitem__("Referer", 'x" 200 \\'),  # the header of an attacker
    )
    watch.s3.head_bucket(Bucket=watch.source)
    watch.deliver()
    lines = [line for line in watch.lines() if line[6] == "REST.HEAD.BUCKET"]
    assert all(len(line) == 26 for line in lines)


def test_a_target_must_be_there(watch: Fixture) -> None:
    enabled = {"TargetBucket": "nowhere", "TargetPrefix": ""}
    error = error_of(watch.s3.put_bucket_logging, Bucket=watch.source, BucketLoggingStatus={"LoggingEnabled": enabled})
    assert (error["Code"], error["Message"]) == (
        "InvalidTargetBucketForLogging",
        "The target bucket for logging does not exist",
    )


def metrics(watch: Fixture, name: str, filter_: str = "all") -> list[float]:
    now = datetime.now(UTC)
    points = watch.cloud.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/S3", MetricName=name, StartTime=now - timedelta(hours=1), EndTime=now + timedelta(hours=1),
        Period=3600, Statistics=["Sum"],
        Dimensions=[{"Name": "BucketName", "Value": watch.source}, {"Name": "FilterId", "Value": filter_}],
    )["Datapoints"]  # fmt: skip
    return [sum(point["Sum"] for point in points)] if points else []


def test_requests_are_counted_for_each_configuration(watch: Fixture) -> None:
    for name, filter_ in (("all", None), ("in", {"Prefix": "in/"})):
        configuration = {"Id": name, **({"Filter": filter_} if filter_ else {})}
        watch.s3.put_bucket_metrics_configuration(Bucket=watch.source, Id=name, MetricsConfiguration=configuration)
    watch.s3.put_object(Bucket=watch.source, Key="in/a", Body=b"xyz")
    watch.s3.get_object(Bucket=watch.source, Key="in/a")
    error_of(watch.s3.get_object, Bucket=watch.source, Key="none")
    watch.s3.list_objects_v2(Bucket=watch.source)
    watch.cloud.parts.watch.flush()
    assert metrics(watch, "GetRequests") == [2]
    assert metrics(watch, "ListRequests") == [1]
    assert metrics(watch, "4xxErrors") == [1]
    assert metrics(watch, "5xxErrors") == [0]
    assert metrics(watch, "GetRequests", "in") == [1]
    assert metrics(watch, "BytesDownloaded", "in") == [3]
    assert metrics(watch, "BytesUploaded", "in") == [3]
    assert metrics(watch, "FirstByteLatency") != []


def test_the_bytes_of_objects_in_files_count_too(watch: Fixture) -> None:
    watch.s3.put_bucket_metrics_configuration(Bucket=watch.source, Id="all", MetricsConfiguration={"Id": "all"})
    watch.s3.put_object(Bucket=watch.source, Key="big", Body=bytes(100_000))
    watch.s3.get_object(Bucket=watch.source, Key="big")["Body"].read()
    watch.cloud.parts.watch.flush()
    assert metrics(watch, "BytesDownloaded") == [100_000]


def test_metrics_configurations_are_told_until_they_are_deleted(watch: Fixture) -> None:
    s3, bucket = watch.s3, watch.source
    for number in range(101):
        name = f"{number:03}"
        s3.put_bucket_metrics_configuration(Bucket=bucket, Id=name, MetricsConfiguration={"Id": name})
    first = s3.list_bucket_metrics_configurations(Bucket=bucket)
    assert (len(first["MetricsConfigurationList"]), first["IsTruncated"]) == (100, True)
    token = first["NextContinuationToken"]
    rest = s3.list_bucket_metrics_configurations(Bucket=bucket, ContinuationToken=token)
    assert [each["Id"] for each in rest["MetricsConfigurationList"]] == ["100"]
    assert s3.get_bucket_metrics_configuration(Bucket=bucket, Id="007")["MetricsConfiguration"] == {"Id": "007"}
    s3.delete_bucket_metrics_configuration(Bucket=bucket, Id="007")
    error = error_of(s3.get_bucket_metrics_configuration, Bucket=bucket, Id="007")
    assert (error["Code"], error["Status"]) == ("NoSuchConfiguration", 404)


def test_what_buckets_hold_is_measured_once_a_day(watch: Fixture) -> None:
    begin(watch.platform)
    begin(watch.platform)
    record = watch.platform.records.get("storage-metrics", watch.platform.settings.account, "", "daily")
    assert record is not None
    watch.s3.put_object(Bucket=watch.source, Key="a", Body=b"xyz")
    watch.s3.put_object(Bucket=watch.source, Key="b", Body=b"x")
    controller = StorageMetricsController(watch.platform)
    now = watch.cloud.clock.now()
    controller.step(controller.step(record, now), now)
    points = watch.cloud.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/S3", MetricName="BucketSizeBytes", StartTime=now - timedelta(days=2), EndTime=now, Period=86400,
        Statistics=["Sum"],
        Dimensions=[
            {"Name": "BucketName", "Value": watch.source}, {"Name": "StorageType", "Value": "StandardStorage"},
        ],
    )["Datapoints"]  # fmt: skip
    assert [point["Sum"] for point in points] == [4]
