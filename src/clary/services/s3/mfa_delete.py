"""MFA delete: versions go, and versioning changes, only for those who show a code of their device.

Source: "Configuring MFA delete", Amazon S3 user guide. There the device is root's; here IAM gives devices to users, so
a user's own device counts, and any device of the account for root.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.auth import entities
from clary.auth.mfa import MfaDevices
from clary.context import PrincipalKind
from clary.errors import AccessDenied

if TYPE_CHECKING:
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Members
    from clary.store.records import Record


def is_on(bucket: Record) -> bool:
    """Whether the bucket asks for codes."""
    return bool(bucket.spec.get("Versioning", {}).get("MFADelete") == "Enabled")


def refuse_without_code(platform: Platform, ctx: Context, request: Members) -> None:
    """Accepts a request whose `x-amz-mfa` header shows a good code of the caller's device, once.

    Raises:
        AccessDenied: it does not.
    """
    serial, _, code = str(request.get("MFA") or "").strip().rpartition(" ")
    device = platform.records.by_arn(serial) if serial else None
    if device is None or device.kind != entities.MFA_DEVICE or not _is_own(ctx, device):
        raise AccessDenied("Mfa Authentication must be used for this request")
    devices = MfaDevices(platform.records, platform.clock, platform.keyring)
    if not (devices.shows(device, code) and devices.spend(device, code)):
        raise AccessDenied("Mfa Authentication must be used for this request")


def _is_own(ctx: Context, device: Record) -> bool:
    owner = device.spec.get(entities.OWNER)
    if ctx.principal.kind is PrincipalKind.ROOT:
        return bool(owner) and device.account == ctx.principal.account
    return bool(owner == ctx.principal.user_id)
