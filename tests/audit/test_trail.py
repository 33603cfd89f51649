from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from tests.audit.world import event_of

if TYPE_CHECKING:
    from tests.cloud import Cloud


def test_a_call_is_kept_with_who_what_and_the_answer(cloud: Cloud) -> None:
    answer = cloud.client("iam").create_user(UserName="ada", Tags=[{"Key": "team", "Value": "a"}])
    event = event_of(cloud, answer)
    assert (event.who.kind, event.who.account) == ("root", "123456789012")
    assert event.who.key == cloud.root["aws_access_key_id"]
    assert (event.service, event.operation, event.region, event.status) == ("iam", "CreateUser", "eu-west-1", 200)
    assert event.request == {"userName": "ada", "tags": [{"key": "team", "value": "a"}]}
    assert event.response
    assert event.response["user"]["userName"] == "ada"
    assert event.resources == ["arn:aws:iam::123456789012:user/ada"]
    assert "Botocore" in event.agent
    assert event.management
    assert not event.read_only


def test_an_error_is_kept_with_its_code_and_message(cloud: Cloud) -> None:
    with pytest.raises(ClientError) as caught:
        cloud.client("iam").get_user(UserName="nobody")
    event = event_of(cloud, caught.value.response)
    assert (event.code, event.status, event.response) == ("NoSuchEntity", 404, None)
    assert event.message == "The user with name nobody cannot be found."


def test_an_unknown_key_is_kept_as_it_was_claimed(cloud: Cloud) -> None:
    keys = {"AccessKeyId": "AKIA" + "X" * 16, "SecretAccessKey": "y" * 40}
    with pytest.raises(ClientError) as caught:
        cloud.client("iam", keys).list_users()
    event = event_of(cloud, caught.value.response)
    assert (event.who.key, event.who.arn, event.code) == (keys["AccessKeyId"], "", "InvalidClientTokenId")
    assert event.operation == "ListUsers"
