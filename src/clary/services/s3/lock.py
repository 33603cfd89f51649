"""Object Lock: versions that nobody may delete until a date, or while a legal hold lasts.

Deleting itself is refused by the store, inside of the transaction that deletes.

Source: "Locking objects with Object Lock", Amazon S3 user guide.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from clary.services.s3.access import Target, object_check
from clary.services.s3.bucket import bucket_of, edit
from clary.services.s3.errors import (
    InvalidArgument,
    InvalidBucketState,
    InvalidRequest,
    MalformedXML,
    NoSuchObjectLockConfiguration,
    ObjectLockConfigurationNotFoundError,
)
from clary.services.s3.reading import readable
from clary.store.objects.lock import COMPLIANCE, GOVERNANCE, Locked, retained

if TYPE_CHECKING:
    from clary.api import s3 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.objects import Version
    from clary.store.records import Record

CONFIGURATION = "ObjectLockConfiguration"
ENABLED: Document = {"ObjectLockEnabled": "Enabled"}
MAX_DAYS = 36_500
DAYS_OF_YEAR = 365

_MODES = (GOVERNANCE, COMPLIANCE)
_CHECKSUMS = ("ContentMD5", "ChecksumAlgorithm")


class ObjectLock:
    """Locks on buckets and on versions."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def put_object_lock_configuration(self, ctx: Context, request: api.PutObjectLockConfigurationRequest) -> None:
        """Turns locking on for a bucket, for good, and says how long new objects are retained by default."""
        bucket = bucket_of(self._platform, request)
        configuration: Members = request.get("ObjectLockConfiguration") or {}
        _refuse_configuration(configuration)

        def change(spec: Document) -> None:
            if spec.get("Versioning", {}).get("Status") != "Enabled":
                raise InvalidBucketState(
                    "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
                )
            spec[CONFIGURATION] = configuration

        edit(self._platform, bucket, ctx, change)

    def get_object_lock_configuration(self, _: Context, request: api.GetObjectLockConfigurationRequest) -> Document:
        """What a bucket locks."""
        configuration = bucket_of(self._platform, request).spec.get(CONFIGURATION)
        if configuration is None:
            raise ObjectLockConfigurationNotFoundError("Object Lock configuration does not exist for this bucket")
        return {CONFIGURATION: configuration}

    def put_object_retention(self, ctx: Context, request: api.PutObjectRetentionRequest) -> None:
        """Says until when a version is kept; a time that runs may only become longer."""
        version = self._version(ctx, request)
        retention = _retention(request.get("Retention") or {}, ctx)
        bypass = may_bypass(self._platform, ctx, bucket_of(self._platform, request), request)

        def change(lock: dict[str, Any]) -> None:
            weaker = retained(lock, ctx.now.timestamp()) and not _keeps(lock, retention)
            if weaker and (lock["Mode"] == COMPLIANCE or not bypass):
                raise Locked
            for name in ("Mode", "RetainUntil"):
                lock.pop(name, None)
            lock.update(retention)

        self._platform.objects.index.edit(version, lambda meta: change(meta.lock))

    def get_object_retention(self, ctx: Context, request: api.GetObjectRetentionRequest) -> Document:
        """Until when a version is kept."""
        lock = self._version(ctx, request).meta.lock
        if "Mode" not in lock:
            raise NoSuchObjectLockConfiguration
        return {"Retention": {"Mode": lock["Mode"], "RetainUntilDate": _moment(lock)}}

    def put_object_legal_hold(self, ctx: Context, request: api.PutObjectLegalHoldRequest) -> None:
        """Holds a version, or lets it go."""
        held = _is_on((request.get("LegalHold") or {}).get("Status"))
        version = self._version(ctx, request)
        self._platform.objects.index.edit(version, lambda meta: meta.lock.update(LegalHold=held))

    def get_object_legal_hold(self, ctx: Context, request: api.GetObjectLegalHoldRequest) -> Document:
        """Whether a version is held."""
        lock = self._version(ctx, request).meta.lock
        if "LegalHold" not in lock:
            raise NoSuchObjectLockConfiguration
        return {"LegalHold": {"Status": "ON" if lock["LegalHold"] else "OFF"}}

    def _version(self, ctx: Context, request: Members) -> Version:
        bucket = bucket_of(self._platform, request)
        _refuse_without_lock(bucket)
        return readable(self._platform, ctx, bucket, request["Key"], request.get("VersionId"))


def lock_of(ctx: Context, request: Members, bucket: Record) -> dict[str, Any]:
    """How a new object is locked: as the request says, or as the bucket does by default.

    Raises:
        ServiceError: the bucket has no locks, or the lock is incomplete.
    """
    mode, until = request.get("ObjectLockMode"), request.get("ObjectLockRetainUntilDate")
    hold = request.get("ObjectLockLegalHoldStatus")
    if not (mode or until or hold):
        return _default(ctx, bucket)
    _refuse_without_lock(bucket)
    if bool(mode) != bool(until):
        raise InvalidArgument(
            "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied",
            "x-amz-object-lock-retain-until-date" if mode else "x-amz-object-lock-mode",
        )
    if mode and mode not in _MODES:
        raise InvalidArgument("Unknown wormMode directive.", "x-amz-object-lock-mode", mode)
    lock = _retention({"Mode": mode, "RetainUntilDate": until}, ctx) if mode else _default(ctx, bucket)
    return {**lock, "LegalHold": _is_on(hold)} if hold else lock


def refuse_unchecked(request: Members) -> None:
    """Accepts an upload with a lock only when the client vouches for its bytes.

    Raises:
        InvalidRequest: it does not.
    """
    locks = request.get("ObjectLockMode") or request.get("ObjectLockLegalHoldStatus")
    if locks and not any(name in _CHECKSUMS or name.startswith("Checksum") for name in request if request[name]):
        raise InvalidRequest(
            "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters"
        )


def lock_members(platform: Platform, ctx: Context, bucket: Record, version: Version) -> Document:
    """What the headers of an answer tell of a lock, to those who may know."""
    lock = version.meta.lock
    if not lock:
        return {}
    target, decide = Target(bucket, version.key), platform.authorizer.decision
    members: Document = {}
    if "Mode" in lock and decide(ctx, object_check(platform, ctx, target, "s3:GetObjectRetention")).allowed:
        members.update(ObjectLockMode=lock["Mode"], ObjectLockRetainUntilDate=_moment(lock))
    if "LegalHold" in lock and decide(ctx, object_check(platform, ctx, target, "s3:GetObjectLegalHold")).allowed:
        members["ObjectLockLegalHoldStatus"] = "ON" if lock["LegalHold"] else "OFF"
    return members


def may_bypass(platform: Platform, ctx: Context, bucket: Record, request: Members) -> bool:
    """Whether a request asks to pass over retention in governance mode, and may."""
    if not request.get("BypassGovernanceRetention"):
        return False
    check = object_check(platform, ctx, Target(bucket, request["Key"]), "s3:BypassGovernanceRetention")
    return platform.authorizer.decision(ctx, check).allowed


def _default(ctx: Context, bucket: Record) -> dict[str, Any]:
    retention = bucket.spec.get(CONFIGURATION, {}).get("Rule", {}).get("DefaultRetention")
    if not retention:
        return {}
    days = retention.get("Days") or retention["Years"] * DAYS_OF_YEAR
    return {"Mode": retention["Mode"], "RetainUntil": (ctx.now + timedelta(days=days)).timestamp()}


def _retention(asked: Members, ctx: Context) -> dict[str, Any]:
    """What is kept of a retention; nothing of an empty one, which takes the retention away."""
    mode, until = asked.get("Mode"), asked.get("RetainUntilDate")
    if not mode and not until:
        return {}
    if mode not in _MODES or not isinstance(until, datetime):
        raise MalformedXML
    if until <= ctx.now:
        raise InvalidArgument("The retain until date must be in the future!", "RetainUntilDate", until)
    return {"Mode": mode, "RetainUntil": until.timestamp()}


def _keeps(lock: Members, retention: Members) -> bool:
    """Whether a new retention protects at least as much."""
    return bool(retention) and retention["Mode"] == lock["Mode"] and retention["RetainUntil"] >= lock["RetainUntil"]


def _refuse_configuration(configuration: Members) -> None:
    if configuration.get("ObjectLockEnabled") != "Enabled":
        raise MalformedXML
    if "Rule" not in configuration:
        return
    retention = (configuration["Rule"] or {}).get("DefaultRetention") or {}
    period = [retention[name] for name in ("Days", "Years") if retention.get(name) is not None]
    if retention.get("Mode") not in _MODES or len(period) != 1:
        raise MalformedXML
    if period[0] <= 0:
        raise InvalidArgument("Default retention period must be a positive integer value.")
    if period[0] * (1 if "Days" in retention else DAYS_OF_YEAR) > MAX_DAYS:
        raise InvalidArgument("Default retention period too large")


def _refuse_without_lock(bucket: Record) -> None:
    if CONFIGURATION not in bucket.spec:
        raise InvalidRequest("Bucket is missing Object Lock Configuration")


def _is_on(status: str | None) -> bool:
    if status not in ("ON", "OFF"):
        raise MalformedXML
    return status == "ON"


def _moment(lock: Members) -> datetime:
    return datetime.fromtimestamp(lock["RetainUntil"], UTC)
