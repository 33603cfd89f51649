from __future__ import annotations

from typing import Any

from tests.services.iam.conftest import allowing, refusal


def test_keys_of_policies(iam: Any) -> None:
    one = allowing(
        "s3:*", "arn:aws:s3:::home/${aws:username}/*", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    )
    two = allowing("s3:*", Condition={"StringEquals": {"AWS:sourceip": "x", "s3:prefix": "${aws:userid, 'none'}${*}"}})
    names = iam.get_context_keys_for_custom_policy(PolicyInputList=[one, two])["ContextKeyNames"]
    assert names == ["aws:SourceIp", "aws:username", "s3:prefix", "aws:userid"]
    assert refusal(iam.get_context_keys_for_custom_policy, PolicyInputList=["{}"])[0] == "InvalidInput"


def test_keys_of_a_user_and_its_groups(iam: Any) -> None:
    iam.create_group(GroupName="staff")
    user = iam.create_user(UserName="ada")["User"]["Arn"]
    iam.add_user_to_group(GroupName="staff", UserName="ada")
    document = allowing("s3:*", Condition={"Bool": {"aws:SecureTransport": "true"}})
    iam.put_group_policy(GroupName="staff", PolicyName="p", PolicyDocument=document)
    further = allowing("s3:*", Condition={"Null": {"aws:TokenIssueTime": "true"}})
    names = iam.get_context_keys_for_principal_policy(PolicySourceArn=user, PolicyInputList=[further])
    assert names["ContextKeyNames"] == ["aws:SecureTransport", "aws:TokenIssueTime"]
    unknown = f"{user}x"
    assert refusal(iam.get_context_keys_for_principal_policy, PolicySourceArn=unknown)[0] == "NoSuchEntity"
