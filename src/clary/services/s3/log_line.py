"""Lines of server access logs.

Source: "Amazon S3 server access log format", Amazon S3 user guide.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from clary.context import PrincipalKind
from clary.services.s3.bucket import canonical_id
from clary.services.s3.request_counts import received_bytes, sent_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clary.audit.trail import Attempt
    from clary.http import Request, Response
    from clary.store.records import Record

_RESOURCES: Mapping[str, str] = {
    "AbortMultipartUpload": "UPLOAD",
    "CompleteMultipartUpload": "UPLOAD",
    "CopyObject": "OBJECT",
    "CreateMultipartUpload": "UPLOADS",
    "DeleteObjects": "MULTI_OBJECT_DELETE",
    "GetObjectTagging": "OBJECT_TAGGING",
    "ListMultipartUploads": "UPLOADS",
    "ListObjectVersions": "BUCKETVERSIONS",
    "ListParts": "UPLOAD",
    "PutObjectTagging": "OBJECT_TAGGING",
    "DeleteObjectTagging": "OBJECT_TAGGING",
    "UploadPart": "PART",
    "UploadPartCopy": "PART",
}
"""How the log names what an operation is about, where it is neither the bucket nor the object as a whole."""

_SETTINGS = ("Acl", "Cors", "Encryption", "Lifecycle", "Location", "Logging", "Notification", "Policy", "Replication",
             "Retention", "Tagging", "Versioning", "Website")  # fmt: skip
_COPIES = ("CopyObject", "UploadPartCopy")


def log_line(http: Request, parameters: Mapping[str, str], attempt: Attempt, response: Response, bucket: Record) -> str:
    """What the log says of one request."""
    key = parameters.get("Key", "")
    size = _object_size(http, attempt)
    spent = str(int((time.perf_counter() - attempt.began) * 1000))
    uri = f"{http.path}?{http.query}" if http.query else http.path
    fields = (
        canonical_id(bucket.account),
        bucket.name,
        attempt.now.strftime("[%d/%b/%Y:%H:%M:%S +0000]"),
        http.client or "-",
        _requester(attempt),
        attempt.id,
        operation(http, key, attempt),
        # Source: "Key: the key part of the request, double URL-encoded".
        quote(quote(key)) or "-",
        _quoted(f"{http.method} {uri} HTTP/1.1"),
        str(response.status),
        attempt.error.code if attempt.error is not None else "-",
        _positive(sent_bytes(http, response)),
        size,
        spent,
        spent,
        _quoted(http.headers.get("referer", "")),
        _quoted(http.headers.get("user-agent", "")),
        str((attempt.request or {}).get("VersionId") or "-"),
        attempt.id,
        *_signature(http),
        http.headers.get("host") or "-",
        "TLSv1.3" if http.scheme == "https" else "-",
        "-",
        "-",
    )
    return " ".join(fields)


def operation(http: Request, key: str, attempt: Attempt) -> str:
    """The operation as logs name it, e.g. `REST.GET.OBJECT`."""
    name = attempt.operation
    method = "COPY" if name in _COPIES else http.method
    resource = _RESOURCES.get(name) or next((each.upper() for each in _SETTINGS if each in name), "")
    return f"REST.{method}.{resource or ('OBJECT' if key else 'BUCKET')}"


def _requester(attempt: Attempt) -> str:
    if attempt.ctx is None or attempt.ctx.principal.kind is PrincipalKind.ANONYMOUS:
        return "-"
    principal = attempt.ctx.principal
    return canonical_id(principal.account) if principal.kind is PrincipalKind.ROOT else principal.arn


def _object_size(http: Request, attempt: Attempt) -> str:
    if attempt.operation in ("PutObject", "UploadPart"):
        return _positive(received_bytes(http))
    answer = attempt.answer or {}
    whole = str(answer.get("ContentRange", "")).rpartition("/")[2] or answer.get("ContentLength")
    return _positive(whole) if attempt.operation in ("GetObject", "HeadObject") else "-"


def _signature(http: Request) -> tuple[str, str, str]:
    """Version of the signature, cipher, and where the signature stood."""
    header = http.headers.get("authorization", "")
    if header:
        return ("SigV4" if header.startswith("AWS4") else "SigV2"), "-", "AuthHeader"
    if "X-Amz-Signature=" in http.query:
        return "SigV4", "-", "QueryString"
    return ("SigV2", "-", "QueryString") if "Signature=" in http.query else ("-", "-", "-")


def _positive(value: object) -> str:
    text = str(value or "")
    return text if text.isdigit() and int(text) else "-"


def _quoted(text: str) -> str:
    """A field with quotes around it; what would end it, or the line, is escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"' if text else '"-"'
