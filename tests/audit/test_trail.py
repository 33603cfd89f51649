from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from botocore.exceptions import ClientError

from clary.audit.trail import INTERNAL
from clary.http import BytesBody, Request
from clary.store.audit import Event, Search
from tests.audit.test_usage import IMAGE
from tests.audit.world import allow, bucket, event_of, role, user
from tests.cloud import Cloud
from tests.controllers.test_identity import Job

if TYPE_CHECKING:
    from pathlib import Path


def test_a_call_is_kept_with_who_what_and_the_answer(cloud: Cloud) -> None:
    answer = cloud.client("iam").create_user(UserName="ada", Tags=[{"Key": "team", "Value": "a"}])
    event = event_of(cloud, answer)
    assert (event.who.kind, event.who.account) == ("root", "123456789012")
    assert event.who.key == cloud.root["aws_access_key_id"]
    assert (event.service, event.operation, event.region, event.status) == ("iam", "CreateUser", "eu-west-1", 200)
    assert event.request == {"userName": "ada", "tags": [{"key": "team", "value": "a"}]}
    assert event.response
    assert event.response["user"]["userName"] == "ada"
    assert event.resources == ["arn:aws:iam::123456789012:user/ada"]
    assert "Botocore" in event.agent
    assert event.management
    assert not event.read_only


def test_an_error_is_kept_with_its_code_and_message(cloud: Cloud) -> None:
    with pytest.raises(ClientError) as caught:
        cloud.client("iam").get_user(UserName="nobody")
    event = event_of(cloud, caught.value.response)
    assert (event.code, event.status, event.response) == ("NoSuchEntity", 404, None)
    assert event.message == "The user with name nobody cannot be found."


def test_an_unknown_key_is_kept_as_it_was_claimed(cloud: Cloud) -> None:
    keys = {"AccessKeyId": "AKIA" + "X" * 16, "SecretAccessKey": "y" * 40}
    with pytest.raises(ClientError) as caught:
        cloud.client("iam", keys).list_users()
    event = event_of(cloud, caught.value.response)
    assert (event.who.key, event.who.arn, event.code) == (keys["AccessKeyId"], "", "InvalidClientTokenId")
    assert event.operation == "ListUsers"


def test_a_role_that_the_platform_takes_on_has_events_of_its_own(cloud: Cloud) -> None:
    began = datetime.now(UTC)
    bucket(cloud)
    arn = role(cloud, "worker", {"Service": "sagemaker.amazonaws.com"}, allow("s3:GetObject"))
    container = {"Image": IMAGE, "ModelDataUrl": "s3://data/a/x.csv"}
    answer = cloud.client("sagemaker").create_model(ModelName="m", ExecutionRoleArn=arn, PrimaryContainer=container)
    (head,) = found(cloud, entity=arn, since=began)
    assert (head.operation, head.ip, head.who.username) == ("HeadObject", INTERNAL, "SageMaker")
    assert head.resources == ["arn:aws:s3:::data/a/x.csv"]
    caller = event_of(cloud, answer)
    assert head.id != caller.id
    assert [check["action"] for check in caller.checks] == ["sagemaker:CreateModel", "iam:PassRole"]


def test_credentials_that_a_job_gets_are_told(cloud: Cloud) -> None:
    began = datetime.now(UTC)
    told = Job(cloud).ask()[1]
    (event,) = found(cloud, operation="AssumeRole", since=began)
    assert (event.who.kind, event.who.name) == ("service", "sagemaker.amazonaws.com")
    assert event.request["roleSessionName"] == "SageMaker"
    assert event.response
    assert event.response["credentials"]["accessKeyId"] == told["AccessKeyId"]
    assert told["SecretAccessKey"] not in str(event)
    assert told["Token"] not in str(event)


def test_the_signer_of_a_form_is_the_caller(cloud: Cloud) -> None:
    began = datetime.now(UTC)
    bucket(cloud)
    form = cloud.client("s3", user(cloud, "ada", allow("s3:PutObject"))).generate_presigned_post("data", "up")
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{form["fields"][name]}' for name in form["fields"]
    ]
    parts.append('--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nbytes\r\n--b--\r\n')
    headers = {"content-type": "multipart/form-data; boundary=b", "host": "127.0.0.1:4100"}
    http = Request("POST", "/data", "", headers, BytesBody("\r\n".join(parts).encode()))
    assert cloud._runner.run(cloud.parts.gateway.handle(http)).status == 204
    (event,) = found(cloud, operation="PostObject", since=began)
    assert event.who.name == "ada"
    assert event.resources == ["arn:aws:s3:::data/up"]


def test_a_request_that_means_nothing_is_kept_too(cloud: Cloud) -> None:
    http = Request("POST", "/", "", {"x-amz-target": "Nonsense.Nothing", "host": "x"}, BytesBody(b"{}"))
    response = cloud._runner.run(cloud.parts.gateway.handle(http))
    (event,) = found(cloud, limit=1)
    assert event.id in {value for name, value in response.headers.items() if name.lower().startswith("x-amz")}
    assert (event.operation, event.status) == ("", response.status)


def test_every_key_of_a_deletion_is_told(cloud: Cloud) -> None:
    s3 = bucket(cloud)
    keys = [{"Key": f"k{number}"} for number in range(120)]
    answer = s3.delete_objects(Bucket="data", Delete={"Objects": keys})
    assert event_of(cloud, answer).resources == [f"arn:aws:s3:::data/{each['Key']}" for each in keys]


def test_data_events_may_be_left_out(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, botocore.session.Session(), audit="management")
    cloud.empty()
    bucket(cloud)
    assert {event.operation for event in found(cloud)} == {"CreateBucket"}
    cloud.close()


def test_a_log_that_cannot_be_written_stops_nobody(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    assert cloud.client("s3").list_buckets()["Buckets"] == []
    monkeypatch.undo()
    cloud.client("s3").list_buckets()
    found(cloud)
    folder = cloud.parts.platform.settings.home / "audit"
    assert any(b'{"lost":1}' in path.read_bytes() for path in folder.glob("*.log"))


def found(cloud: Cloud, **wanted: Any) -> list[Event]:
    return list(cloud.parts.platform.audit.search(Search(**wanted)).events)
