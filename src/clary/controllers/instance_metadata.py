"""The instance metadata service: what an instance asks about itself, its role's credentials above all.

Source: "Use instance metadata to manage your EC2 instance" in the EC2 user guide. Each instance has an address of its
own, below the platform's, that nobody else can guess.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson

from clary.auth import entities
from clary.auth.workloads import run_of
from clary.controllers.identity import SECRET
from clary.http import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from clary.platform import Platform
    from clary.store.records import Record

PREFIX = "/_clary/imds/"
EC2 = "ec2.amazonaws.com"
SESSION = timedelta(hours=6)

_LONGEST_TOKEN_S = 21600
_TOKEN = "x-aws-ec2-metadata-token"  # noqa: S105  # the name of a header
_TTL = f"{_TOKEN}-ttl-seconds"
_VERSION = re.compile(r"latest|\d{4}-\d{2}-\d{2}|1\.0")
_TIME = "%Y-%m-%dT%H:%M:%SZ"

Tree = dict[str, Any]
"""Folders are dictionaries, files are texts or functions that give them."""

LISTING = ""
"""Member of a folder that is listed by something else than the names in it."""


def endpoint(address: str, record: Record) -> str:
    """Where the instance finds its metadata."""
    identity = "/".join((record.account, record.region, record.name))
    return f"{address}{PREFIX}{identity}/{record.observed[SECRET]}/"


class MetadataPage:
    """Answers instances."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def __call__(self, http: Request) -> Response:
        """A session token, or one item of the metadata."""
        record, path = self._asked(http.path)
        if record is None or _options(record).get("HttpEndpoint") == "disabled":
            return _refused(403)
        if path == "latest/api/token":
            return self._token(http, record)
        if http.method not in {"GET", "HEAD"}:
            return _refused(405)
        if not self._may_ask(http, record):
            return _refused(401)
        return self._item(record, path)

    def _asked(self, path: str) -> tuple[Record | None, str]:
        parts = path.removeprefix(PREFIX).split("/", 4)
        if len(parts) != 5:
            return None, ""
        account, region, name, secret, rest = parts
        record = self._platform.records.get("instance", account, region, name)
        known = record.observed.get(SECRET, "") if record is not None else ""
        if not known or not hmac.compare_digest(known.encode(), secret.encode()):
            return None, ""
        return record, rest.lstrip("/")

    # Session tokens: a time and its seal, so that none need be remembered

    def _token(self, http: Request, record: Record) -> Response:
        if http.method != "PUT":
            return _refused(405)
        if "x-forwarded-for" in http.headers:
            return _refused(403)
        wanted = http.headers.get(_TTL, "")
        if not wanted.isdigit() or not 1 <= int(wanted) <= _LONGEST_TOKEN_S:
            return _refused(400)
        expires = int(self._platform.clock.now().timestamp()) + int(wanted)
        return Response(200, {"content-type": "text/plain", _TTL: wanted}, _seal(record, str(expires)).encode())

    def _may_ask(self, http: Request, record: Record) -> bool:
        token = http.headers.get(_TOKEN)
        if token is None:
            return bool(_options(record).get("HttpTokens") == "optional")
        return self._is_valid(record, token)

    def _is_valid(self, record: Record, token: str) -> bool:
        expires = token.partition(".")[0]
        if not expires.isdigit() or int(expires) < self._platform.clock.now().timestamp():
            return False
        return hmac.compare_digest(_seal(record, expires).encode(), token.encode())

    # Items

    def _item(self, record: Record, path: str) -> Response:
        version, _, rest = path.partition("/")
        if not _VERSION.fullmatch(version):
            return _refused(404)
        found: Any = self._tree(record)
        for part in [part for part in rest.split("/") if part]:
            found = found.get(part) if isinstance(found, dict) else None
        if callable(found):
            found = found()
        if isinstance(found, dict):
            found = found.get(LISTING) or "\n".join(
                f"{name}/" if isinstance(item, dict) else name for name, item in found.items()
            )
        if found is None:
            return _refused(404)
        content = found if isinstance(found, bytes) else found.encode()
        return Response(200, {"content-type": "text/plain"}, content)

    def _tree(self, record: Record) -> Tree:
        tree: Tree = {
            "dynamic": {"instance-identity": {"document": lambda: _document(record)}},
            "meta-data": self._metadata(record),
        }
        if record.spec.get("UserData"):
            tree["user-data"] = base64.b64decode(record.spec["UserData"])
        return tree

    def _metadata(self, record: Record) -> Tree:
        spec, observed = record.spec, record.observed
        address: str = observed["PrivateIpAddress"]
        domain = "ec2.internal" if record.region == "us-east-1" else f"{record.region}.compute.internal"
        name = f"ip-{address.replace('.', '-')}.{domain}"
        tree: Tree = {
            "ami-id": spec["ImageId"],
            "ami-launch-index": str(observed["AmiLaunchIndex"]),
            "hostname": name,
            "instance-action": "none",
            "instance-id": record.name,
            "instance-life-cycle": "on-demand",
            "instance-type": spec["InstanceType"],
            "local-hostname": name,
            "local-ipv4": address,
            "placement": {"availability-zone": spec["AvailabilityZone"], "region": record.region},
            "reservation-id": observed["ReservationId"],
            "security-groups": "\n".join(group["GroupName"] for group in observed["Groups"]),
            "services": {"domain": "amazonaws.com", "partition": "aws"},
        }
        key = self._platform.records.get("key-pair", record.account, record.region, spec.get("KeyName") or "")
        if key is not None:
            tree["public-keys"] = {LISTING: f"0={key.name}", "0": {"openssh-key": key.observed["PublicKey"]}}
        if _options(record).get("InstanceMetadataTags") == "enabled" and record.tags:
            tree["tags"] = {"instance": dict(record.tags)}
        if observed.get("IamInstanceProfile"):
            tree["iam"] = self._iam(record)
        return tree

    def _iam(self, record: Record) -> Tree:
        profile = record.observed["IamInstanceProfile"]
        now = self._platform.clock.now().strftime(_TIME)
        info = {
            "Code": "Success",
            "LastUpdated": now,
            "InstanceProfileArn": profile["Arn"],
            "InstanceProfileId": profile["Id"],
        }
        found = self._platform.records.by_arn(profile["Arn"])
        roles = found.spec.get("Roles", ()) if found is not None else ()
        credentials = {role: self._credentials_of(record, role) for role in roles}
        return {"info": orjson.dumps(info, option=orjson.OPT_INDENT_2), "security-credentials": credentials}

    def _credentials_of(self, record: Record, name: str) -> Callable[[], bytes | None]:
        def give() -> bytes | None:
            role = self._platform.records.get(entities.ROLE, record.account, "", name)
            if role is None:
                return None
            return orjson.dumps(self._credentials(record, role), option=orjson.OPT_INDENT_2)

        return give

    def _credentials(self, record: Record, role: Record) -> dict[str, str]:
        moment = self._platform.clock.now()
        now = moment.strftime(_TIME)
        if not self._platform.authorizer.trusts_service(role, EC2):
            text = (
                f"EC2 cannot assume the role {role.name}. Please see documentation at "
                "https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_iam-ec2.html#troubleshoot_iam-ec2_errors-info-doc."
            )
            return {"Code": "AssumeRoleUnauthorizedAccess", "Message": text, "LastUpdated": now}
        issued = self._platform.credentials.issue_session(role, record.name, SESSION, run=run_of(record))
        self._platform.invoke.trail.handed_out(role, record.name, issued, EC2, moment)
        return {
            "Code": "Success",
            "LastUpdated": now,
            "Type": "AWS-HMAC",
            "AccessKeyId": issued["AccessKeyId"],
            "SecretAccessKey": issued["SecretAccessKey"],
            "Token": issued["SessionToken"],
            "Expiration": issued["Expiration"].strftime(_TIME),
        }


def _options(record: Record) -> dict[str, Any]:
    return record.spec.get("MetadataOptions") or {}


def _document(record: Record) -> bytes:
    """The instance identity document; unsigned, as nobody outside could check a signature of this machine."""
    launched = str(record.observed["LaunchTime"])
    content = {
        "accountId": record.account,
        "availabilityZone": record.spec["AvailabilityZone"],
        "imageId": record.spec["ImageId"],
        "instanceId": record.name,
        "instanceType": record.spec["InstanceType"],
        "pendingTime": f"{launched[:19]}Z",
        "privateIp": record.observed["PrivateIpAddress"],
        "region": record.region,
        "version": "2017-09-30",
    }
    return orjson.dumps(content, option=orjson.OPT_INDENT_2)


def _seal(record: Record, expires: str) -> str:
    digest = hmac.new(record.observed[SECRET].encode(), expires.encode(), hashlib.sha256).digest()
    return f"{expires}.{base64.urlsafe_b64encode(digest).decode()}"


_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
}


def _refused(status: int) -> Response:
    text = f"{status} - {_TITLES[status]}"
    return Response(status, {"content-type": "text/plain"}, text.encode())
