"""No secret that passes through a call is in any file of the log."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from botocore.session import Session

from clary.audit.parameters import HIDDEN, Parameters
from clary.plugins import services
from clary.protocol.model import Models
from tests.audit.world import ACCOUNT, allow, bucket, event_of, role, user

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cloud import Cloud

CANARY = "Canary-7f3a9-Hidden"


@pytest.fixture
def log(cloud: Cloud) -> Callable[[], str]:
    """Tells all that was written to the log during a test."""
    folder = cloud.parts.platform.settings.home / "audit"
    before = {path: path.stat().st_size for path in folder.glob("*.log")}

    def written() -> str:
        return "".join(path.read_bytes()[before.get(path, 0) :].decode() for path in folder.glob("*.log"))

    return written


def test_passwords(cloud: Cloud, log: Any) -> None:
    iam = cloud.client("iam")
    iam.create_user(UserName="ada")
    answer = iam.create_login_profile(UserName="ada", Password=f"{CANARY}-Aa1!")
    with pytest.raises(ClientError):
        iam.update_login_profile(UserName="ada", Password=CANARY * 20)
    assert event_of(cloud, answer).request["password"] == HIDDEN
    assert CANARY not in log()


def test_secret_keys_and_session_tokens(cloud: Cloud, log: Any) -> None:
    keys = user(cloud, "ada", allow("sts:*"))
    sts = cloud.client("sts", keys)
    arn = role(cloud, "runner", {"AWS": ACCOUNT})
    sessions = [
        sts.assume_role(RoleArn=arn, RoleSessionName="now")["Credentials"],
        sts.get_session_token()["Credentials"],
        sts.get_federation_token(Name="guest")["Credentials"],
    ]
    text = log()
    assert keys["AccessKeyId"] in text
    for secret in (keys["SecretAccessKey"], *(each[name] for each in sessions for name in _SECRET)):
        assert secret not in text


_SECRET = ("SecretAccessKey", "SessionToken")


def test_seeds_and_codes_of_devices(cloud: Cloud, log: Any) -> None:
    iam = cloud.client("iam")
    iam.create_user(UserName="ada")
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName="phone")["VirtualMFADevice"]
    with pytest.raises(ClientError):
        iam.enable_mfa_device(
            UserName="ada",
            SerialNumber=device["SerialNumber"],
            AuthenticationCode1="918273",
            AuthenticationCode2="546372",
        )
    text = log()
    assert device["Base32StringSeed"].decode() not in text
    assert base64.b64encode(device["QRCodePNG"]).decode()[:40] not in text
    assert "918273" not in text
    assert "546372" not in text


def test_keys_of_customers_bodies_and_metadata(cloud: Cloud, log: Any) -> None:
    s3 = bucket(cloud)
    key = hashlib.sha256(CANARY.encode()).digest()
    s3.put_object(
        Bucket="data", Key="b", Body=CANARY.encode(), SSECustomerAlgorithm="AES256", SSECustomerKey=key,
        Metadata={"note": CANARY},
    )  # fmt: skip
    text = log()
    assert "PutObject" in text
    assert CANARY not in text
    assert base64.b64encode(key).decode() not in text


def test_session_tokens_of_callers(cloud: Cloud, log: Any) -> None:
    bucket(cloud)
    session = cloud.client("sts").get_session_token()["Credentials"]
    cloud.client("s3", session).get_object(Bucket="data", Key="a/x.csv")
    text = log()
    assert session["AccessKeyId"] in text
    assert session["SessionToken"] not in text
    assert "Signature" not in text


def test_log_lines_are_not_kept(cloud: Cloud, log: Any) -> None:
    logs = cloud.client("logs")
    logs.create_log_group(logGroupName="g")
    logs.create_log_stream(logGroupName="g", logStreamName="s")
    logs.put_log_events(logGroupName="g", logStreamName="s", logEvents=[{"timestamp": 0, "message": CANARY}])
    assert CANARY not in log()


def test_environments_user_data_and_urls_are_hidden() -> None:
    parameters = Parameters(Models(["sagemaker", "ec2", "iam"]))
    job = {
        "TrainingJobName": "j",
        "Environment": {"A": CANARY},
        "HyperParameters": {"epochs": "3", "api_token": CANARY},
    }
    kept = parameters.of_request("sagemaker", "CreateTrainingJob", job)
    assert kept == {
        "trainingJobName": "j",
        "environment": HIDDEN,
        "hyperParameters": {"epochs": "3", "api_token": HIDDEN},
    }
    instance = parameters.of_request("ec2", "RunInstances", {"ImageId": "ami-1", "UserData": CANARY})
    assert instance == {"imageId": "ami-1", "userData": HIDDEN}
    url = parameters.of_answer(
        "sagemaker", "CreatePresignedNotebookInstanceUrl", {"AuthorizedUrl": f"http://x?token={CANARY}"}
    )
    assert CANARY not in str(url)


@pytest.mark.parametrize("service", sorted(services()))
def test_no_sensitive_member_and_no_bytes_of_any_operation_are_kept(service: str) -> None:
    """Fills every member of every request and answer with a canary where the model calls it sensitive, or bytes."""
    parameters = Parameters(Models([service]))
    model = Session().get_service_model(service)
    for name in model.operation_names:
        operation = model.operation_model(name)
        for shape, keep in (
            (operation.input_shape, parameters.of_request),
            (operation.output_shape, parameters.of_answer),
        ):
            if shape is not None:
                assert CANARY not in str(keep(service, name, _filled(shape, 7))), name


def _filled(shape: Any, depth: int, *, sensitive: bool = False) -> Any:
    sensitive = sensitive or bool(shape.metadata.get("sensitive"))

    def inner(member: Any) -> Any:
        return _filled(member, depth - 1, sensitive=sensitive) if depth else None

    match shape.type_name:
        case "structure":
            return {name: inner(each) for name, each in shape.members.items()}
        case "list":
            return [inner(shape.member)]
        case "map":
            return {"key": inner(shape.value)}
        case "blob":
            return CANARY.encode()
    return (CANARY if sensitive else "plain") if shape.type_name == "string" else 1
