from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from clary.controllers.bucket_replication import BucketReplicationController
from clary.destinations import Destinations

if TYPE_CHECKING:
    from clary.store.records import Record
    from tests.cloud import Cloud
    from tests.conftest import Client
    from tests.server import ClaryServer

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


class Fixture:
    """A bucket with versions that is replicated to another one, and the controller that does it."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.platform = cloud.parts.platform
        self.s3 = cloud.client("s3")
        self.iam = cloud.client("iam")
        self.role = self.iam.create_role(RoleName="replicator", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"][
            "Arn"
        ]
        self.allow(ALL)
        self.source, self.target = self.bucket(), self.bucket()

    def allow(self, policy: dict[str, Any]) -> None:
        self.iam.put_role_policy(RoleName="replicator", PolicyName="p", PolicyDocument=json.dumps(policy))

    def bucket(self) -> str:
        name = f"copy-{uuid.uuid4().hex}"
        location = {"LocationConstraint": self.s3.meta.region_name}
        self.s3.create_bucket(Bucket=name, CreateBucketConfiguration=location)
        self.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def rule(self, **members: Any) -> dict[str, Any]:
        return {
            "ID": "r", "Status": "Enabled", "Priority": 1, "Filter": {},
            "DeleteMarkerReplication": {"Status": "Enabled"},
            "Destination": {"Bucket": f"arn:aws:s3:::{self.target}"}, **members,
        }  # fmt: skip

    def replicate(self, *rules: dict[str, Any]) -> None:
        self.s3.put_bucket_replication(
            Bucket=self.source,
            ReplicationConfiguration={"Role": self.role, "Rules": list(rules) or [self.rule()]},
        )

    def put(self, key: str, body: bytes = b"xyz", **more: Any) -> Any:
        return self.s3.put_object(Bucket=self.source, Key=key, Body=body, **more)

    def step(self) -> Record:
        account = self.platform.settings.account
        record = self.platform.records.get("bucket-replication", account, "", self.source)
        assert record is not None
        outcome = BucketReplicationController(self.platform).step(record, self.cloud.clock.now())
        assert outcome is not None
        return self.platform.records.update(outcome)

    def status(self, key: str, bucket: str = "") -> str | None:
        status: str | None = self.s3.head_object(Bucket=bucket or self.source, Key=key).get("ReplicationStatus")
        return status

    def versions(self, bucket: str) -> list[tuple[str, str]]:
        page = self.s3.list_object_versions(Bucket=bucket)
        return [(each["Key"], each["VersionId"]) for each in page.get("Versions", [])]


@pytest.fixture
def pair(cloud: Cloud) -> Fixture:
    return Fixture(cloud)


def test_an_object_is_replicated_with_all_that_is_said_of_it(pair: Fixture) -> None:
    pair.replicate()
    put = pair.put("k", ContentType="text/x", Metadata={"a": "b"}, Tagging="t=1")
    assert pair.status("k") == "PENDING"
    pair.step()
    assert (pair.status("k"), pair.status("k", pair.target)) == ("COMPLETED", "REPLICA")
    got = pair.s3.get_object(Bucket=pair.target, Key="k")
    assert (got["Body"].read(), got["ContentType"], got["Metadata"]) == (b"xyz", "text/x", {"a": "b"})
    assert (got["VersionId"], got["ETag"], got["TagCount"]) == (put["VersionId"], put["ETag"], 1)
    assert got["LastModified"] == pair.s3.head_object(Bucket=pair.source, Key="k")["LastModified"]


def test_versions_keep_their_order_and_pages_of_them_join(pair: Fixture) -> None:
    pair.replicate()
    for number in range(5):
        pair.s3.put_object(Bucket=pair.target, Key="k", Body=b"own")
        pair.put("k", str(number).encode())
    pair.step()
    theirs = pair.versions(pair.target)
    assert [each for each in theirs if each in pair.versions(pair.source)] == pair.versions(pair.source)
    assert pair.s3.get_object(Bucket=pair.target, Key="k")["Body"].read() == b"4"
    pages = pair.s3.get_paginator("list_object_versions").paginate(Bucket=pair.target, PaginationConfig={"PageSize": 1})
    assert [(each["Key"], each["VersionId"]) for page in pages for each in page["Versions"]] == theirs


def test_a_multipart_object_keeps_its_etag(pair: Fixture) -> None:
    pair.replicate()
    upload = pair.s3.create_multipart_upload(Bucket=pair.source, Key="m")["UploadId"]
    part = pair.s3.upload_part(Bucket=pair.source, Key="m", UploadId=upload, PartNumber=1, Body=b"x" * 100_000)
    pair.s3.complete_multipart_upload(
        Bucket=pair.source, Key="m", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )  # fmt: skip
    pair.step()
    heads = [pair.s3.head_object(Bucket=bucket, Key="m") for bucket in (pair.source, pair.target)]
    assert heads[0]["ETag"] == heads[1]["ETag"]
    assert heads[1]["ContentLength"] == 100_000


def test_a_delete_marker_follows_and_a_deleted_version_does_not(pair: Fixture) -> None:
    pair.replicate()
    version = pair.put("k")["VersionId"]
    pair.s3.delete_object(Bucket=pair.source, Key="k")
    pair.step()
    assert len(pair.s3.list_object_versions(Bucket=pair.target)["DeleteMarkers"]) == 1
    pair.s3.delete_object(Bucket=pair.source, Key="k", VersionId=version)
    pair.step()
    assert pair.versions(pair.target) == [("k", version)]


def test_tags_follow(pair: Fixture) -> None:
    pair.replicate()
    pair.put("k")
    pair.s3.put_object_tagging(Bucket=pair.source, Key="k", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    pair.step()
    assert pair.s3.get_object_tagging(Bucket=pair.target, Key="k")["TagSet"] == [{"Key": "a", "Value": "b"}]


def test_rules_choose_and_may_change_the_storage_class(pair: Fixture) -> None:
    destination = {"Bucket": f"arn:aws:s3:::{pair.target}", "StorageClass": "STANDARD_IA"}
    tagged = {"And": {"Prefix": "in/", "Tags": [{"Key": "a", "Value": "b"}]}}
    off = {"DeleteMarkerReplication": {"Status": "Disabled"}}
    pair.replicate(pair.rule(Filter=tagged, Destination=destination, **off))
    pair.put("in/a", Tagging="a=b")
    pair.put("in/b")
    pair.put("a", Tagging="a=b")
    pair.step()
    assert [key for key, _ in pair.versions(pair.target)] == ["in/a"]
    assert pair.s3.head_object(Bucket=pair.target, Key="in/a")["StorageClass"] == "STANDARD_IA"
    assert pair.status("in/b") is None


def test_a_replica_is_not_replicated_further_nor_is_a_copy_one(pair: Fixture) -> None:
    pair.replicate()
    back = pair.rule(Destination={"Bucket": f"arn:aws:s3:::{pair.source}"})
    pair.s3.put_bucket_replication(Bucket=pair.target, ReplicationConfiguration={"Role": pair.role, "Rules": [back]})
    pair.put("k")
    pair.step()
    assert pair.status("k", pair.target) == "REPLICA"
    other = pair.bucket()
    pair.s3.copy_object(Bucket=other, Key="k", CopySource=f"{pair.source}/k")
    assert pair.status("k", other) is None


@pytest.mark.parametrize("missing", ["s3:GetObjectVersionForReplication", "s3:ReplicateObject"])
def test_what_the_role_may_not_do_fails(pair: Fixture, missing: str) -> None:
    pair.replicate()
    deny = {"Effect": "Deny", "Action": missing, "Resource": "*"}
    pair.allow({**ALL, "Statement": [*ALL["Statement"], deny]})
    pair.put("k")
    pair.step()
    assert (pair.status("k"), pair.versions(pair.target)) == ("FAILED", [])


def test_a_role_that_s3_may_not_take_on_fails(pair: Fixture) -> None:
    pair.replicate()
    other = json.dumps(TRUST).replace("s3.", "ec2.")
    pair.iam.update_assume_role_policy(RoleName="replicator", PolicyDocument=other)
    pair.put("k")
    pair.step()
    assert pair.status("k") == "FAILED"


def test_a_crash_in_between_makes_no_second_replica(pair: Fixture) -> None:
    pair.replicate()
    pair.put("k")
    events = pair.platform.objects.events
    target = f"replicate arn:aws:s3:::{pair.target}"
    event = events.pending(pair.source, target, 1)[0]
    pair.step()
    events.add((pair.source, target, "k"), event.event, event.at)
    pair.step()
    assert len(pair.versions(pair.target)) == 1


@pytest.fixture
def elsewhere(server: ClaryServer, client: Client, pair: Fixture) -> Any:
    """A bucket at the shared server, registered as a destination."""
    s3 = client("s3")
    name = f"elsewhere-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    key, secret = server.keys
    pair.target = name
    register(pair, server.endpoint, {"AccessKeyId": key, "SecretAccessKey": secret, "Region": "us-east-1"})
    return s3


def register(pair: Fixture, url: str, secrets: dict[str, str]) -> None:
    destinations = Destinations(pair.platform.records, pair.platform.keyring, pair.platform.settings.account)
    destinations.put(f"arn:aws:s3:::{pair.target}", url, secrets, pair.cloud.clock.now())


def test_objects_are_sent_to_another_endpoint(pair: Fixture, elsewhere: Any) -> None:
    pair.replicate()
    content = bytes(range(256)) * 10_000
    pair.put("a b/ü", content, ContentType="text/x", Metadata={"m": "n"}, Tagging="t=1")
    pair.put("small", b"")
    pair.put("gone")
    pair.s3.put_object_tagging(Bucket=pair.source, Key="small", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    pair.s3.delete_object(Bucket=pair.source, Key="gone")
    pair.step()
    got = elsewhere.get_object(Bucket=pair.target, Key="a b/ü")
    assert (got["Body"].read() == content, got["ContentType"], got["Metadata"]) == (True, "text/x", {"m": "n"})
    assert elsewhere.get_object_tagging(Bucket=pair.target, Key="small")["TagSet"] == [{"Key": "a", "Value": "b"}]
    page = elsewhere.list_object_versions(Bucket=pair.target)
    assert [each["Key"] for each in page["DeleteMarkers"]] == ["gone"]
    assert pair.status("a b/ü") == "COMPLETED"


def test_an_endpoint_that_refuses_fails_and_one_that_is_away_is_waited_for(
    pair: Fixture, server: ClaryServer, elsewhere: Any
) -> None:
    pair.replicate()
    keys = {"AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "SecretAccessKey": "x", "Region": "us-east-1"}
    register(pair, "http://127.0.0.1:9", keys)
    pair.put("k")
    outcome = pair.step()
    assert outcome.due is not None
    assert outcome.due - pair.cloud.clock.now() <= timedelta(seconds=1)
    assert pair.status("k") == "PENDING"
    pair.cloud.clock.shift = timedelta(seconds=5)
    register(pair, server.endpoint, keys)
    pair.step()
    assert pair.status("k") == "FAILED"


def test_after_a_day_a_replica_has_failed(pair: Fixture) -> None:
    pair.target = "nowhere"
    register(pair, "http://127.0.0.1:9", {"AccessKeyId": "A", "SecretAccessKey": "x", "Region": "us-east-1"})
    pair.replicate()
    pair.put("k")
    pair.cloud.clock.shift = timedelta(hours=25)
    pair.step()
    pair.cloud.clock.shift = timedelta()
    assert pair.status("k") == "FAILED"


def test_versioning_stays_while_a_bucket_is_replicated(pair: Fixture) -> None:
    pair.replicate()
    with pytest.raises(ClientError, match="InvalidBucketState"):
        pair.s3.put_bucket_versioning(Bucket=pair.source, VersioningConfiguration={"Status": "Suspended"})
    pair.s3.delete_bucket_replication(Bucket=pair.source)
    pair.s3.put_bucket_versioning(Bucket=pair.source, VersioningConfiguration={"Status": "Suspended"})
