from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from clary.cli import main

if TYPE_CHECKING:
    from tests.conftest import Client
    from tests.server import ClaryServer


@pytest.fixture
def run(server: ClaryServer, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> tuple[int, list[str], str]:
        status = main(["lifecycle", "--home", str(server.home), *arguments])
        told = capsys.readouterr()
        return status, told.out.splitlines(), told.err

    return run


def test_what_is_due_is_told_and_done(run: Any, client: Client) -> None:
    s3, bucket = client("s3"), f"life-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="tmp/a", Body=b"x")
    s3.put_object(Bucket=bucket, Key="kept", Body=b"x")
    assert run(bucket, "--now")[::2] == (1, f"clary: the bucket {bucket} has no lifecycle rules that are enabled\n")
    ahead = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=3)
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Date": ahead}}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    assert run(bucket, "--dry-run") == (0, ["nothing is due"], "")
    assert json.loads(run(bucket, "--now", "--json")[1][0]).keys() == {"Finished"}
    s3.delete_bucket_lifecycle(Bucket=bucket)
    # What lies in the past may be done at any moment, so the order of these two tells nothing of the clock.
    rule["Expiration"] = {"Date": ahead - timedelta(days=9)}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    run(bucket, "--now")
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["kept"]


def test_a_dry_run_tells_actions_and_rules(run: Any, client: Client) -> None:
    s3, bucket = client("s3"), f"life-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=bucket)
    rule = {"ID": "r", "Status": "Disabled", "Filter": {}, "Expiration": {"Days": 1}}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    assert run(bucket, "--dry-run") == (0, ["nothing is due"], "")


def test_there_must_be_such_a_bucket(run: Any) -> None:
    assert run("nowhere", "--dry-run") == (1, [], "clary: there is no bucket nowhere\n")
