from __future__ import annotations

from typing import Any

import pytest

from tests.services.iam.conftest import READ, TRUST, refusal


def _user(iam: Any) -> dict[str, str]:
    iam.create_user(UserName="x")
    return {"UserName": "x"}


def _role(iam: Any) -> dict[str, str]:
    iam.create_role(RoleName="x", AssumeRolePolicyDocument=TRUST)
    return {"RoleName": "x"}


def _policy(iam: Any) -> dict[str, str]:
    return {"PolicyArn": iam.create_policy(PolicyName="x", PolicyDocument=READ)["Policy"]["Arn"]}


def _instance_profile(iam: Any) -> dict[str, str]:
    iam.create_instance_profile(InstanceProfileName="x")
    return {"InstanceProfileName": "x"}


def _mfa_device(iam: Any) -> dict[str, str]:
    made = iam.create_virtual_mfa_device(VirtualMFADeviceName="x")
    return {"SerialNumber": made["VirtualMFADevice"]["SerialNumber"]}


def _open_id_connect_provider(iam: Any) -> dict[str, str]:
    made = iam.create_open_id_connect_provider(Url="https://idp.example")
    return {"OpenIDConnectProviderArn": made["OpenIDConnectProviderArn"]}


def _saml_provider(iam: Any) -> dict[str, str]:
    metadata = "<EntityDescriptor/>".ljust(1000)
    return {"SAMLProviderArn": iam.create_saml_provider(Name="x", SAMLMetadataDocument=metadata)["SAMLProviderArn"]}


@pytest.mark.parametrize(
    "make", [_user, _role, _policy, _instance_profile, _mfa_device, _open_id_connect_provider, _saml_provider]
)
def test_tags(iam: Any, make: Any) -> None:
    named = make(iam)
    thing = make.__name__
    tag, untag = getattr(iam, f"tag{thing}"), getattr(iam, f"untag{thing}")
    listed = getattr(iam, f"list{thing}_tags")
    tag(**named, Tags=[{"Key": "Team", "Value": "blue"}, {"Key": "cost", "Value": "1"}])
    tag(**named, Tags=[{"Key": "team", "Value": "red"}])
    assert listed(**named)["Tags"] == [{"Key": "cost", "Value": "1"}, {"Key": "team", "Value": "red"}]
    page = listed(**named, MaxItems=1)
    assert (len(page["Tags"]), page["IsTruncated"]) == (1, True)
    assert len(listed(**named, Marker=page["Marker"])["Tags"]) == 1
    untag(**named, TagKeys=["TEAM", "unknown"])
    assert listed(**named)["Tags"] == [{"Key": "cost", "Value": "1"}]


def test_tags_that_are_refused(iam: Any) -> None:
    named = _user(iam)
    twice = [{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]
    duplicate = ("InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    assert refusal(iam.tag_user, **named, Tags=twice) == duplicate
    assert refusal(iam.create_user, UserName="y", Tags=twice) == duplicate
    assert refusal(iam.tag_user, **named, Tags=[{"Key": "aws:x", "Value": ""}])[0] == "InvalidInput"
    iam.tag_user(**named, Tags=[{"Key": str(number), "Value": ""} for number in range(50)])
    assert refusal(iam.tag_user, **named, Tags=[{"Key": "one more", "Value": ""}])[0] == "LimitExceeded"
    iam.tag_user(**named, Tags=[{"Key": "7", "Value": "new"}])
    unknown = "arn:aws:iam::123456789012:mfa/none"
    assert refusal(iam.tag_mfa_device, SerialNumber=unknown, Tags=[{"Key": "a", "Value": ""}])[0] == "NoSuchEntity"
    aws = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    assert refusal(iam.tag_policy, PolicyArn=aws, Tags=[{"Key": "a", "Value": ""}])[0] == "UnmodifiableEntity"
