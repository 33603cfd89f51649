"""Virtual MFA devices: each one-time password counts once, and guessing is slowed down.

Source: RFC 6238, with steps of 30 seconds and six digits; "Multi-factor authentication", IAM user guide.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from pyotp import TOTP

from clary.store.records import Conflict

if TYPE_CHECKING:
    from clary.clock import Clock
    from clary.store.keyring import Keyring
    from clary.store.records import Record, Records

SEALED_SEED = "SealedSeed"
"""Member of the spec of a device."""

_SEED_BYTES = 40
_STEP_S = 30
_DRIFT_STEPS = 1
"""A code is good a step before and after its own, as clocks differ and people type slowly."""
_ENABLE_STEPS = 2
_RESYNC_STEPS = 60
_FREE_FAILURES = 5
_LONGEST_LOCK_S = 900


class _Refused(Exception):
    """The code is not the right one now."""


class MfaDevices:
    """Checks the codes of virtual MFA devices."""

    def __init__(self, records: Records, clock: Clock, keyring: Keyring) -> None:
        self._records = records
        self._clock = clock
        self._keyring = keyring

    def new_seed(self, serial: str) -> tuple[str, str]:
        """A fresh seed of the device with this serial number, in base 32, and as its record keeps it."""
        seed = base64.b32encode(secrets.token_bytes(_SEED_BYTES)).decode()
        return seed, self._keyring.seal_text(seed, _purpose(serial))

    def synchronise(self, device: Record, codes: tuple[str, str], *, first: bool) -> Record | None:
        """The device with its clock set by two codes that follow each other; None when they are not its own."""
        totp, now = self._totp(device), self._now_step()
        reach = _ENABLE_STEPS if first else _RESYNC_STEPS
        for skew in sorted(range(-reach, reach + 1), key=abs):
            step = now + skew
            if step <= device.observed.get("LastStep", -1):
                continue
            if _same(totp, step - 1, codes[0]) and _same(totp, step, codes[1]):
                kept = skew if abs(skew) > _DRIFT_STEPS else 0
                return replace(device, observed={**device.observed, "LastStep": step, "Skew": kept, "Failures": 0})
        return None

    def shows(self, device: Record, code: str) -> bool:
        """Whether `code` is a code of the device that has not been used; a wrong one counts as a failure."""
        if self._is_locked(device):
            return False
        if self._step(device, code) is not None:
            return True
        self._count_failure(device)
        return False

    def spend(self, device: Record, code: str) -> bool:
        """The same, and the code is used then: of two callers at once, one hears no."""

        def use(current: Record) -> Record:
            step = None if self._is_locked(current) else self._step(current, code)
            if step is None:
                raise _Refused
            return replace(current, observed={**current.observed, "LastStep": step, "Failures": 0})

        try:
            self._records.edit(device, use)
        except (_Refused, Conflict):
            return False
        return True

    def _step(self, device: Record, code: str) -> int | None:
        totp = self._totp(device)
        middle = self._now_step() + int(device.observed.get("Skew", 0))
        for step in range(middle - _DRIFT_STEPS, middle + _DRIFT_STEPS + 1):
            if step > device.observed.get("LastStep", -1) and _same(totp, step, code):
                return step
        return None

    def _is_locked(self, device: Record) -> bool:
        return self._clock.now().timestamp() < float(device.observed.get("LockedUntil", 0))

    def _count_failure(self, device: Record) -> None:
        """Every failure beyond the first few doubles the time in which no code counts."""
        now = self._clock.now().timestamp()

        def fail(current: Record) -> Record:
            failures = int(current.observed.get("Failures", 0)) + 1
            excess = failures - _FREE_FAILURES
            locked = now + min(_STEP_S * 2.0 ** min(excess, 10), _LONGEST_LOCK_S) if excess >= 0 else 0
            return replace(current, observed={**current.observed, "Failures": failures, "LockedUntil": locked})

        try:
            self._records.edit(device, fail)
        except Conflict:
            return  # it was deleted

    def _totp(self, device: Record) -> TOTP:
        return TOTP(self._keyring.open_text(device.spec[SEALED_SEED], _purpose(device.arn)))

    def _now_step(self) -> int:
        return int(self._clock.now().timestamp()) // _STEP_S


def _same(totp: TOTP, step: int, code: str) -> bool:
    return hmac.compare_digest(totp.at(step * _STEP_S).encode(), code.encode())


def _purpose(serial: str) -> str:
    return f"MFA seed:{serial}"
