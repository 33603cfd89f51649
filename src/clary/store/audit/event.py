"""One call as the log keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

READ_ONLY = ("Get", "Describe", "List", "Head", "Search", "Lookup", "Simulate", "Filter", "BatchGet", "Select", "Query")
"""Operations that begin so change nothing."""

_READING = frozenset(("AssumeRole", "AssumeRoleWithWebIdentity", "AssumeRoleWithSAML", "DecodeAuthorizationMessage"))
"""Further ones: CloudTrail counts handing out credentials as reading."""

_WRITING = frozenset(("GetSessionToken", "GetFederationToken"))
_OBJECTS = frozenset(
    (
        "AbortMultipartUpload", "CompleteMultipartUpload", "CopyObject", "CreateMultipartUpload", "DeleteObject",
        "DeleteObjectTagging", "DeleteObjects", "GetObject", "GetObjectAcl", "GetObjectAttributes",
        "GetObjectLegalHold", "GetObjectRetention", "GetObjectTagging", "HeadBucket", "HeadObject",
        "ListMultipartUploads", "ListObjectVersions", "ListObjects", "ListObjectsV2", "ListParts", "OptionsObject",
        "PostObject", "PutObject", "PutObjectAcl", "PutObjectLegalHold", "PutObjectRetention", "PutObjectTagging",
        "RestoreObject", "SelectObjectContent", "UploadPart", "UploadPartCopy",
    )
)  # fmt: skip
_DATA = {
    "s3": _OBJECTS,
    "sagemaker-runtime": frozenset(("InvokeEndpoint", "InvokeEndpointAsync", "InvokeEndpointWithResponseStream")),
    "cloudwatch": frozenset(("GetMetricData", "GetMetricStatistics", "ListMetrics", "PutMetricData")),
    "logs": frozenset(("FilterLogEvents", "GetLogEvents", "PutLogEvents")),
}
"""What works on data rather than on resources. Source: "Logging data events", CloudTrail user guide."""


_SOURCES = {"cloudwatch": "monitoring", "sagemaker-runtime": "sagemaker", "sagemaker-metrics": "sagemaker"}
"""Services that CloudTrail calls by another name than botocore does."""


def is_management(service: str, operation: str) -> bool:
    """Whether CloudTrail counts an operation among the management events."""
    return operation not in _DATA.get(service, ())


def is_read_only(operation: str) -> bool:
    """Whether an operation changes nothing."""
    return operation in _READING or (operation.startswith(READ_ONLY) and operation not in _WRITING)


def tells_answer(operation: str) -> bool:
    """Whether CloudTrail keeps the answer to an operation: that of reading it does not."""
    return operation in _READING or not is_read_only(operation)


@dataclass(frozen=True, slots=True)
class Who:
    """The caller; a call that could not be authenticated has the access key that it claimed, and no more."""

    kind: str = "unknown"
    """As `context.PrincipalKind` has it."""
    account: str = ""
    arn: str = ""
    id: str = ""
    name: str = ""
    role: str = ""
    """The ARN of the role of a session."""
    key: str = ""
    mfa: bool = False
    source_identity: str = ""

    @property
    def entity(self) -> str:
        """The ARN of the user or role whose policies count."""
        return self.role or self.arn

    @property
    def username(self) -> str:
        """What CloudTrail calls the user name: that of a user, or of the session of a role."""
        if self.kind == "root":
            return "root"
        return self.arn.rpartition("/")[2] if self.role else self.name


@dataclass(frozen=True, slots=True)
class Event:
    """One call: who, from where, what, on what, with which answer and why."""

    id: str
    """The id of the request, which is also that of the event."""
    time: int
    """In milliseconds since 1970."""
    who: Who
    service: str
    """As botocore names it."""
    operation: str
    region: str
    account: str
    """The account that owns what is addressed."""
    ip: str = ""
    agent: str = ""
    via: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)
    response: Mapping[str, Any] | None = None
    status: int = 200
    code: str = ""
    """The code of the error; empty when it succeeded."""
    message: str = ""
    us: int = 0
    """How long it took, in microseconds, up to the first byte of the answer."""
    checks: Sequence[Mapping[str, Any]] = ()
    """What was decided about each permission: action, resource, kind of the policy, statement, `refused`."""
    refusal: Mapping[str, Any] | None = None
    """What the evaluation of the first refused check saw beside the stored policies, to explain it later."""

    @classmethod
    def of(cls, line: bytes | str) -> Event:
        """The event of a line.

        Raises:
            ValueError: the line is no event.
        """
        members = orjson.loads(line)
        try:
            return cls(**{**members, "who": Who(**members.get("who", {}))})
        except TypeError as error:
            raise ValueError(str(error)) from error

    @property
    def moment(self) -> datetime:
        """When the platform received it."""
        return datetime.fromtimestamp(self.time / 1000, UTC)

    @property
    def source(self) -> str:
        """The service as CloudTrail names it: `s3.amazonaws.com`."""
        return f"{_SOURCES.get(self.service, self.service)}.amazonaws.com"

    @property
    def resources(self) -> list[str]:
        """The ARNs of what it was about, each once."""
        return list(dict.fromkeys(check["resource"] for check in self.checks if check["resource"] != "*"))

    @property
    def read_only(self) -> bool:
        """Whether it could change nothing."""
        return is_read_only(self.operation)

    @property
    def management(self) -> bool:
        """Whether it was about resources rather than about their data."""
        return is_management(self.service, self.operation)
