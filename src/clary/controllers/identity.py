"""Acting as the execution role of a record, and handing its credentials to the workload."""

from __future__ import annotations

import hmac
import secrets
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

import orjson

from clary.auth.credentials import role_session
from clary.auth.workloads import SECRET as SECRET  # noqa: PLC0414  # for the controllers
from clary.auth.workloads import run_of
from clary.context import Context
from clary.http import Request, Response

if TYPE_CHECKING:
    from clary.platform import Platform
    from clary.store.records import Record

PREFIX = "/_clary/credentials/"
SESSION = timedelta(hours=1)


class RoleGone(Exception):
    """The execution role was deleted."""


def role_context(platform: Platform, record: Record, role_arn: str, service: str, operation: str) -> Context:
    """A context in which `operation` is called as the execution role.

    Raises:
        RoleGone: there is no such role any more.
    """
    role = platform.records.by_arn(role_arn)
    if role is None:
        raise RoleGone(f"The execution role {role_arn} does not exist.")
    return Context(
        request_id=str(uuid.uuid4()),
        account=record.account,
        region=record.region,
        principal=role_session(role, "SageMaker"),
        service=service,
        operation=operation,
        now=platform.clock.now(),
        endpoint=platform.settings.endpoint,
    )


def new_secret() -> str:
    """A password for the credentials page."""
    return secrets.token_urlsafe(32)


def environment(platform: Platform, record: Record, secret: str) -> dict[str, str]:
    """What boto3 inside the workload needs to reach the platform as the execution role."""
    endpoint = platform.settings.endpoint
    identity = "/".join((record.kind, record.account, record.region, record.name))
    return {
        "AWS_REGION": record.region,
        "AWS_DEFAULT_REGION": record.region,
        "AWS_ENDPOINT_URL": endpoint,
        "S3_ENDPOINT_URL": endpoint,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{endpoint}{PREFIX}{identity}",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": secret,
    }


class CredentialsPage:
    """Answers a workload's question for the credentials of its execution role, in the format of ECS."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def __call__(self, http: Request) -> Response:
        """Temporary credentials for the record named in the path, if the password is right."""
        record = self._record(http.path.removeprefix(PREFIX))
        expected = record.observed.get(SECRET, "") if record else ""
        given = http.headers.get("authorization", "")
        if record is None or not expected or not hmac.compare_digest(expected.encode(), given.encode()):
            return Response(403, {"content-type": "application/json"}, b'{"message":"Forbidden"}')
        role = self._platform.records.by_arn(record.spec.get("RoleArn") or record.observed.get("RoleArn", ""))
        if role is None:
            return Response(
                404, {"content-type": "application/json"}, b'{"message":"The execution role does not exist."}'
            )
        issued = self._platform.credentials.issue_session(role, "SageMaker", SESSION, run=run_of(record))
        now = self._platform.clock.now()
        self._platform.invoke.trail.handed_out(role, "SageMaker", issued, "sagemaker.amazonaws.com", now)
        answer = {
            "RoleArn": role.arn,
            "AccessKeyId": issued["AccessKeyId"],
            "SecretAccessKey": issued["SecretAccessKey"],
            "Token": issued["SessionToken"],
            "Expiration": issued["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return Response(200, {"content-type": "application/json"}, orjson.dumps(answer))

    def _record(self, path: str) -> Record | None:
        parts = path.split("/")
        return self._platform.records.get(parts[0], parts[1], parts[2], parts[3]) if len(parts) == 4 else None
