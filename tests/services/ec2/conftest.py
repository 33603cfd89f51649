from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from clary.controllers.instance import InstanceController
from tests.controllers.by_hand import BackendByHand

if TYPE_CHECKING:
    from tests.cloud import Cloud

ACCOUNT = "123456789012"
REGION = "eu-west-1"
TRUST_EC2 = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
)


class Instances:
    """EC2 of a cloud whose instances run by hand."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.ec2 = cloud.client("ec2")
        self.backend = BackendByHand()
        self.controller = InstanceController(cloud.parts.platform, self.backend)
        self.image: str = self.ec2.describe_images()["Images"][0]["ImageId"]

    def settle(self) -> None:
        """Does what the loop would until nothing is due."""
        platform = self.cloud.parts.platform
        while leased := platform.records.lease(platform.clock.now(), 60, 10):
            for record in leased:
                outcome = self.controller.step(record, platform.clock.now())
                if outcome is None:
                    platform.records.delete(record)
                else:
                    platform.records.apply(outcome)

    def later(self, seconds: float) -> None:
        """Lets time pass, and what follows from it happen."""
        for step in (0, seconds, 1):
            self.cloud.clock.shift += timedelta(seconds=step)
            self.settle()

    def run(self, **more: Any) -> str:
        """An instance that runs."""
        asked = {"ImageId": self.image, "InstanceType": "t3.small", "MinCount": 1, "MaxCount": 1, **more}
        name: str = self.ec2.run_instances(**asked)["Instances"][0]["InstanceId"]
        self.later(1)
        return name

    def describe(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ec2.describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"][0]
        return found

    def state(self, name: str) -> str:
        return str(self.describe(name)["State"]["Name"])

    def workload(self, name: str) -> str:
        return f"instance/{ACCOUNT}/{REGION}/{name}"


@pytest.fixture
def instances(cloud: Cloud) -> Instances:
    return Instances(cloud)


@pytest.fixture
def ec2(cloud: Cloud) -> Any:
    """EC2 as the root user has it."""
    return cloud.client("ec2")


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    """Code and message with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]
