from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from pyotp import TOTP

from tests.services.s3.conftest import error_of

if TYPE_CHECKING:
    from tests.cloud import Cloud

BUCKET = "careful"
ON = {"Status": "Enabled", "MFADelete": "Enabled"}


class Device:
    """A device of a user, whose codes are shown one after the other."""

    def __init__(self, cloud: Cloud) -> None:
        iam = cloud.client("iam")
        iam.create_user(UserName="ada")
        made = iam.create_virtual_mfa_device(VirtualMFADeviceName="phone")["VirtualMFADevice"]
        self._serial = made["SerialNumber"]
        seed = made["Base32StringSeed"]
        self._totp = TOTP((seed if isinstance(seed, bytes) else base64.b64decode(seed)).decode())
        self._cloud = cloud
        now = cloud.clock.now().timestamp()
        self._step = int(now) // 30
        codes = [self._totp.at((self._step + shift) * 30) for shift in (-2, -1)]
        iam.enable_mfa_device(
            UserName="ada", SerialNumber=self._serial, AuthenticationCode1=codes[0], AuthenticationCode2=codes[1]
        )

    def show(self) -> str:
        """The header for the next code."""
        code = self._totp.at(self._step * 30)
        self._step += 1
        return f"{self._serial} {code}"


@pytest.fixture
def s3(cloud: Cloud) -> Any:
    client = cloud.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return client


def test_versions_go_with_a_code_only(cloud: Cloud, s3: Any) -> None:
    device = Device(cloud)
    needed = "Mfa Authentication must be used for this request"
    assert error_of(s3.put_bucket_versioning, Bucket=BUCKET, VersioningConfiguration=ON)["Message"] == needed
    used = device.show()
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration=ON, MFA=used)
    told = s3.get_bucket_versioning(Bucket=BUCKET)
    assert (told["Status"], told["MFADelete"]) == ("Enabled", "Enabled")
    version = {"Bucket": BUCKET, "Key": "k", "VersionId": s3.put_object(Bucket=BUCKET, Key="k")["VersionId"]}
    for arguments in ({}, {"MFA": used}, {"MFA": "arn:aws:iam::123456789012:mfa/none 123456"}):
        assert error_of(s3.delete_object, **version, **arguments)["Message"] == needed
    objects = {"Objects": [{"Key": "k", "VersionId": version["VersionId"]}]}
    assert error_of(s3.delete_objects, Bucket=BUCKET, Delete=objects)["Code"] == "AccessDenied"
    assert s3.delete_object(Bucket=BUCKET, Key="k")["DeleteMarker"]
    s3.delete_object(**version, MFA=device.show())
