"""Passwords of users: how they are kept, and what the account asks of them.

Source: "Set an account password policy for IAM users", IAM user guide.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import string
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from clary.auth.entities import LOGIN_PROFILE, PASSWORD_POLICY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clary.store.records import Record, Records

Policy = dict[str, Any]

DEFAULT: Mapping[str, Any] = {
    "MinimumPasswordLength": 6,
    "RequireSymbols": False,
    "RequireNumbers": False,
    "RequireUppercaseCharacters": False,
    "RequireLowercaseCharacters": False,
    "AllowUsersToChangePassword": False,
    "HardExpiry": False,
}
"""What UpdateAccountPasswordPolicy sets where the request is silent."""

SYMBOLS = "!@#$%^&*()_+-=[]{}|'"
_WITHOUT_POLICY_LENGTH = 8
_WITHOUT_POLICY_CLASSES = 3
_CLASSES = {
    "RequireUppercaseCharacters": ("uppercase letter", string.ascii_uppercase),
    "RequireLowercaseCharacters": ("lowercase letter", string.ascii_lowercase),
    "RequireNumbers": ("number", string.digits),
    "RequireSymbols": ("symbol", SYMBOLS),
}
_COST, _BLOCK, _LANES = 2**14, 8, 1
"""The parameters of scrypt, which takes about 50 ms and 16 MiB with them."""


def hashed(password: str) -> str:
    """A password as it is kept: parameters, salt and scrypt's digest."""
    salt = secrets.token_bytes(16)
    return f"scrypt${_COST}${_BLOCK}${_LANES}${_text(salt)}${_text(_digest(password, salt, _COST, _BLOCK, _LANES))}"


def matches(password: str, kept: str) -> bool:
    """Whether `password` is the one that was hashed."""
    _, cost, block, lanes, salt, digest = kept.split("$")
    given = _digest(password, base64.b64decode(salt), int(cost), int(block), int(lanes))
    return hmac.compare_digest(given, base64.b64decode(digest))


def policy_of(records: Records, account: str) -> Policy | None:
    """The account's password policy, None when it has none of its own."""
    record = records.get(PASSWORD_POLICY, account, "", PASSWORD_POLICY)
    return None if record is None else record.spec


def login_profile(records: Records, user: Record) -> Record | None:
    """The record of a user's password."""
    return records.get(LOGIN_PROFILE, user.account, "", user.observed["UserId"])


def violations(policy: Policy | None, password: str, user_name: str, former: list[str]) -> Iterator[str]:
    """What is wrong with a new password, in AWS's words; `former` are the earlier ones as kept, the newest first."""
    if policy is None:
        yield from _default_violations(password, user_name)
        return
    length = policy["MinimumPasswordLength"]
    if len(password) < length:
        yield f"Password should have a minimum length of {length}"
    for member, (name, characters) in _CLASSES.items():
        if policy[member] and not set(password) & set(characters):
            yield f"Password should have at least one {name}"
    if any(matches(password, each) for each in former[: policy.get("PasswordReusePrevention", 0)]):
        yield "Password has been used too recently"


def expires(policy: Policy | None, profile: Record) -> datetime | None:
    """When a password must be changed, None for never."""
    days = (policy or {}).get("MaxPasswordAge")
    return datetime.fromisoformat(profile.observed["Changed"]) + timedelta(days=days) if days else None


def _default_violations(password: str, user_name: str) -> Iterator[str]:
    if len(password) < _WITHOUT_POLICY_LENGTH:
        yield f"Password should have a minimum length of {_WITHOUT_POLICY_LENGTH}"
    used = [name for name, characters in _CLASSES.values() if set(password) & set(characters)]
    missing = [name for name, _ in _CLASSES.values() if name not in used]
    if len(used) < _WITHOUT_POLICY_CLASSES:
        yield f"Password should have at least one {missing[0]}"
    if password.casefold() == user_name.casefold():
        yield "Password should not be the same as the name of the user"


def _digest(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=cost, r=block, p=lanes, maxmem=64 << 20)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
