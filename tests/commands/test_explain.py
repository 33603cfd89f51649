from __future__ import annotations

import json
from typing import TYPE_CHECKING

from clary.cli import main
from tests.audit.world import refused, user

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.cloud import Cloud


def home(cloud: Cloud) -> str:
    return str(cloud.parts.platform.settings.home)


def test_the_last_refusal_is_explained(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    explanation = refused(cloud, cloud.client("s3", user(cloud, "ada")).list_buckets)
    assert main(["explain", "--home", home(cloud)]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Request {explanation.event.id}\n")
    assert "User ada has no policy at all." in " ".join(text.split())


def test_a_call_is_explained_by_its_id_as_json(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    identifier = cloud.client("iam").list_users()["ResponseMetadata"]["RequestId"]
    assert main(["explain", identifier, "--json", "--home", home(cloud)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["event"]["eventName"] == "ListUsers"
    assert [verdict["allowed"] for verdict in told["verdicts"]] == [True]


def test_what_is_not_there_is_said(cloud: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "no-such-id", "--home", home(cloud)]) == 1
    assert "there is no request no-such-id in the audit log" in capsys.readouterr().err
    assert main(["explain", "x", "--home", str(tmp_path)]) == 1
    assert "nothing was ever asked" in capsys.readouterr().err
