from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from clary.auth.workloads import SECRET
from clary.controllers.identity import PREFIX, CredentialsPage
from clary.http import BytesBody, Request
from clary.store.records import Record

if TYPE_CHECKING:
    from tests.cloud import Cloud

ACCOUNT = "123456789012"
TRUST = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"},
}


class Job:
    """A training job that asks for the credentials of its role."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        role = cloud.client("iam").create_role(RoleName="worker", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
        now = cloud.clock.now()
        record = Record("training-job", ACCOUNT, "eu-west-1", "job", "", {"RoleArn": role["Arn"]}, now, now)
        record.status, record.observed = "InProgress", {SECRET: "password"}
        self.record = cloud.parts.platform.records.create(record)

    def ask(self, password: str = "password") -> tuple[int, Any]:
        path = f"{PREFIX}training-job/{ACCOUNT}/eu-west-1/job"
        http = Request("GET", path, "", {"authorization": password}, BytesBody(b""))
        response = asyncio.run(CredentialsPage(self.cloud.parts.platform)(http))
        assert isinstance(response.body, bytes)
        return response.status, json.loads(response.body)

    def client(self) -> Any:
        status, told = self.ask()
        assert status == 200
        return self.cloud.client("sts", {**told, "SessionToken": told["Token"]})


@pytest.fixture
def job(cloud: Cloud) -> Job:
    return Job(cloud)


def test_credentials_are_for_those_who_know_the_password(job: Job) -> None:
    arn = job.client().get_caller_identity()["Arn"]
    assert arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/SageMaker"
    assert job.ask("guess")[0] == 403


def test_credentials_are_of_no_use_after_the_job(job: Job) -> None:
    sts = job.client()
    assert sts.get_caller_identity()
    job.cloud.parts.platform.records.update(replace(job.record, status="Completed"))
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        sts.get_caller_identity()
