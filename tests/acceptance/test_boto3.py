"""Plain boto3: waiters, paginators, presigned addresses, and who may do what with which keys."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.acceptance.workbench import SKLEARN, Workbench, allow, unique, until
from tests.server import REGION

if TYPE_CHECKING:
    from collections.abc import Callable

QUICK = {"Delay": 1, "MaxAttempts": 60}
ECHO = "def model_fn(folder):\n    return 1\n\ndef transform_fn(model, body, kind, accept):\n    return body, kind\n"
CALLS: dict[str, Callable[[Any], Any]] = {
    "sagemaker": lambda client: client.list_models(),
    "sagemaker-runtime": lambda client: client.invoke_endpoint(EndpointName="x", Body=b""),
    "s3": lambda client: client.list_buckets(),
    "iam": lambda client: client.list_users(),
    "sts": lambda client: client.get_caller_identity(),
    "ec2": lambda client: client.describe_instances(),
    "logs": lambda client: client.describe_log_groups(),
    "cloudwatch": lambda client: client.list_metrics(),
}


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


# Waiters and pages


def test_waiters(bench: Workbench) -> None:
    name = bench.train("print('hello')\n")
    bench.sagemaker.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName=name, WaiterConfig=QUICK)
    endpoint = bench.endpoint(bench.model({"code/inference.py": ECHO}))
    bench.sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=endpoint, WaiterConfig=QUICK)
    bench.sagemaker.delete_endpoint(EndpointName=endpoint)
    bench.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=endpoint, WaiterConfig=QUICK)
    bench.s3.get_waiter("bucket_exists").wait(Bucket=bench.bucket)
    bench.s3.get_waiter("object_not_exists").wait(Bucket=bench.bucket, Key="never")
    bench.iam.get_waiter("role_exists").wait(RoleName=bench.role.split("/")[-1])


def test_pages_hold_everything_once(bench: Workbench) -> None:
    prefix = unique("page")
    container = {"Image": SKLEARN}
    for number in range(25):
        bench.sagemaker.create_model(
            ModelName=f"{prefix}-{number}", PrimaryContainer=container, ExecutionRoleArn=bench.role
        )
        bench.put(f"{prefix}/{number}", b"")
        bench.iam.create_user(UserName=f"{prefix}-{number}", Path=f"/{prefix}/")
    wanted = sorted(f"{prefix}-{number}" for number in range(25))
    size = {"PageSize": 10}
    pages = list(bench.sagemaker.get_paginator("list_models").paginate(NameContains=prefix, PaginationConfig=size))
    assert [len(page["Models"]) for page in pages] == [10, 10, 5]
    assert sorted(entry["ModelName"] for page in pages for entry in page["Models"]) == wanted
    users = bench.iam.get_paginator("list_users").paginate(PathPrefix=f"/{prefix}/", PaginationConfig=size)
    assert sorted(users.search("Users[].UserName")) == wanted
    objects = bench.s3.get_paginator("list_objects_v2").paginate(
        Bucket=bench.bucket, Prefix=f"{prefix}/", PaginationConfig=size
    )
    assert len(list(objects.search("Contents[].Key"))) == 25


# Presigned addresses


def fetch(url: str, data: bytes | None = None, **options: Any) -> bytes:
    request = urllib.request.Request(url, data=data, **options)
    with urllib.request.urlopen(request, timeout=10) as answer:
        content: bytes = answer.read()
        return content


def denied(url: str, data: bytes | None = None, **options: Any) -> tuple[int, str]:
    """The status and code of an error of S3."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        fetch(url, data, **options)
    with caught.value as answer:
        found = re.search(rb"<Code>(\w+)</Code>", answer.read())
    assert found is not None
    return answer.code, found[1].decode()


def expired(url: str) -> bool:
    try:
        return not fetch(url)
    except urllib.error.HTTPError as error:
        with error:
            return error.code == 403


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_addresses(bench: Workbench, version: str) -> None:
    s3 = bench.server.client("s3", config=Config(signature_version=version))
    where = {"Bucket": bench.bucket, "Key": f"presigned {version}/ä+b.txt"}
    fetch(s3.generate_presigned_url("put_object", where), b"content", method="PUT", headers={"Content-Type": ""})
    link = s3.generate_presigned_url("get_object", where)
    assert fetch(link) == b"content"
    for broken in (link.replace("Signature=", "Signature=0"), link.replace("%2Bb", "%2Bc")):
        assert denied(broken) == (403, "SignatureDoesNotMatch")
    short = s3.generate_presigned_url("get_object", where, ExpiresIn=1)
    until(lambda: expired(short), 10, every_s=0.2)
    assert denied(short) == (403, "AccessDenied")


def test_presigned_forms(bench: Workbench) -> None:
    conditions: list[Any] = [["content-length-range", 1, 20]]
    post = bench.s3.generate_presigned_post(bench.bucket, "form/${filename}", Conditions=conditions)

    def form(content: bytes) -> tuple[str, bytes, dict[str, str]]:
        boundary = uuid.uuid4().hex
        fields = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in post["fields"].items()
        )
        file = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        body = fields.encode() + file.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        return post["url"], body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}

    url, body, headers = form(b"short enough")
    fetch(url, body, headers=headers)
    assert bench.s3.get_object(Bucket=bench.bucket, Key="form/a.txt")["Body"].read() == b"short enough"
    url, body, headers = form(b"x" * 21)
    assert denied(url, body, headers=headers) == (400, "EntityTooLarge")


# Who may do what


@pytest.fixture
def learner(bench: Workbench) -> tuple[str, dict[str, str]]:
    """A user in a group who may list models, read one prefix, and pass one role; and the keys."""
    name = unique("learner")
    statements = [
        {"Effect": "Allow", "Action": ["sagemaker:List*", "sagemaker:CreateModel"], "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bench.bucket}/open/*"},
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"},
    ]
    bench.iam.create_group(GroupName=name)
    bench.iam.put_group_policy(
        GroupName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statements})
    )
    bench.iam.create_user(UserName=name)
    bench.iam.add_user_to_group(GroupName=name, UserName=name)
    key = bench.iam.create_access_key(UserName=name)["AccessKey"]
    return name, {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}


def test_a_limited_user(bench: Workbench, learner: tuple[str, dict[str, str]]) -> None:
    name, keys = learner
    arn = f"arn:aws:iam::000000000000:user/{name}"
    sagemaker, s3 = bench.server.client("sagemaker", **keys), bench.server.client("s3", **keys)
    sagemaker.list_models()
    bench.put("open/a", b"yes")
    bench.put("closed/a", b"no")
    assert s3.get_object(Bucket=bench.bucket, Key="open/a")["Body"].read() == b"yes"
    assert refused(lambda: s3.get_object(Bucket=bench.bucket, Key="closed/a")) == (
        "AccessDenied",
        f"User: {arn} is not authorized to perform: s3:GetObject on resource: "
        f'"arn:aws:s3:::{bench.bucket}/closed/a" because no identity-based policy allows the s3:GetObject action',
    )
    model = {"ModelName": unique("m"), "PrimaryContainer": {"Image": SKLEARN}, "ExecutionRoleArn": bench.role}
    code, message = refused(lambda: sagemaker.create_model(**model))
    assert code == "AccessDeniedException"
    assert message == (
        f"User: {arn} is not authorized to perform: iam:PassRole on resource: {bench.role} "
        "because no identity-based policy allows the iam:PassRole action"
    )
    code, message = refused(lambda: sagemaker.describe_model(ModelName="x"))
    assert code == "AccessDeniedException"
    assert f"User: {arn} is not authorized to perform: sagemaker:DescribeModel on resource: " in message
    code, message = refused(lambda: bench.server.client("iam", **keys).create_user(UserName="y"))
    assert code == "AccessDenied"
    assert "is not authorized to perform: iam:CreateUser on resource: arn:aws:iam::000000000000:user/y" in message
    assert refused(lambda: bench.server.client("ec2", **keys).describe_instances())[0] == "UnauthorizedOperation"
    bench.iam.put_user_policy(UserName=name, PolicyName="pass", PolicyDocument=allow("iam:PassRole", bench.role))
    sagemaker.create_model(**model)


def test_a_session_of_a_role(bench: Workbench, learner: tuple[str, dict[str, str]]) -> None:
    name, keys = learner
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::000000000000:user/{name}"},
        "Action": "sts:AssumeRole",
    }
    role = unique("assumed")
    bench.iam.create_role(
        RoleName=role, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    bench.iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=allow("s3:*"))
    sts = bench.server.client("sts", **keys)
    arn = f"arn:aws:iam::000000000000:role/{role}"
    policy = allow("s3:ListAllMyBuckets")
    made = sts.assume_role(RoleArn=arn, RoleSessionName="me", Policy=policy)["Credentials"]
    session = {
        "aws_access_key_id": made["AccessKeyId"],
        "aws_secret_access_key": made["SecretAccessKey"],
        "aws_session_token": made["SessionToken"],
    }
    who = bench.server.client("sts", **session).get_caller_identity()
    assert who["Arn"] == f"arn:aws:sts::000000000000:assumed-role/{role}/me"
    s3 = bench.server.client("s3", **session)
    s3.list_buckets()
    code, message = refused(lambda: s3.list_objects_v2(Bucket=bench.bucket))
    assert code == "AccessDenied"
    assert "because no session policy allows the s3:ListBucket action" in message
    assert refused(lambda: sts.assume_role(RoleArn=bench.role, RoleSessionName="me"))[0] == "AccessDenied"
    without = {**session, "aws_session_token": None}
    assert refused(lambda: bench.server.client("sts", **without).get_caller_identity())[0] == "InvalidClientTokenId"


WRONG_KEY = {
    "s3": "InvalidAccessKeyId",
    "ec2": "AuthFailure",
    "iam": "InvalidClientTokenId",
    "sts": "InvalidClientTokenId",
}
WRONG_SECRET = {
    "s3": "SignatureDoesNotMatch",
    "ec2": "AuthFailure",
    "iam": "SignatureDoesNotMatch",
    "sts": "SignatureDoesNotMatch",
}
WRONG_TOKEN = {
    "s3": "InvalidToken",
    "ec2": "AuthFailure",
    "iam": "InvalidClientTokenId",
    "sts": "InvalidClientTokenId",
}


@pytest.mark.parametrize("service", CALLS)
def test_wrong_keys(bench: Workbench, service: str) -> None:
    key, secret = bench.server.keys
    call = CALLS[service]
    unknown = bench.server.client(service, aws_access_key_id="AKIAAAAAAAAAAAAAAAAA")
    assert refused(lambda: call(unknown))[0] == WRONG_KEY.get(service, "UnrecognizedClientException")
    wrong = bench.server.client(service, aws_access_key_id=key, aws_secret_access_key=secret[::-1])
    assert refused(lambda: call(wrong))[0] == WRONG_SECRET.get(service, "InvalidSignatureException")
    token = bench.server.client(service, aws_access_key_id="ASIAAAAAAAAAAAAAAAAA", aws_session_token="x")
    assert refused(lambda: call(token))[0] in {
        WRONG_TOKEN.get(service, "UnrecognizedClientException"),
        WRONG_KEY.get(service, "UnrecognizedClientException"),
    }


def test_a_deactivated_key(bench: Workbench, learner: tuple[str, dict[str, str]]) -> None:
    name, keys = learner
    sts = bench.server.client("sts", **keys)
    sts.get_caller_identity()
    bench.iam.update_access_key(UserName=name, AccessKeyId=keys["aws_access_key_id"], Status="Inactive")
    assert refused(sts.get_caller_identity)[0] == "InvalidClientTokenId"


STALE = {
    "s3": "RequestTimeTooSkewed",
    "ec2": "RequestExpired",
    "iam": "SignatureDoesNotMatch",
    "sts": "SignatureDoesNotMatch",
    "sagemaker": "InvalidSignatureException",
    "logs": "InvalidSignatureException",
}
FORMS = {"iam": "Action=ListUsers&Version=2010-05-08", "sts": "Action=GetCallerIdentity&Version=2011-06-15",
         "ec2": "Action=DescribeInstances&Version=2016-11-15"}  # fmt: skip
JSON = {"sagemaker": "SageMaker.ListModels", "logs": "Logs_20140328.DescribeLogGroups"}


@pytest.mark.parametrize("service", STALE)
def test_clocks_that_differ_too_much(bench: Workbench, service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = SigV4Auth(Credentials(*bench.server.keys), service, REGION)
    headers = {"X-Amz-Target": JSON[service]} if service in JSON else {}
    if service in FORMS:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    body = FORMS.get(service, "{}" if service in JSON else "")
    request = AWSRequest("POST" if body else "GET", f"{bench.server.endpoint}/", headers=headers, data=body.encode())
    past = datetime.now(UTC) - timedelta(minutes=20)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: past.replace(tzinfo=None))
    signer.add_auth(request)
    prepared = request.prepare()
    with pytest.raises(urllib.error.HTTPError) as caught:
        fetch(prepared.url, prepared.body or None, headers=dict(prepared.headers.items()), method=request.method)
    with caught.value as answer:
        assert 400 <= answer.code < 404
        assert STALE[service] in answer.read().decode()
