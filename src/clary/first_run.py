"""What a new installation finds: root's credentials in a file, an execution role, settings for the SageMaker SDKs."""

from __future__ import annotations

import json
import os
from configparser import ConfigParser
from typing import TYPE_CHECKING

import yaml

from clary.auth.entities import ACCESS_KEY
from clary.context import Context, Principal, PrincipalKind
from clary.store.records import Query

if TYPE_CHECKING:
    from pathlib import Path

    from clary.platform import Platform
    from clary.settings import Settings

ROLE = "ClaryExecutionRole"
"""The execution role that is there from the start, for those who have not made their own yet."""

POLICIES = ("AmazonSageMakerFullAccess", "AmazonS3FullAccess")


def profile(home: Path) -> Path:
    """The file with root's credentials, in the format of `~/.aws/credentials`."""
    return home / "credentials"


def sdk_config(home: Path) -> Path:
    """The defaults file of the SageMaker SDKs: a default bucket that needs no STS, telemetry off."""
    return home / "sagemaker-config.yaml"


def default_bucket(settings: Settings) -> str:
    """The bucket that the SageMaker SDKs use when they are given none."""
    return f"sagemaker-{settings.region}-{settings.account}"


def role_arn(settings: Settings) -> str:
    """The ARN of the execution role that is there from the start."""
    return f"arn:aws:iam::{settings.account}:role/{ROLE}"


def prepare(platform: Platform) -> None:
    """Makes what is missing; safe to repeat at every start."""
    _write_profile(platform)
    _write_sdk_config(platform.settings)
    if platform.records.get("role", platform.settings.account, "", ROLE) is None:
        _create_role(platform)


def _write_profile(platform: Platform) -> None:
    path = profile(platform.settings.home)
    if path.exists():
        return
    root = platform.records.list(Query(ACCESS_KEY, platform.settings.account, where=(("UserName", ""),), limit=1))[0]
    parser = ConfigParser()
    parser["default"] = {
        "aws_access_key_id": root.name,
        "aws_secret_access_key": platform.credentials.secret_of(root),
    }
    # Made private before anything is in it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        parser.write(file)


def _write_sdk_config(settings: Settings) -> None:
    modules = {"TelemetryOptOut": True, "Session": {"DefaultS3Bucket": default_bucket(settings)}}
    content = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": modules}}}
    sdk_config(settings.home).write_text(yaml.safe_dump(content))


def _create_role(platform: Platform) -> None:
    account = platform.settings.account
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"},
            {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"},
        ],
    }
    create = {"RoleName": ROLE, "AssumeRolePolicyDocument": json.dumps(trust), "MaxSessionDuration": 43200}
    _as_root(platform, "CreateRole", create)
    for policy in POLICIES:
        _as_root(platform, "AttachRolePolicy", {"RoleName": ROLE, "PolicyArn": f"arn:aws:iam::aws:policy/{policy}"})


def _as_root(platform: Platform, operation: str, request: dict[str, object]) -> None:
    settings = platform.settings
    arn = f"arn:aws:iam::{settings.account}:root"
    root = Principal(PrincipalKind.ROOT, settings.account, arn, settings.account)
    ctx = Context("first-run", settings.account, settings.region, root, "iam", operation, platform.clock.now())
    platform.invoke.handler("iam", operation)(ctx, request)
