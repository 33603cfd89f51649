"""What S3 does by itself goes on after kills, in several processes: nothing is lost, nothing changes its order."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from clary.cli import main
from tests.conftest import short_home
from tests.server import ClaryServer
from tests.webhooks import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOPIC = "arn:aws:sns:us-east-1:000000000000:news"
DEADLINE_S = 60.0
KEYS = 8
WRITES = 15
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClaryServer]:
    own = ClaryServer(short_home(tmp_path_factory), settings={"CLARY_GATEWAYS": "2"})
    own.start()
    yield own
    own.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, "it does not come to hold"
        time.sleep(0.1)


def test_events_replicas_and_expiry_survive_kills(server: ClaryServer, receiver: Receiver) -> None:
    s3 = server.client("s3")
    assert main(["destination", "put", TOPIC, receiver.url, "--home", str(server.home)]) == 0
    prepare(server, s3)
    written = write(s3)
    server.kill()
    server.start()
    s3 = server.client("s3")
    eventually(lambda: {told(message) for message in receiver.messages} >= set(written))
    server.kill()
    server.start()
    s3 = server.client("s3")
    eventually(lambda: versions(s3, "replica") == versions(s3, "source"))
    in_order(receiver, written)
    yesterday = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    rule = {"ID": "r", "Status": "Enabled", "Filter": {}, "Expiration": {"Date": yesterday}}
    s3.put_bucket_lifecycle_configuration(Bucket="replica", LifecycleConfiguration={"Rules": [rule]})
    server.kill()
    server.start()
    s3 = server.client("s3")
    eventually(lambda: "Contents" not in s3.list_objects_v2(Bucket="replica"))
    assert len(s3.list_object_versions(Bucket="replica")["DeleteMarkers"]) == KEYS


def prepare(server: ClaryServer, s3: Any) -> None:
    """Two buckets with versions, one replicated to the other and told of."""
    iam = server.client("iam")
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=json.dumps(ALL))
    for bucket in ("source", "replica"):
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    topic = {"TopicArn": TOPIC, "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(
        Bucket="source", NotificationConfiguration={"TopicConfigurations": [topic]}
    )
    rule = {
        "Status": "Enabled", "Priority": 1, "Filter": {}, "DeleteMarkerReplication": {"Status": "Enabled"},
        "Destination": {"Bucket": "arn:aws:s3:::replica"},
    }  # fmt: skip
    s3.put_bucket_replication(Bucket="source", ReplicationConfiguration={"Role": role, "Rules": [rule]})


def write(s3: Any) -> list[tuple[str, str]]:
    """Writes to several keys at the same time; tells keys and versions."""

    def write_one(key: str) -> list[tuple[str, str]]:
        return [
            (key, s3.put_object(Bucket="source", Key=key, Body=f"{key} {number}".encode())["VersionId"])
            for number in range(WRITES)
        ]

    with ThreadPoolExecutor(4) as pool:
        return [each for found in pool.map(write_one, [f"k{number}" for number in range(KEYS)]) for each in found]


def versions(s3: Any, bucket: str) -> list[tuple[str, str]]:
    found = s3.list_object_versions(Bucket=bucket).get("Versions", [])
    return [(each["Key"], each["VersionId"]) for each in found]


def told(message: dict[str, Any]) -> tuple[str, str]:
    subject = message.get("Records", [{}])[0].get("s3", {}).get("object", {})
    return subject.get("key", ""), subject.get("versionId", "")


def in_order(receiver: Receiver, written: list[tuple[str, str]]) -> None:
    """What came first time, came in the order of the writes."""
    first: dict[str, list[str]] = defaultdict(list)
    for key, version in map(told, receiver.messages):
        if key and version not in first[key]:
            first[key].append(version)
    wanted: dict[str, list[str]] = defaultdict(list)
    for key, version in written:
        wanted[key].append(version)
    assert first == wanted
