"""Codes of MFA devices that callers show to STS."""

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


class SecondFactor:
    """Looks at the SerialNumber and TokenCode of a request."""

    def __init__(self, platform: Platform) -> None:
        self._records = platform.records
        self._devices = MfaDevices(platform.records, platform.clock, platform.keyring)

    def check(self, ctx: Context, request: Members) -> bool:
        """Whether the caller shows a good code, which is not used up yet; False when it shows none.

        Raises:
            AccessDenied: the code is wrong, was used, or is not one of the caller's device.
        """
        shown = self._shown(ctx, request)
        if shown is not None and not self._devices.shows(*shown):
            raise AccessDenied(_WRONG)
        return shown is not None

    def spend(self, ctx: Context, request: Members) -> bool:
        """The same, and the code counts no second time."""
        shown = self._shown(ctx, request)
        if shown is not None and not (self._devices.shows(*shown) and self._devices.spend(*shown)):
            raise AccessDenied(_WRONG)
        return shown is not None

    def _shown(self, ctx: Context, request: Members) -> tuple[Record, str] | None:
        serial, code = str(request.get("SerialNumber") or ""), str(request.get("TokenCode") or "")
        if not serial and not code:
            return None
        if not serial or not code:
            raise AccessDenied(_HALF)
        device = self._records.by_arn(serial)
        is_own = (
            ctx.principal.kind is PrincipalKind.USER
            and device is not None
            and device.kind == entities.MFA_DEVICE
            and device.spec.get(entities.OWNER) == ctx.principal.user_id
        )
        if device is None or not is_own:
            raise AccessDenied(_NOT_OWN)
        return device, code


_WRONG = "MultiFactorAuthentication failed with invalid MFA one time pass code."
_HALF = "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code."
_NOT_OWN = (
    "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and "
    "associated with this user."
)
