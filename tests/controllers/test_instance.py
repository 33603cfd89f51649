from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from clary import instance_folder
from clary.compute.base import Observation
from clary.http import BytesBody, Request, Response
from tests.services.ec2.conftest import TRUST_EC2, Instances, instances

if TYPE_CHECKING:
    from clary.instance_folder import InstanceFolder
    from tests.cloud import Cloud

__all__ = ["instances"]

TTL = "x-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "x-aws-ec2-metadata-token"


def folder(instances: Instances, name: str) -> InstanceFolder:
    return instance_folder.of(instances.cloud.parts.platform.settings.home, name)


def console(instances: Instances, name: str) -> str:
    return str(instances.ec2.get_console_output(InstanceId=name)["Output"])


def test_an_instance_gets_what_its_type_has(instances: Instances) -> None:
    name = instances.run(UserData="#!/bin/sh\necho hello\n")
    (workload,) = instances.backend.started
    assert workload.hostname == f"ip-{instances.describe(name)['PrivateIpAddress'].replace('.', '-')}"
    assert workload.memory_bytes == 2 << 30
    assert workload.root == folder(instances, name).root
    assert (workload.bundle / "run" / "user-data").read_text() == "#!/bin/sh\necho hello\n"


def test_the_console_tells_when_the_machine_is_smaller_than_the_type(instances: Instances) -> None:
    name = instances.run(InstanceType="r5.24xlarge")
    assert "the type has 96 and 768, this machine has no more" in console(instances, name)


def test_the_console_keeps_what_earlier_starts_printed(instances: Instances) -> None:
    name = instances.run()
    place = folder(instances, name)
    (place.boot / "log").write_text("1700000000000 first\n1700000000001 start\n")
    instances.ec2.stop_instances(InstanceIds=[name])
    instances.later(1)
    instances.ec2.start_instances(InstanceIds=[name])
    instances.later(1)
    (place.boot / "log").write_text("1700000000002 second\n")
    said = console(instances, name)
    assert "first\nstart\n" in said
    assert said.endswith("second\n")


def test_stopping_keeps_the_disk_and_terminating_removes_it(instances: Instances) -> None:
    name = instances.run()
    place = folder(instances, name)
    hidden = place.root / "hidden"
    hidden.mkdir()
    (place.root / "kept").touch()
    hidden.chmod(0)
    instances.ec2.stop_instances(InstanceIds=[name])
    instances.later(1)
    assert not place.boot.exists()
    assert (place.root / "kept").exists()
    instances.ec2.terminate_instances(InstanceIds=[name])
    instances.later(1)
    assert not place.root.exists()
    assert "starts as t3.small" in console(instances, name)
    instances.later(3700)
    assert not place.path.exists()


@pytest.mark.parametrize(("behaviour", "state"), [("stop", "stopped"), ("terminate", "terminated")])
def test_an_instance_may_switch_itself_off(instances: Instances, behaviour: str, state: str) -> None:
    name = instances.run(InstanceInitiatedShutdownBehavior=behaviour)
    instances.backend.end(instances.workload(name))
    instances.later(60)
    told = instances.describe(name)
    assert told["State"]["Name"] == state
    assert told["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


@pytest.mark.parametrize(("reason", "code"), [("lost", "Server.InternalError"), ("oom", "Client.InternalError")])
def test_accidents_are_told(instances: Instances, reason: str, code: str) -> None:
    name = instances.run()
    instances.backend.end(instances.workload(name), reason=reason)
    instances.later(60)
    assert instances.describe(name)["StateReason"]["Code"] == code


def test_an_instance_that_the_machine_refuses_is_terminated(instances: Instances) -> None:
    instances.backend.first = Observation(phase="exited", reason="sandbox", message="mount: Operation not permitted")
    told = instances.describe(instances.run())
    assert told["State"]["Name"] == "terminated"
    assert told["StateReason"]["Message"].endswith("Internal error on launch: mount: Operation not permitted")


def test_a_reboot_starts_the_same_instance_again(instances: Instances) -> None:
    name = instances.run()
    instances.ec2.reboot_instances(InstanceIds=[name])
    instances.later(1)
    instances.later(1)
    assert len(instances.backend.started) == 2
    assert instances.state(name) == "running"
    instances.later(60)
    assert len(instances.backend.started) == 2


def test_an_instance_may_reboot_itself(instances: Instances) -> None:
    name = instances.run()
    (folder(instances, name).boot / "run" / "reboot").touch()
    instances.backend.end(instances.workload(name))
    instances.later(60)
    assert len(instances.backend.started) == 2
    assert instances.state(name) == "running"


class Metadata:
    """The metadata service as the newest instance reaches it."""

    def __init__(self, instances: Instances) -> None:
        self._instances = instances
        self._address = urlsplit(instances.backend.started[-1].env["AWS_EC2_METADATA_SERVICE_ENDPOINT"]).path

    def ask(self, path: str, method: str = "GET", **headers: str) -> Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        http = Request(method, f"{self._address}latest/{path}", "", names, BytesBody(b""))
        return asyncio.run(self._instances.cloud.parts.gateway.handle(http))

    def token(self) -> str:
        answer = self.ask("api/token", "PUT", **{TTL: "60"})
        assert answer.status == 200
        return _text(answer)

    def get(self, path: str) -> str:
        answer = self.ask(path, **{TOKEN: self.token()})
        assert answer.status == 200, path
        return _text(answer)


def _text(answer: Response) -> str:
    assert isinstance(answer.body, bytes)
    return answer.body.decode()


def test_metadata_tell_what_the_instance_is(instances: Instances) -> None:
    public = instances.ec2.create_key_pair(KeyName="mine", KeyType="ed25519")["KeyName"]
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "one"}]}]
    name = instances.run(
        KeyName=public,
        UserData="#!/bin/sh\n",
        TagSpecifications=tags,
        MetadataOptions={"InstanceMetadataTags": "enabled"},
    )
    metadata = Metadata(instances)
    assert metadata.get("meta-data/instance-id") == name
    assert metadata.get("meta-data/placement/region") == "eu-west-1"
    assert metadata.get("meta-data/placement/") == "availability-zone\nregion"
    assert metadata.get("meta-data/public-keys/") == "0=mine"
    assert metadata.get("meta-data/public-keys/0/openssh-key").startswith("ssh-ed25519 ")
    assert metadata.get("meta-data/tags/instance/Name") == "one"
    assert metadata.get("user-data") == "#!/bin/sh\n"
    assert json.loads(metadata.get("dynamic/instance-identity/document"))["instanceId"] == name
    assert metadata.ask("meta-data/nothing", **{TOKEN: metadata.token()}).status == 404


def test_metadata_need_a_session_token(instances: Instances) -> None:
    name = instances.run()
    metadata = Metadata(instances)
    token = metadata.token()
    assert metadata.ask("meta-data/").status == 401
    assert metadata.ask("meta-data/", **{TOKEN: token[:-2]}).status == 401
    assert metadata.ask("api/token", "PUT", **{TTL: "0"}).status == 400
    assert metadata.ask("api/token", "PUT", **{TTL: "60", "x-forwarded-for": "1.2.3.4"}).status == 403
    instances.later(61)
    assert metadata.ask("meta-data/", **{TOKEN: token}).status == 401
    instances.ec2.modify_instance_metadata_options(InstanceId=name, HttpTokens="optional")
    assert metadata.ask("meta-data/").status == 200
    instances.ec2.modify_instance_metadata_options(InstanceId=name, HttpEndpoint="disabled")
    assert metadata.ask("meta-data/").status == 403


def test_a_stopped_instance_has_no_metadata(instances: Instances) -> None:
    name = instances.run()
    metadata = Metadata(instances)
    instances.ec2.stop_instances(InstanceIds=[name])
    instances.later(1)
    assert metadata.ask("api/token", "PUT", **{TTL: "60"}).status == 403


def test_credentials_are_those_of_the_role_in_the_profile(cloud: Cloud, instances: Instances) -> None:
    iam = cloud.client("iam")
    iam.create_role(RoleName="on-instance", AssumeRolePolicyDocument=TRUST_EC2)
    iam.create_instance_profile(InstanceProfileName="profile")
    iam.add_role_to_instance_profile(InstanceProfileName="profile", RoleName="on-instance")
    name = instances.run(IamInstanceProfile={"Name": "profile"})
    metadata = Metadata(instances)
    assert metadata.get("meta-data/iam/security-credentials/") == "on-instance"
    given = json.loads(metadata.get("meta-data/iam/security-credentials/on-instance"))
    session = {**given, "SessionToken": given["Token"]}
    arn = cloud.client("sts", session).get_caller_identity()["Arn"]
    assert arn == f"arn:aws:sts::123456789012:assumed-role/on-instance/{name}"

    nobody = json.dumps({"Version": "2012-10-17", "Statement": [_deny()]})
    iam.update_assume_role_policy(RoleName="on-instance", PolicyDocument=nobody)
    refused = json.loads(metadata.get("meta-data/iam/security-credentials/on-instance"))
    assert refused["Code"] == "AssumeRoleUnauthorizedAccess"


def _deny() -> dict[str, Any]:
    return {"Effect": "Deny", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}


def test_user_data_of_any_bytes_arrive(instances: Instances) -> None:
    content = bytes(range(256))
    name = instances.ec2.run_instances(ImageId=instances.image, MinCount=1, MaxCount=1, UserData=content)["Instances"][
        0
    ]["InstanceId"]
    instances.settle()
    told = instances.ec2.describe_instance_attribute(InstanceId=name, Attribute="userData")["UserData"]["Value"]
    assert base64.b64decode(told) == content
    assert (folder(instances, name).boot / "run" / "user-data").read_bytes() == content
