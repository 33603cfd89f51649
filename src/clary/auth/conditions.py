"""The condition block of a statement.

Source: "IAM JSON policy elements: Condition operators" and "... with multiple context keys or values", IAM user guide.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address, ip_network
from operator import eq, ge, gt, le, lt
from typing import Any

from clary.auth.patterns import Lookup, arn_glob, fill, glob

Condition = Callable[[Lookup], bool]
Comparison = Callable[[str, str, Lookup], bool]
"""Whether a value of the request (first) satisfies a value of the policy (second)."""


class InvalidCondition(ValueError):
    """The condition block names an operator that does not exist, or has the wrong shape."""


def compile_block(block: Mapping[str, Mapping[str, Any]]) -> tuple[Condition, ...]:
    """The conditions of a block; all must hold.

    Raises:
        InvalidCondition: an operator does not exist.
    """
    if not isinstance(block, Mapping):
        raise InvalidCondition("Syntax errors in policy.")
    conditions = []
    for operator, keys in block.items():
        if not isinstance(keys, Mapping):
            raise InvalidCondition("Syntax errors in policy.")
        for key, values in keys.items():
            texts = [_text(value) for value in (values if isinstance(values, list) else [values])]
            conditions.append(_compile(operator, key.lower(), texts))
    return tuple(conditions)


def _compile(operator: str, key: str, wanted: list[str]) -> Condition:
    quantifier, _, plain = operator.rpartition(":")
    if quantifier not in ("", "ForAllValues", "ForAnyValue"):
        raise InvalidCondition(f"Invalid Condition type : {operator}.")
    if plain == "Null":
        return partial(_null, key, wanted)
    optional = plain.endswith("IfExists")
    name = plain.removesuffix("IfExists")
    if name not in OPERATORS:
        raise InvalidCondition(f"Invalid Condition type : {operator}.")
    comparison, negated = OPERATORS[name]
    one = partial(_fits_none if negated else _fits_one, comparison, wanted)
    if quantifier == "ForAllValues":
        return lambda lookup: all(one(value, lookup) for value in lookup(key) or ())
    if quantifier == "ForAnyValue":
        return lambda lookup: any(one(value, lookup) for value in lookup(key) or ()) or _absent(optional, key, lookup)
    # A key that is not there fits no operator, save the negated ones.
    return partial(_single, one, key, optional or negated)


def _single(one: Callable[[str, Lookup], bool], key: str, absent: bool, lookup: Lookup) -> bool:
    values = lookup(key)
    if not values:
        return absent
    return any(one(value, lookup) for value in values)


def _absent(optional: bool, key: str, lookup: Lookup) -> bool:
    return optional and lookup(key) is None


def _null(key: str, wanted: list[str], lookup: Lookup) -> bool:
    return ("true" if lookup(key) is None else "false") in [value.lower() for value in wanted]


def _fits_one(comparison: Comparison, wanted: list[str], value: str, lookup: Lookup) -> bool:
    return any(comparison(value, each, lookup) for each in wanted)


def _fits_none(comparison: Comparison, wanted: list[str], value: str, lookup: Lookup) -> bool:
    return not _fits_one(comparison, wanted, value, lookup)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _equals(value: str, wanted: str, lookup: Lookup) -> bool:
    return value == fill(wanted, lookup)


def _equals_ignore_case(value: str, wanted: str, lookup: Lookup) -> bool:
    filled = fill(wanted, lookup)
    return filled is not None and value.lower() == filled.lower()


def _like(value: str, wanted: str, lookup: Lookup) -> bool:
    return glob(wanted, value, lookup)


def _arn(value: str, wanted: str, lookup: Lookup) -> bool:
    return arn_glob(wanted, value, lookup)


def _bool(value: str, wanted: str, _lookup: Lookup) -> bool:
    return value.lower() == wanted.lower()


def _binary(value: str, wanted: str, _lookup: Lookup) -> bool:
    try:
        return base64.b64decode(value, validate=True) == base64.b64decode(wanted, validate=True)
    except binascii.Error:
        return False


def _numeric(compare: Callable[[float, float], bool], value: str, wanted: str, _lookup: Lookup) -> bool:
    try:
        return compare(float(value), float(wanted))
    except ValueError:
        return False


def _date(compare: Callable[[datetime, datetime], bool], value: str, wanted: str, _lookup: Lookup) -> bool:
    try:
        return compare(_moment(value), _moment(wanted))
    except (ValueError, OverflowError):
        return False


def _moment(text: str) -> datetime:
    """A time in ISO 8601 or in seconds since 1970."""
    if text.lstrip("-").replace(".", "", 1).isdigit():
        return datetime.fromtimestamp(float(text), UTC)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _ip(value: str, wanted: str, _lookup: Lookup) -> bool:
    try:
        return ip_address(value) in ip_network(wanted, strict=False)
    except ValueError:
        return False


OPERATORS: Mapping[str, tuple[Comparison, bool]] = {
    "StringEquals": (_equals, False),
    "StringNotEquals": (_equals, True),
    "StringEqualsIgnoreCase": (_equals_ignore_case, False),
    "StringNotEqualsIgnoreCase": (_equals_ignore_case, True),
    "StringLike": (_like, False),
    "StringNotLike": (_like, True),
    "NumericEquals": (partial(_numeric, eq), False),
    "NumericNotEquals": (partial(_numeric, eq), True),
    "NumericLessThan": (partial(_numeric, lt), False),
    "NumericLessThanEquals": (partial(_numeric, le), False),
    "NumericGreaterThan": (partial(_numeric, gt), False),
    "NumericGreaterThanEquals": (partial(_numeric, ge), False),
    "DateEquals": (partial(_date, eq), False),
    "DateNotEquals": (partial(_date, eq), True),
    "DateLessThan": (partial(_date, lt), False),
    "DateLessThanEquals": (partial(_date, le), False),
    "DateGreaterThan": (partial(_date, gt), False),
    "DateGreaterThanEquals": (partial(_date, ge), False),
    "Bool": (_bool, False),
    "BinaryEquals": (_binary, False),
    "IpAddress": (_ip, False),
    "NotIpAddress": (_ip, True),
    # The exact and the wildcard form of ARN operators behave alike on AWS.
    "ArnEquals": (_arn, False),
    "ArnLike": (_arn, False),
    "ArnNotEquals": (_arn, True),
    "ArnNotLike": (_arn, True),
}
"""How each operator compares, and whether it holds when nothing fits."""
