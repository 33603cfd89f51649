from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyotp
import pytest

from tests.services.sts.conftest import ACCOUNT, ANYTHING, People, document, refusal, trust

if TYPE_CHECKING:
    from tests.cloud import Cloud


def test_caller_identity(cloud: Cloud, people: People) -> None:
    root = cloud.client("sts").get_caller_identity()
    assert (root["Account"], root["Arn"], root["UserId"]) == (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)
    ada = cloud.client("sts", people.user("ada")).get_caller_identity()
    assert ada["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/ada"
    assert ada["UserId"].startswith("AIDA")


def test_session_token(cloud: Cloud, people: People) -> None:
    sts = cloud.client("sts", people.user("ada"))
    issued = sts.get_session_token()["Credentials"]
    session = cloud.client("sts", issued)
    assert session.get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/ada"
    assert refusal(session.get_session_token) == (
        "AccessDenied",
        "Cannot call GetSessionToken with session credentials",
    )


def test_access_key_info(cloud: Cloud, people: People) -> None:
    key = people.user("ada")
    assert cloud.client("sts").get_access_key_info(AccessKeyId=key["AccessKeyId"])["Account"] == ACCOUNT
    assert refusal(cloud.client("sts").get_access_key_info, AccessKeyId="AKIAIOSFODNN7EXAMPLE")[0] == "ValidationError"


class Phone:
    """An authenticator app."""

    def __init__(self, cloud: Cloud, user: str) -> None:
        self.cloud = cloud
        iam = cloud.client("iam")
        device = iam.create_virtual_mfa_device(VirtualMFADeviceName=f"{user}-phone")["VirtualMFADevice"]
        self.serial = device["SerialNumber"]
        self.totp = pyotp.TOTP(device["Base32StringSeed"].decode())
        first, second = self.code(-30), self.code()
        iam.enable_mfa_device(
            UserName=user, SerialNumber=self.serial, AuthenticationCode1=first, AuthenticationCode2=second
        )
        cloud.clock.shift += timedelta(seconds=60)

    def code(self, later_s: int = 0) -> str:
        return self.totp.at(self.cloud.clock.now() + timedelta(seconds=later_s))

    def shown(self) -> dict[str, str]:
        return {"SerialNumber": self.serial, "TokenCode": self.code()}

    def wrong(self) -> dict[str, str]:
        return {"SerialNumber": self.serial, "TokenCode": str((int(self.code()) + 1) % 10**6).zfill(6)}


WRONG = ("AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code.")


def test_session_remembers_the_second_factor(cloud: Cloud, people: People) -> None:
    sts = cloud.client("sts", people.user("ada", ANYTHING))
    phone = Phone(cloud, "ada")
    issued = sts.get_session_token(**phone.shown())["Credentials"]
    found = cloud.parts.platform.credentials.find(issued["AccessKeyId"], issued["SessionToken"])
    assert found
    assert found.principal.mfa_at
    plain = sts.get_session_token()["Credentials"]
    found = cloud.parts.platform.credentials.find(plain["AccessKeyId"], plain["SessionToken"])
    assert found
    assert found.principal.mfa_at is None


def test_a_code_counts_once(cloud: Cloud, people: People) -> None:
    sts = cloud.client("sts", people.user("ada"))
    phone = Phone(cloud, "ada")
    shown = phone.shown()
    assert sts.get_session_token(**shown)["Credentials"]
    assert refusal(sts.get_session_token, **shown) == WRONG
    cloud.clock.shift += timedelta(seconds=30)
    assert sts.get_session_token(**phone.shown())["Credentials"]


def test_guessing_locks_the_device_for_a_while(cloud: Cloud, people: People) -> None:
    sts = cloud.client("sts", people.user("ada"))
    phone = Phone(cloud, "ada")
    for _ in range(5):
        assert refusal(sts.get_session_token, **phone.wrong()) == WRONG
    assert refusal(sts.get_session_token, **phone.shown()) == WRONG
    cloud.clock.shift += timedelta(seconds=31)
    assert sts.get_session_token(**phone.shown())["Credentials"]


def test_devices_of_others_and_halves(cloud: Cloud, people: People) -> None:
    sts = cloud.client("sts", people.user("ada"))
    people.user("bob")
    phone = Phone(cloud, "bob")
    code, message = refusal(sts.get_session_token, **phone.shown())
    assert (code, "associated with this user" in message) == ("AccessDenied", True)
    assert "must provide both" in refusal(sts.get_session_token, SerialNumber=phone.serial)[1]


def test_role_that_asks_for_a_second_factor(cloud: Cloud, people: People) -> None:
    sts = cloud.client("sts", people.user("ada", ANYTHING))
    phone = Phone(cloud, "ada")
    shown = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    role = {"RoleArn": people.role("guarded", trust({"AWS": ACCOUNT}, Condition=shown)), "RoleSessionName": "job"}
    assert refusal(sts.assume_role, **role)[0] == "AccessDenied"
    assert refusal(sts.assume_role, **role, **phone.wrong()) == WRONG
    code = phone.shown()
    issued = sts.assume_role(**role, **code)["Credentials"]
    assert cloud.client("sts", issued).get_caller_identity()
    assert refusal(sts.assume_role, **role, **code) == WRONG


def test_federated_user(cloud: Cloud, people: People) -> None:
    sts = cloud.client("sts", people.user("ada", ANYTHING))
    answer = sts.get_federation_token(Name="guest", Policy=document(Action="s3:ListAllMyBuckets", Resource="*"))
    assert answer["FederatedUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:federated-user/guest"
    assert answer["FederatedUser"]["FederatedUserId"] == f"{ACCOUNT}:guest"
    assert answer["PackedPolicySize"] > 0
    guest = answer["Credentials"]
    assert cloud.client("sts", guest).get_caller_identity()["Arn"] == answer["FederatedUser"]["Arn"]
    assert cloud.client("s3", guest).list_buckets()["Buckets"] == []
    assert refusal(cloud.client("s3", guest).create_bucket, Bucket="guests")[0] == "AccessDenied"
    role = people.role("worker", trust({"AWS": ACCOUNT}))
    assert refusal(cloud.client("sts", guest).assume_role, RoleArn=role, RoleSessionName="job")[0] == "AccessDenied"
    assert refusal(cloud.client("sts", guest).get_federation_token, Name="guest")[0] == "AccessDenied"


def test_federated_user_has_no_more_than_its_user(cloud: Cloud, people: People) -> None:
    allowed = document(Action=["sts:GetFederationToken", "s3:ListAllMyBuckets"], Resource="*")
    sts = cloud.client("sts", people.user("ada", allowed))
    everything = cloud.client("s3", sts.get_federation_token(Name="guest", Policy=ANYTHING)["Credentials"])
    assert everything.list_buckets()["Buckets"] == []
    assert refusal(everything.create_bucket, Bucket="guests")[0] == "AccessDenied"
    nothing = cloud.client("s3", sts.get_federation_token(Name="guest")["Credentials"])
    assert refusal(nothing.list_buckets)[0] == "AccessDenied"


def test_sessions_that_may_not_call_iam(cloud: Cloud, people: People) -> None:
    sts = cloud.client("sts", people.user("ada", ANYTHING))
    phone = Phone(cloud, "ada")
    assert cloud.client("iam", sts.get_session_token(**phone.shown())["Credentials"]).list_users()["Users"]
    for issued in (
        sts.get_session_token(),
        sts.get_federation_token(Name="guest", Policy=ANYTHING),
        cloud.client("sts").get_session_token(),
    ):
        code, message = refusal(cloud.client("iam", issued["Credentials"]).list_users)
        assert (code, message) == ("InvalidClientTokenId", "The security token included in the request is invalid.")


@pytest.mark.parametrize("operation", ["get_session_token", "get_federation_token"])
def test_sessions_start_no_sessions_of_users(cloud: Cloud, people: People, operation: str) -> None:
    issued = cloud.client("sts", people.user("ada", ANYTHING)).get_session_token()["Credentials"]
    arguments: dict[str, Any] = {"Name": "guest"} if operation == "get_federation_token" else {}
    name = "".join(part.title() for part in operation.split("_"))
    refused = refusal(getattr(cloud.client("sts", issued), operation), **arguments)
    assert refused == ("AccessDenied", f"Cannot call {name} with session credentials")


def test_messages_that_were_not_encoded_here(cloud: Cloud) -> None:
    sts = cloud.client("sts")
    for message in ("nonsense", "A" * 200, "é"):
        code, _ = refusal(sts.decode_authorization_message, EncodedMessage=message)
        assert code == "InvalidAuthorizationMessageException"


def test_why_ec2_refused(cloud: Cloud, people: People) -> None:
    denied = document(Effect="Deny", Sid="NoStop", Action="ec2:StopInstances", Resource="*")
    key = people.user("ada", denied)
    code, message = refusal(cloud.client("ec2", key).stop_instances, InstanceIds=["i-0123456789abcdef0"])
    assert code == "UnauthorizedOperation"
    encoded = message.rpartition("Encoded authorization failure message: ")[2]
    assert "ada" not in encoded
    refused = refusal(cloud.client("sts", key).decode_authorization_message, EncodedMessage=encoded)
    assert refused[0] == "AccessDenied"
    decoded = json.loads(cloud.client("sts").decode_authorization_message(EncodedMessage=encoded)["DecodedMessage"])
    assert (decoded["allowed"], decoded["explicitDeny"]) == (False, True)
    assert decoded["matchedStatements"]["items"][0]["statementId"] == "NoStop"
    assert decoded["context"]["action"] == "ec2:StopInstances"
    assert decoded["context"]["principal"]["arn"] == f"arn:aws:iam::{ACCOUNT}:user/ada"
