"""Instances of a real server: what runs on them, and what outlives what."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.server import ClaryServer
from tests.services.ec2.conftest import TRUST_EC2

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Client

WAIT = {"Delay": 1, "MaxAttempts": 60}
TRAINING = """#!/bin/bash
cat > /root/train.py <<'SCRIPT'
import boto3, json
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

data, target = load_iris(return_X_y=True)
score = LogisticRegression(max_iter=500).fit(data, target).score(data, target)
who = boto3.client("sts").get_caller_identity()["Arn"]
content = json.dumps({"score": score, "who": who})
boto3.client("s3").put_object(Bucket="ec2-demo", Key="result.json", Body=content)
print("trained", round(score, 2))
SCRIPT
python3 /root/train.py
"""


@pytest.fixture
def image(client: Client) -> str:
    """The image to launch."""
    return str(client("ec2").describe_images()["Images"][0]["ImageId"])


def launch_any(ec2: Any, image: str, **more: Any) -> str:
    """An instance, in whatever state it soon is."""
    asked = {"ImageId": image, "InstanceType": "t3.small", "MinCount": 1, "MaxCount": 1, **more}
    name: str = ec2.run_instances(**asked)["Instances"][0]["InstanceId"]
    return name


def launch(ec2: Any, image: str, **more: Any) -> str:
    """An instance that runs."""
    name = launch_any(ec2, image, **more)
    ec2.get_waiter("instance_running").wait(InstanceIds=[name], WaiterConfig={"Delay": 0.1, "MaxAttempts": 100})
    return name


def until(condition: Callable[[], Any], limit_s: float = 30.0) -> Any:
    """What `condition` gives once it is true."""
    deadline = time.monotonic() + limit_s
    while not (result := condition()):
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.05)
    return result


def console(ec2: Any, name: str, word: str) -> str:
    """The console once it tells `word`."""
    ended: str = until(lambda: (said := ec2.get_console_output(InstanceId=name)["Output"]) and word in said and said)
    return ended


def terminate(ec2: Any, name: str) -> None:
    """Ends an instance, so that nothing of it outlives the test."""
    ec2.terminate_instances(InstanceIds=[name])
    until(lambda: state(ec2, name) == "terminated")


def state(ec2: Any, name: str) -> str:
    found = ec2.describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"][0]
    return str(found["State"]["Name"])


def test_train_on_an_instance_write_to_s3_resize_and_terminate(client: Client, image: str) -> None:
    ec2, s3, iam = client("ec2"), client("s3"), client("iam")
    s3.create_bucket(Bucket="ec2-demo")
    iam.create_role(RoleName="trainer", AssumeRolePolicyDocument=TRUST_EC2)
    statement = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::ec2-demo/*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName="trainer", PolicyName="write", PolicyDocument=document)
    iam.create_instance_profile(InstanceProfileName="trainer")
    iam.add_role_to_instance_profile(InstanceProfileName="trainer", RoleName="trainer")

    name = launch(ec2, image, UserData=TRAINING, IamInstanceProfile={"Name": "trainer"})
    ec2.get_waiter("instance_status_ok").wait(InstanceIds=[name], WaiterConfig=WAIT)
    assert "trained 0.97" in console(ec2, name, "ended with exit code")
    result = json.loads(s3.get_object(Bucket="ec2-demo", Key="result.json")["Body"].read())
    assert result["who"].endswith(f":assumed-role/trainer/{name}")

    ec2.stop_instances(InstanceIds=[name])
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[name], WaiterConfig=WAIT)
    ec2.modify_instance_attribute(InstanceId=name, InstanceType={"Value": "m5.large"})
    ec2.start_instances(InstanceIds=[name])
    ec2.get_waiter("instance_running").wait(InstanceIds=[name], WaiterConfig=WAIT)
    said = console(ec2, name, "starts as m5.large")
    assert said.count("trained") == 1

    ec2.terminate_instances(InstanceIds=[name])
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[name], WaiterConfig=WAIT)


def test_an_instance_reboots_with_its_disk(client: Client, image: str) -> None:
    ec2 = client("ec2")
    script = "#!/bin/sh\ncat > /root/.profile-of-mine <<X\nkept\nX\nls -A /root; hostname; reboot\n"
    name = launch_any(ec2, image, UserData=script)
    until(lambda: ec2.get_console_output(InstanceId=name)["Output"].count("starts as") == 2)
    until(lambda: state(ec2, name) == "running")
    said = ec2.get_console_output(InstanceId=name)["Output"]
    assert ".profile-of-mine" in said
    assert "ip-172-31-" in said
    ec2.reboot_instances(InstanceIds=[name])
    until(lambda: ec2.get_console_output(InstanceId=name)["Output"].count("starts as") == 3)
    assert state(ec2, name) == "running"
    terminate(ec2, name)


def test_memory_is_limited_to_what_the_type_has(client: Client, image: str) -> None:
    ec2 = client("ec2")
    script = "#!/bin/sh\npython3 -c 'print(len(bytearray(700 << 20)))' || echo refused\nnproc\n"
    name = launch(ec2, image, InstanceType="t3.nano", UserData=script)
    said = console(ec2, name, "ended with exit code")
    assert "refused" in said
    assert state(ec2, name) == "running"
    terminate(ec2, name)


def test_cloud_config_is_done_at_the_first_start(client: Client, image: str) -> None:
    ec2 = client("ec2")
    config = "#cloud-config\nwrite_files: [{path: /etc/mine, content: written}]\nruncmd: [cat /etc/mine]\n"
    name = launch(ec2, image, UserData=config)
    assert "written" in console(ec2, name, "ended with exit code 0")
    terminate(ec2, name)


def test_shutdown_inside_ends_the_instance(client: Client, image: str) -> None:
    ec2 = client("ec2")
    script = "#!/bin/sh\nshutdown -h now\n"
    stays = launch_any(ec2, image, UserData=script)
    goes = launch_any(ec2, image, UserData=script, InstanceInitiatedShutdownBehavior="terminate")
    until(lambda: state(ec2, stays) == "stopped")
    until(lambda: state(ec2, goes) == "terminated")
    terminate(ec2, stays)


def test_instances_outlive_the_platform(tmp_path: Path) -> None:
    server = ClaryServer(tmp_path)
    server.start()
    try:
        ec2 = server.client("ec2")
        image = ec2.describe_images()["Images"][0]["ImageId"]
        script = "#!/bin/sh\nfor n in 1 2 3 4 5 6 7 8 9; do echo tick $n; sleep 0.5; done\nshutdown now\n"
        name = launch(ec2, image, UserData=script)
        server.kill()
        server.start()
        assert state(ec2, name) == "running"
        assert "tick 9" in console(ec2, name, "tick 9")
        until(lambda: state(ec2, name) == "stopped")
        terminate(ec2, name)
        assert not (server.home / "instances" / name / "root").exists()
    finally:
        server.stop()


def test_wishes_outlive_the_platform(tmp_path: Path) -> None:
    server = ClaryServer(tmp_path)
    server.start()

    def crash() -> None:
        server.kill()
        server.start()

    try:
        ec2 = server.client("ec2")
        image = ec2.describe_images()["Images"][0]["ImageId"]
        name = launch_any(ec2, image, UserData="#!/bin/sh\necho hello\n")
        crash()
        until(lambda: state(ec2, name) == "running")
        assert console(ec2, name, "ended with exit code").count("hello") == 1
        ec2.stop_instances(InstanceIds=[name])
        crash()
        until(lambda: state(ec2, name) == "stopped")
        ec2.start_instances(InstanceIds=[name])
        crash()
        until(lambda: state(ec2, name) == "running")
        ec2.terminate_instances(InstanceIds=[name])
        crash()
        until(lambda: state(ec2, name) == "terminated")
        assert not (server.home / "instances" / name / "root").exists()
    finally:
        server.stop()
