from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from clary.cli import main
from clary.store.audit import segments
from tests.audit.world import refused, user
from tests.commands.test_explain import home

if TYPE_CHECKING:
    from tests.cloud import Cloud

Output = pytest.CaptureFixture[str]


def test_calls_are_told_newest_first(cloud: Cloud, capsys: Output) -> None:
    keys = user(cloud, "dora")
    cloud.client("sts", keys).get_caller_identity()
    refused(cloud, cloud.client("s3", keys).list_buckets)
    assert main(["audit", "--user", "dora", "--since", "1h", "--limit", "2", "--home", home(cloud)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "s3:ListBuckets" in first
    assert "AccessDenied" in first
    assert "sts:GetCallerIdentity" in second


def test_calls_are_told_as_records(cloud: Cloud, capsys: Output) -> None:
    cloud.client("iam").create_user(UserName="emil")
    arn = "arn:aws:iam::123456789012:user/emil"
    assert main(["audit", "--resource", arn, "--json", "--limit", "1", "--home", home(cloud)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["eventName"] == "CreateUser"


def test_verify_tells_whether_the_log_is_whole(cloud: Cloud, capsys: Output) -> None:
    cloud.client("iam").list_users()
    assert main(["audit", "--verify", "--home", home(cloud)]) == 0
    assert "nothing was changed or removed" in capsys.readouterr().out
    folder = cloud.parts.platform.settings.home / "audit"
    path = folder / segments.names(folder)[0]
    text = path.read_bytes()
    path.write_bytes(text.replace(b'"ListUsers"', b'"ListRoles"', 1))
    assert main(["audit", "--verify", "--home", home(cloud)]) == 1
    assert "the line was changed" in capsys.readouterr().out
    path.write_bytes(text)


def test_a_time_that_is_none_is_refused(cloud: Cloud, capsys: Output) -> None:
    assert main(["audit", "--since", "yesterday", "--home", home(cloud)]) == 1
    assert "yesterday" in capsys.readouterr().err
