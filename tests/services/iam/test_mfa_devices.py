from __future__ import annotations

import base64
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyotp
import pytest

from tests.services.iam.conftest import ACCOUNT, refusal

if TYPE_CHECKING:
    from tests.cloud import Cloud


class Device:
    def __init__(self, cloud: Cloud, name: str = "phone") -> None:
        self.cloud = cloud
        self.iam = cloud.client("iam")
        self.made = self.iam.create_virtual_mfa_device(VirtualMFADeviceName=name, Path="/phones/")["VirtualMFADevice"]
        self.serial = self.made["SerialNumber"]
        self.totp = pyotp.TOTP(self.made["Base32StringSeed"].decode())

    def codes(self, later_s: int = 0) -> dict[str, str]:
        moment = self.cloud.clock.now() + timedelta(seconds=later_s)
        first, second = self.totp.at(moment - timedelta(seconds=30)), self.totp.at(moment)
        return {"AuthenticationCode1": first, "AuthenticationCode2": second}

    def enable(self, user: str = "ada", **codes: str) -> None:
        self.iam.enable_mfa_device(UserName=user, SerialNumber=self.serial, **(codes or self.codes()))


@pytest.fixture
def device(cloud: Cloud, iam: Any) -> Device:
    iam.create_user(UserName="ada")
    return Device(cloud)


def test_new_device(device: Device, iam: Any) -> None:
    assert device.serial == f"arn:aws:iam::{ACCOUNT}:mfa/phones/phone"
    assert len(base64.b32decode(device.made["Base32StringSeed"])) == 40
    assert device.made["QRCodePNG"].startswith(b"\x89PNG")
    assert refusal(iam.create_virtual_mfa_device, VirtualMFADeviceName="Phone", Path="/phones/") == (
        "EntityAlreadyExists",
        "MFADevice entity at the same path and name already exists.",
    )
    assert iam.list_virtual_mfa_devices()["VirtualMFADevices"] == [{"SerialNumber": device.serial}]
    iam.delete_virtual_mfa_device(SerialNumber=device.serial)
    assert refusal(iam.delete_virtual_mfa_device, SerialNumber=device.serial) == (
        "NoSuchEntity",
        f"VirtualMFADevice with serial number {device.serial} doesn't exist.",
    )


def test_seed_is_sealed(device: Device) -> None:
    record = device.cloud.parts.platform.records.by_arn(device.serial)
    assert device.made["Base32StringSeed"].decode() not in repr(record)


def test_life_with_a_user(device: Device, iam: Any) -> None:
    device.enable()
    listed = iam.list_mfa_devices(UserName="ada")["MFADevices"]
    assert [(each["UserName"], each["SerialNumber"]) for each in listed] == [("ada", device.serial)]
    assert iam.get_mfa_device(SerialNumber=device.serial)["UserName"] == "ada"
    assert iam.list_virtual_mfa_devices(AssignmentStatus="Unassigned")["VirtualMFADevices"] == []
    assigned = iam.list_virtual_mfa_devices(AssignmentStatus="Assigned")["VirtualMFADevices"]
    assert assigned[0]["User"]["UserName"] == "ada"
    assert iam.get_account_summary()["SummaryMap"]["MFADevicesInUse"] == 1
    conflict = "Cannot delete entity, must delete MFA device first."
    assert refusal(iam.delete_user, UserName="ada") == ("DeleteConflict", conflict)
    assert refusal(iam.delete_virtual_mfa_device, SerialNumber=device.serial)[0] == "DeleteConflict"
    iam.deactivate_mfa_device(UserName="ada", SerialNumber=device.serial)
    assert iam.list_mfa_devices(UserName="ada")["MFADevices"] == []
    iam.delete_user(UserName="ada")


def test_wrong_codes(device: Device) -> None:
    good = device.codes()
    refused = ("InvalidAuthenticationCode", "Authentication code for device is not valid.")
    swapped = {"AuthenticationCode1": good["AuthenticationCode2"], "AuthenticationCode2": good["AuthenticationCode1"]}
    same = {"AuthenticationCode1": good["AuthenticationCode2"], "AuthenticationCode2": good["AuthenticationCode2"]}
    for codes in (swapped, same, device.codes(-600)):
        assert refusal(device.enable, **codes) == refused
    device.enable(**good)


def test_device_of_somebody(device: Device, iam: Any) -> None:
    device.enable()
    iam.create_user(UserName="bob")
    assert refusal(device.enable, user="bob") == ("EntityAlreadyExists", "MFA Device is already in use.")
    assert refusal(iam.deactivate_mfa_device, UserName="bob", SerialNumber=device.serial)[0] == "NoSuchEntity"


def test_resync_sets_the_clock_of_the_device(device: Device, cloud: Cloud, iam: Any) -> None:
    device.enable()
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    cloud.clock.shift = timedelta(minutes=5)  # the phone is five minutes behind now
    behind = {"SerialNumber": device.serial, "TokenCode": device.codes(-240)["AuthenticationCode2"]}
    sts = cloud.client("sts", key)
    assert refusal(sts.get_session_token, **behind)[0] == "AccessDenied"
    iam.resync_mfa_device(UserName="ada", SerialNumber=device.serial, **device.codes(-270))
    assert sts.get_session_token(**behind)["Credentials"]
