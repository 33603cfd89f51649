"""A notebook instance, from its creation to a result in a notebook."""

from __future__ import annotations

import asyncio
import base64
import json
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.server import ClaryServer

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        },
    }
)
ON_CREATE = "echo created >> created.txt; mv created.txt SageMaker/"
ON_START = "echo started >> SageMaker/started.txt; echo said on start; touch in-home.txt; sleep 100 &"


def encoded(script: str) -> list[dict[str, str]]:
    return [{"Content": base64.b64encode(script.encode()).decode()}]


def until(look: Any, wanted: set[str]) -> str:
    deadline = time.monotonic() + 60
    while (seen := str(look())) not in wanted:
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)
    return seen


@dataclass
class Answer:
    status: int
    body: bytes
    headers: Any


def request(url: str, cookie: str = "", data: Any = None, method: str = "", **headers: str) -> Answer:
    """One HTTP request, without proxies and redirects of any kind."""
    body = json.dumps(data).encode() if data is not None else None
    call = urllib.request.Request(url, body, {"Cookie": cookie, **headers}, method=method or None)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(call, timeout=30) as answer:
            return Answer(answer.status, answer.read(), answer.headers)
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read(), error.headers)


class Instance:
    """A notebook instance with lifecycle scripts and a role that may list buckets."""

    def __init__(self, server: ClaryServer) -> None:
        self.server = server
        self.sagemaker, self.iam = server.client("sagemaker"), server.client("iam")
        self.name = f"n{uuid.uuid4().hex[:10]}"
        self.role: str = self.iam.create_role(RoleName=self.name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        allowed = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}
        self.iam.put_role_policy(
            RoleName=self.name,
            PolicyName="p",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": allowed}),
        )
        self.sagemaker.create_notebook_instance_lifecycle_config(
            NotebookInstanceLifecycleConfigName=self.name, OnCreate=encoded(ON_CREATE), OnStart=encoded(ON_START)
        )
        self.sagemaker.create_notebook_instance(**self.request())
        self.until("InService")

    def request(self, **changes: Any) -> dict[str, Any]:
        given = {
            "NotebookInstanceName": self.name,
            "InstanceType": "ml.t3.medium",
            "RoleArn": self.role,
            "LifecycleConfigName": self.name,
        }
        return {**given, **changes}

    def describe(self) -> dict[str, Any]:
        told: dict[str, Any] = self.sagemaker.describe_notebook_instance(NotebookInstanceName=self.name)
        return told

    def until(self, *statuses: str) -> None:
        seen = until(lambda: self.describe()["NotebookInstanceStatus"], {*statuses, "Failed"})
        assert seen in statuses, self.describe()

    def link(self) -> str:
        answer = self.sagemaker.create_presigned_notebook_instance_url(NotebookInstanceName=self.name)
        return str(answer["AuthorizedUrl"])

    def session(self) -> tuple[str, str]:
        """The address of the instance, and a cookie that opens it."""
        link = self.link()
        answer = request(link)
        assert answer.status == 200
        return link.partition("?")[0], answer.headers["set-cookie"].partition(";")[0]

    def start(self) -> None:
        if self.describe()["NotebookInstanceStatus"] == "Stopped":
            self.sagemaker.start_notebook_instance(NotebookInstanceName=self.name)
        self.until("InService")

    def stop(self) -> None:
        if self.describe()["NotebookInstanceStatus"] == "InService":
            self.sagemaker.stop_notebook_instance(NotebookInstanceName=self.name)
        self.until("Stopped")


@pytest.fixture(scope="module")
def made(server: ClaryServer) -> Iterator[Instance]:
    made = Instance(server)
    yield made
    made.stop()
    made.sagemaker.delete_notebook_instance(NotebookInstanceName=made.name)
    made.sagemaker.get_waiter("notebook_instance_deleted").wait(
        NotebookInstanceName=made.name, WaiterConfig={"Delay": 1, "MaxAttempts": 20}
    )


@pytest.fixture
def instance(made: Instance) -> Instance:
    made.start()
    return made


class Kernel:
    """A kernel behind the proxy, asked as JupyterLab asks it."""

    def __init__(self, base: str, cookie: str) -> None:
        self.cookie = cookie
        told = json.loads(request(f"{base}api/kernels", cookie, {"name": "conda_python3"}).body)
        self.channels = f"{base.replace('http', 'ws', 1)}api/kernels/{told['id']}/channels"

    def run(self, *cells: str) -> list[str]:
        """What the cells print, or the error of the last one."""
        return asyncio.run(asyncio.wait_for(self._run(cells), 40))

    async def _run(self, cells: tuple[str, ...]) -> list[str]:
        headers = {"Cookie": self.cookie}
        async with connect(self.channels, additional_headers=headers, max_size=None, proxy=None) as socket:
            return [await self._ask(socket, cell) for cell in cells]

    async def _ask(self, socket: Any, cell: str) -> str:
        number = uuid.uuid4().hex
        header = {"msg_id": number, "username": "", "session": "s", "msg_type": "execute_request", "version": "5.3"}
        content = {"code": cell, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
        content["stop_on_error"] = False
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        await socket.send(json.dumps(message))
        printed = ""
        while True:
            told = json.loads(await socket.recv())
            if told["parent_header"].get("msg_id") != number:
                continue
            if told["msg_type"] == "stream":
                printed += told["content"]["text"]
            elif told["msg_type"] == "error":
                return str(told["content"]["evalue"])
            elif told["msg_type"] == "status" and told["content"]["execution_state"] == "idle":
                return printed


def test_code_runs_in_a_notebook_as_the_role(instance: Instance) -> None:
    instance.server.client("s3").create_bucket(Bucket=f"seen-{instance.name}")
    kernel = Kernel(*instance.session())
    printed = kernel.run(
        "print(6 * 7)",
        "import boto3; print([bucket['Name'] for bucket in boto3.client('s3').list_buckets()['Buckets']])",
        "print(boto3.client('sts').get_caller_identity()['Arn'])",
        "boto3.client('iam').list_users()",
        "import pandas, sklearn, xgboost; print('imported')",
        "print(open('/opt/ml/metadata/resource-metadata.json').read())",
        "print('x' * 2_000_000)",
    )
    assert printed[0] == "42\n"
    assert f"seen-{instance.name}" in printed[1]
    assert f"assumed-role/{instance.name}/SageMaker" in printed[2]
    assert "not authorized to perform: iam:ListUsers" in printed[3]
    assert printed[4] == "imported\n"
    told = instance.describe()
    assert json.loads(printed[5]) == {"ResourceArn": told["NotebookInstanceArn"], "ResourceName": instance.name}
    assert len(printed[6]) == 2_000_001


def test_a_link_opens_the_lab_once(instance: Instance) -> None:
    link = instance.link()
    base = link.partition("?")[0]
    opened = request(link)
    assert opened.status == 200
    assert f"{base.partition('/_clary')[1]}{base.partition('/_clary')[2]}lab" in opened.body.decode()
    cookie = opened.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert f"Path={base.partition('127.0.0.1')[2].partition('/')[1]}{base.split('/', 3)[3]}" in cookie
    lab = request(f"{base}lab", cookie.partition(";")[0])
    assert lab.status == 200
    assert b"JupyterLab" in lab.body
    assert len(lab.headers.get_all("set-cookie")) > 1
    assert request(link).status == 403


def test_without_a_session_there_is_only_the_way_to_one(instance: Instance) -> None:
    base, cookie = instance.session()
    refused = request(f"{base}lab")
    assert refused.status == 403
    assert b"create-presigned-notebook-instance-url" in refused.body
    assert request(f"{base}api/contents", cookie + "0").status == 403
    assert request(f"{base}api/contents", cookie, Origin="http://127.0.0.1:1").status == 403
    assert request(f"{base}api/contents", cookie).status == 200
    assert request(f"{base.rpartition('/n')[0]}/nowhere/lab", cookie).status == 404


def test_web_sockets_need_the_session_and_a_page_of_ours(instance: Instance) -> None:
    base, cookie = instance.session()
    kernel = Kernel(base, cookie)

    async def status(**headers: str) -> int:
        with pytest.raises(InvalidStatus) as caught:
            async with connect(kernel.channels, additional_headers=headers, proxy=None):
                pass
        return int(caught.value.response.status_code)

    assert asyncio.run(status()) == 403
    assert asyncio.run(status(Cookie=cookie, Origin="http://elsewhere")) == 403


def test_files_of_any_size_go_both_ways(instance: Instance) -> None:
    base, cookie = instance.session()
    content = base64.b64encode(b"\0\1\2\3" * (1 << 20)).decode()
    file = {"type": "file", "format": "base64", "content": content}
    assert request(f"{base}api/contents/big.bin", cookie, file, "PUT").status == 201
    assert request(f"{base}files/big.bin", cookie).body == b"\0\1\2\3" * (1 << 20)


def test_what_the_folder_holds_outlasts_a_stop_and_nothing_else(instance: Instance) -> None:
    def read(path: str) -> Answer:
        base, cookie = instance.session()
        return request(f"{base}files/{path}", cookie)

    starts = read("started.txt").body.count(b"started")
    base, cookie = instance.session()
    home = "import os; print(sorted(os.listdir(os.path.expanduser('~'))), open('../new.txt', 'w').write('x'))"
    assert "'in-home.txt'" in Kernel(base, cookie).run(home)[0]
    instance.stop()
    assert request(f"{base}lab", cookie).status == 403
    instance.start()
    assert request(f"{base}lab", cookie).status == 403
    assert read("created.txt").body == b"created\n"
    assert read("started.txt").body.count(b"started") == starts + 1
    assert "new.txt" not in Kernel(*instance.session()).run(home)[0]


def test_output_comes_to_the_log_group(instance: Instance) -> None:
    logs = instance.server.client("logs")
    group = "/aws/sagemaker/NotebookInstances"

    def read(stream: str) -> str:
        events = logs.get_log_events(logGroupName=group, logStreamName=f"{instance.name}/{stream}")["events"]
        return "\n".join(event["message"] for event in events)

    assert "said on start" in read("LifecycleConfigOnStart")
    assert f"/_clary/notebook/us-east-1/{instance.name}/" in read("jupyter.log")


def test_jupyter_that_ends_by_itself_is_started_again(instance: Instance) -> None:
    base, cookie = instance.session()
    assert request(f"{base}api/shutdown", cookie, method="POST").status == 200

    def status() -> int:
        return request(f"{base}api/status", cookie).status

    deadline = time.monotonic() + 30
    while status() == 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert instance.describe()["NotebookInstanceStatus"] == "InService"
    while status() != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def refusal(call: Any, **given: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**given)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    return str(caught.value.response["Error"]["Message"])


def test_what_a_status_does_not_allow(instance: Instance) -> None:
    sagemaker, name = instance.sagemaker, instance.name
    arn = instance.describe()["NotebookInstanceArn"]
    wanted = "Status (InService) not in ([Failed, Stopped]). Unable to transition to (Deleting)"
    deleting = f"{wanted} for Notebook Instance ({arn})"
    assert refusal(sagemaker.delete_notebook_instance, NotebookInstanceName=name) == deleting
    assert "(Pending)" in refusal(sagemaker.start_notebook_instance, NotebookInstanceName=name)
    assert "(Updating)" in refusal(sagemaker.update_notebook_instance, NotebookInstanceName=name)
    assert "duplicate" in refusal(sagemaker.create_notebook_instance, **instance.request())
    instance.stop()
    assert "(Stopping)" in refusal(sagemaker.stop_notebook_instance, NotebookInstanceName=name)
    link = sagemaker.create_presigned_notebook_instance_url
    assert "Status (Stopped)" in refusal(link, NotebookInstanceName=name)


def test_a_stopped_instance_is_changed(instance: Instance) -> None:
    instance.stop()
    update = instance.sagemaker.update_notebook_instance
    update(NotebookInstanceName=instance.name, InstanceType="ml.m5.xlarge", VolumeSizeInGB=7)
    instance.until("Stopped")
    told = instance.describe()
    assert (told["InstanceType"], told["VolumeSizeInGB"]) == ("ml.m5.xlarge", 7)
    assert told["NotebookInstanceLifecycleConfigName"] == instance.name
    assert "larger" in refusal(update, NotebookInstanceName=instance.name, VolumeSizeInGB=6)


def test_a_script_that_fails_fails_the_instance(made: Instance) -> None:
    name = f"{made.name}x"
    made.sagemaker.create_notebook_instance_lifecycle_config(
        NotebookInstanceLifecycleConfigName=name, OnStart=encoded("exit 3")
    )
    made.sagemaker.create_notebook_instance(**made.request(NotebookInstanceName=name, LifecycleConfigName=name))
    describe = made.sagemaker.describe_notebook_instance
    until(lambda: describe(NotebookInstanceName=name)["NotebookInstanceStatus"], {"Failed", "InService"})
    reason = describe(NotebookInstanceName=name)["FailureReason"]
    assert f"notebook-instance-lifecycle-config/{name}'" in reason
    assert "failed with exit code 3" in reason
    made.sagemaker.delete_notebook_instance_lifecycle_config(NotebookInstanceLifecycleConfigName=name)
    made.sagemaker.start_notebook_instance(NotebookInstanceName=name)
    until(lambda: describe(NotebookInstanceName=name)["NotebookInstanceStatus"], {"Failed", "InService"})
    assert "does not exist" in describe(NotebookInstanceName=name)["FailureReason"]
    made.sagemaker.delete_notebook_instance(NotebookInstanceName=name)


def test_what_is_not_supported_is_named(made: Instance) -> None:
    create = made.sagemaker.create_notebook_instance
    for member, value in (
        ("DefaultCodeRepository", "https://example.org/x.git"),
        ("AdditionalCodeRepositories", ["https://example.org/x.git"]),
        ("DirectInternetAccess", "Disabled"),
    ):
        words = refusal(create, **made.request(NotebookInstanceName="other", **{member: value}))
        assert f"Clary does not support {member}" in words
    assert "no record" in refusal(create, **made.request(NotebookInstanceName="other", LifecycleConfigName="nowhere"))
    assert "Could not assume role" in refusal(create, **made.request(NotebookInstanceName="o", RoleArn=made.role + "x"))


def test_lifecycle_configurations(made: Instance) -> None:
    sagemaker, name = made.sagemaker, f"{made.name}-config"
    create = sagemaker.create_notebook_instance_lifecycle_config
    create(NotebookInstanceLifecycleConfigName=name, OnCreate=encoded("a"))
    assert "already exists" in refusal(create, NotebookInstanceLifecycleConfigName=name)
    assert "base64" in refusal(create, NotebookInstanceLifecycleConfigName="x", OnStart=[{"Content": "not base64!"}])
    sagemaker.update_notebook_instance_lifecycle_config(NotebookInstanceLifecycleConfigName=name, OnStart=encoded("b"))
    told = sagemaker.describe_notebook_instance_lifecycle_config(NotebookInstanceLifecycleConfigName=name)
    assert (told["OnCreate"], told["OnStart"]) == (encoded("a"), encoded("b"))
    listed = sagemaker.list_notebook_instance_lifecycle_configs(NameContains=name)["NotebookInstanceLifecycleConfigs"]
    assert [entry["NotebookInstanceLifecycleConfigName"] for entry in listed] == [name]
    sagemaker.delete_notebook_instance_lifecycle_config(NotebookInstanceLifecycleConfigName=name)
    describe = sagemaker.describe_notebook_instance_lifecycle_config
    assert "no record" in refusal(describe, NotebookInstanceLifecycleConfigName=name)


def test_a_role_is_passed_only_by_those_who_may(made: Instance) -> None:
    user = f"{made.name}-user"
    made.iam.create_user(UserName=user)
    allowed = {"Effect": "Allow", "Action": "sagemaker:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": allowed})
    made.iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=document)
    key = made.iam.create_access_key(UserName=user)["AccessKey"]
    theirs = made.server.client(
        "sagemaker", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
    )
    with pytest.raises(ClientError) as caught:
        theirs.create_notebook_instance(**made.request(NotebookInstanceName="theirs"))
    assert "iam:PassRole" in caught.value.response["Error"]["Message"]
