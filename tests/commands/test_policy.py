from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from clary.cli import main
from tests.audit.world import ACCOUNT, allow, role, user
from tests.commands.test_explain import home

if TYPE_CHECKING:
    from tests.cloud import Cloud

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLARY_ACCOUNT", ACCOUNT)


def test_the_policy_of_a_user(cloud: Cloud, capsys: Output) -> None:
    cloud.client("s3", user(cloud, "fred", allow("*"))).list_buckets()
    assert main(["policy", "from-usage", "fred", "--json", "--home", home(cloud)]) == 0
    policy = json.loads(capsys.readouterr().out)
    cloud.client("iam").create_policy(PolicyName="fred", PolicyDocument=json.dumps(policy))
    assert policy["Statement"][0]["Action"] == "s3:ListAllMyBuckets"
    assert main(["policy", "from-usage", "fred", "--home", home(cloud)]) == 0
    assert "made 1 calls in the last 90 days, with 1 different permissions" in capsys.readouterr().out


def test_the_policy_of_a_role_is_made_from_all_its_sessions(cloud: Cloud, capsys: Output) -> None:
    arn = role(cloud, "worker", {"AWS": ACCOUNT}, allow("s3:*", "iam:*"))
    sts = cloud.client("sts", user(cloud, "gina", allow("sts:*")))
    first, second = (sts.assume_role(RoleArn=arn, RoleSessionName=name)["Credentials"] for name in ("one", "two"))
    cloud.client("s3", first).list_buckets()
    cloud.client("iam", second).list_users()
    assert main(["policy", "from-usage", "worker", "--json", "--home", home(cloud)]) == 0
    statements = json.loads(capsys.readouterr().out)["Statement"]
    assert [statement["Action"] for statement in statements] == ["iam:ListUsers", "s3:ListAllMyBuckets"]


@pytest.mark.parametrize(
    ("name", "message"), [("nobody", "there is no user or role nobody"), ("idle", "used nothing in the last 90 days")]
)
def test_what_cannot_be_made_is_said(cloud: Cloud, capsys: Output, name: str, message: str) -> None:
    user(cloud, "idle")
    assert main(["policy", "from-usage", name, "--home", home(cloud)]) == 1
    assert message in capsys.readouterr().err
