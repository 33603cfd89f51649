from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pyotp
import pytest

from clary.auth.entities import MFA_DEVICE
from clary.auth.mfa import SEALED_SEED, MfaDevices
from clary.store.records import Record
from tests.auth.conftest import ACCOUNT, HandClock

if TYPE_CHECKING:
    from clary.store.keyring import Keyring
    from clary.store.records import Records

SERIAL = f"arn:aws:iam::{ACCOUNT}:mfa/phone"


class Phone:
    def __init__(self, records: Records, clock: HandClock, keyring: Keyring) -> None:
        self.clock = clock
        self.records = records
        self.devices = MfaDevices(records, clock, keyring)
        seed, sealed = self.devices.new_seed(SERIAL)
        self.totp = pyotp.TOTP(seed)
        now = clock.now()
        self.device = records.create(Record(MFA_DEVICE, ACCOUNT, "", "phone", SERIAL, {SEALED_SEED: sealed}, now, now))

    def code(self, steps: int = 0) -> str:
        return self.totp.at(self.clock.now() + timedelta(seconds=30 * steps))

    def stored(self) -> Record:
        found = self.records.by_arn(SERIAL)
        assert found
        return found

    def shows(self, code: str) -> bool:
        return self.devices.shows(self.stored(), code)


@pytest.fixture
def phone(records: Records, clock: HandClock, keyring: Keyring) -> Phone:
    return Phone(records, clock, keyring)


@pytest.mark.parametrize(("steps", "good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_code_is_good_for_a_short_while(phone: Phone, steps: int, good: bool) -> None:
    assert phone.shows(phone.code(steps)) is good


def test_of_two_callers_at_once_one_spends_the_code(phone: Phone) -> None:
    stale = phone.stored()
    assert phone.devices.spend(stale, phone.code())
    assert not phone.devices.spend(stale, phone.code())
    assert not phone.devices.spend(stale, phone.code(-1))
    assert phone.devices.spend(stale, phone.code(1))


def test_every_further_failure_locks_for_longer(phone: Phone) -> None:
    for _ in range(5):
        assert not phone.shows("000000")
    locks = []
    for _ in range(6):
        until = phone.stored().observed["LockedUntil"]
        locks.append(until - phone.clock.now().timestamp())
        assert not phone.shows(phone.code())
        phone.clock.advance(seconds=locks[-1] + 1)
        assert not phone.shows("000000")
    assert locks == [30, 60, 120, 240, 480, 900]
    phone.clock.advance(seconds=901)
    assert phone.devices.spend(phone.stored(), phone.code())
    assert phone.stored().observed["Failures"] == 0


def test_codes_are_no_numbers_of_other_alphabets(phone: Phone) -> None:
    assert not phone.shows("\uff11\uff12\uff13\uff14\uff15\uff16")
    assert not phone.shows("")


def test_deleted_device(phone: Phone) -> None:
    device = phone.stored()
    phone.records.delete(device)
    assert not phone.devices.spend(device, phone.code())
    assert not phone.devices.shows(device, "000000")
