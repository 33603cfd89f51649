from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from clary.controllers.bucket_lifecycle import BucketLifecycleController, next_midnight
from clary.store.objects import lifecycle

if TYPE_CHECKING:
    from clary.store.records import Record
    from tests.cloud import Cloud

LATER = timedelta(days=3)


class Fixture:
    """A bucket, and a controller whose clock is moved."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.s3 = cloud.client("s3")
        self.bucket = f"life-{uuid.uuid4().hex}"
        self.s3.create_bucket(
            Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": self.s3.meta.region_name}
        )

    def rule(self, **rule: Any) -> None:
        rule = {"ID": "r", "Status": "Enabled", "Filter": {}, **rule}
        self.s3.put_bucket_lifecycle_configuration(Bucket=self.bucket, LifecycleConfiguration={"Rules": [rule]})

    def versioned(self) -> None:
        self.s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})

    def put(self, key: str, **more: Any) -> Any:
        return self.s3.put_object(Bucket=self.bucket, Key=key, Body=b"x", **more)

    def record(self) -> Record:
        found = self.cloud.parts.platform.records.get(
            "bucket-lifecycle", self.cloud.parts.platform.settings.account, "", self.bucket
        )
        assert found is not None
        return found

    def step(self, after: timedelta = LATER, record: Record | None = None) -> Record:
        controller = BucketLifecycleController(self.cloud.parts.platform)
        outcome = controller.step(record or self.record(), datetime.now(UTC) + after)
        assert outcome is not None
        return outcome

    def keys(self) -> list[str]:
        return [each["Key"] for each in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])]

    def versions(self) -> tuple[int, int]:
        page = self.s3.list_object_versions(Bucket=self.bucket)
        return len(page.get("Versions", [])), len(page.get("DeleteMarkers", []))


@pytest.fixture
def life(cloud: Cloud) -> Fixture:
    return Fixture(cloud)


def test_objects_expire_when_their_days_are_over(life: Fixture) -> None:
    life.put("tmp/a")
    life.put("kept")
    life.rule(Filter={"Prefix": "tmp/"}, Expiration={"Days": 1})
    life.step(timedelta())
    assert life.keys() == ["kept", "tmp/a"]
    outcome = life.step()
    assert life.keys() == ["kept"]
    assert outcome.observed["LastDone"] == {"Expiration": 1}
    assert life.step().observed["LastDone"] == {}


def test_a_change_is_looked_at_at_once_and_then_every_midnight(life: Fixture) -> None:
    life.rule(Expiration={"Days": 1})
    due = life.record().due
    assert due is not None
    assert due <= life.cloud.clock.now()
    midnight = life.step().due
    assert midnight is not None
    assert (midnight.hour, midnight.minute, midnight.second) == (0, 0, 0)
    assert midnight == next_midnight(datetime.now(UTC) + LATER)


def test_an_object_is_not_expired_by_the_age_of_the_one_it_replaced(life: Fixture) -> None:
    life.cloud.clock.shift = timedelta(minutes=-1)
    life.put("k")
    life.cloud.clock.shift = timedelta()
    platform = life.cloud.parts.platform
    rules = [lifecycle.Rule("r", actions={"Expiration": {"Days": 1}})]
    later = datetime.now(UTC) + LATER
    found = [
        due for _, versions in platform.objects.by_key(life.bucket) for due in lifecycle.due(rules, versions, later)
    ]
    life.put("k")
    bucket = platform.records.by_arn(f"arn:aws:s3:::{life.bucket}")
    assert bucket is not None
    done: dict[str, int] = {}
    BucketLifecycleController(platform)._carry_out(bucket, found, later, done)
    assert (len(found), life.keys(), done) == (1, ["k"], {})


def test_with_versioning_the_current_version_gets_a_marker_and_the_past_ones_go(life: Fixture) -> None:
    life.versioned()
    life.put("k")
    life.put("k")
    life.rule(Expiration={"Days": 1}, NoncurrentVersionExpiration={"NoncurrentDays": 1})
    life.step()
    assert life.versions() == (1, 1)
    life.step(timedelta(days=6))
    assert life.versions() == (0, 1)
    life.step(timedelta(days=9))
    assert life.versions() == (0, 0)


def test_a_locked_version_stays(life: Fixture) -> None:
    life.versioned()
    life.s3.put_object_lock_configuration(Bucket=life.bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
    until = datetime.now(UTC) + timedelta(days=30)
    locked = life.put("k", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until)["VersionId"]
    held = life.put("k", ObjectLockLegalHoldStatus="ON")["VersionId"]
    life.put("k")
    life.put("k")
    life.rule(Expiration={"Days": 1}, NoncurrentVersionExpiration={"NoncurrentDays": 1})
    assert life.step().observed["LastDone"] == {"Expiration": 1, "NoncurrentVersionExpiration": 1}
    life.step(timedelta(days=9))
    left = life.s3.list_object_versions(Bucket=life.bucket)["Versions"]
    assert [each["VersionId"] for each in left] == [held, locked]


def test_a_lonely_marker_goes(life: Fixture) -> None:
    life.versioned()
    life.s3.delete_object(Bucket=life.bucket, Key="k")
    life.rule(Expiration={"ExpiredObjectDeleteMarker": True})
    life.step(timedelta())
    assert life.versions() == (0, 0)


def test_the_storage_class_changes(life: Fixture) -> None:
    life.put("k", Tagging="a=b")
    life.rule(
        Filter={"And": {"Tags": [{"Key": "a", "Value": "b"}], "ObjectSizeLessThan": 10}},
        Transitions=[{"Days": 1, "StorageClass": "GLACIER_IR"}],
    )
    assert life.step().observed["LastDone"] == {"Transition": 1}
    assert life.s3.head_object(Bucket=life.bucket, Key="k")["StorageClass"] == "GLACIER_IR"
    assert life.step().observed["LastDone"] == {}


def test_uploads_are_given_up(life: Fixture) -> None:
    upload = life.s3.create_multipart_upload(Bucket=life.bucket, Key="k")
    life.rule(AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1})
    life.step(timedelta())
    assert len(life.s3.list_multipart_uploads(Bucket=life.bucket)["Uploads"]) == 1
    life.step()
    with pytest.raises(ClientError, match="NoSuchUpload"):
        life.s3.list_parts(Bucket=life.bucket, Key="k", UploadId=upload["UploadId"])


def test_a_pass_goes_on_where_it_was_interrupted(life: Fixture) -> None:
    for number in range(5):
        life.put(f"k{number}")
    life.rule(Expiration={"Days": 1})
    controller = BucketLifecycleController(life.cloud.parts.platform, step_s=0, batch=2)
    later = datetime.now(UTC) + LATER
    first = controller.step(life.record(), later)
    assert first is not None
    assert (first.observed["Cursor"], life.keys(), first.due) == ("k1", ["k2", "k3", "k4"], later)
    # Killed before the outcome was stored, the step is taken again from where it had begun.
    again = controller.step(life.record(), later)
    assert again is not None
    assert (again.observed["Cursor"], life.keys()) == ("k3", ["k4"])
    last = controller.step(again, later)
    assert last is not None
    assert (last.observed["LastDone"], life.keys()) == ({"Expiration": 3}, [])


def test_without_rules_or_bucket_there_is_nothing_to_do(life: Fixture) -> None:
    life.rule(Expiration={"Days": 1})
    record = life.record()
    life.s3.delete_bucket_lifecycle(Bucket=life.bucket)
    assert life.step().due is None
    life.s3.delete_bucket(Bucket=life.bucket)
    controller = BucketLifecycleController(life.cloud.parts.platform)
    assert controller.step(record, datetime.now(UTC)) is None


def test_rules_put_anew_wake_a_bucket_that_had_none(life: Fixture) -> None:
    life.rule(Expiration={"Days": 1})
    life.s3.delete_bucket_lifecycle(Bucket=life.bucket)
    life.cloud.parts.platform.records.update(life.step())
    life.rule(Expiration={"Days": 2})
    assert life.record().due is not None
