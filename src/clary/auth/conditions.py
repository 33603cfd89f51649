"""The condition block of a statement.

Source: "IAM JSON policy elements: Condition operators" and "... with multiple context keys or values", IAM user guide.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache, partial
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from operator import eq, ge, gt, le, lt
from typing import Any

from clary.auth.patterns import Lookup, arn_glob, fill, matcher, without_variables

Condition = Callable[[Lookup], bool]
Test = Callable[[str, Lookup], bool]
"""Whether a value of the request is one of those that the policy wants."""

_MAX_ADDRESSES = 1000
_NUMBER = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?")
_MONTH = re.compile(r"(\d{4})(?:-(\d\d))?")


class InvalidCondition(ValueError):
    """The condition block names an operator that does not exist, or has the wrong shape."""


def compile_block(block: Mapping[str, Mapping[str, Any]], *, variables: bool = True) -> tuple[Condition, ...]:
    """The conditions of a block, all of which must hold; without `variables`, `${` stands for itself.

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
            wanted = texts if variables else [without_variables(text) for text in texts]
            conditions.append(_compile(operator, key.lower(), wanted))
    return tuple(conditions)


def _compile(operator: str, key: str, wanted: list[str]) -> Condition:
    quantifier, _, plain = operator.rpartition(":")
    if quantifier not in _QUANTIFIED:
        raise InvalidCondition(f"Invalid Condition type : {operator}.")
    if plain == "Null":
        return partial(_null, key, wanted)
    name = plain.removesuffix("IfExists")
    if name not in OPERATORS:
        raise InvalidCondition(f"Invalid Condition type : {operator}.")
    test, negated = OPERATORS[name]
    return partial(_QUANTIFIED[quantifier], test(wanted), key, negated, name != plain)


def _single(test: Test, key: str, negated: bool, optional: bool, lookup: Lookup) -> bool:
    """Whether the value is wanted; a key that is not there fits no operator, save the negated ones."""
    values = lookup(key)
    if not values:
        return optional or negated
    for value in values:
        if test(value, lookup):
            return not negated
    return negated


def _for_all(test: Test, key: str, negated: bool, optional: bool, lookup: Lookup) -> bool:  # noqa: ARG001  # as the others
    """Whether every value is wanted, which holds for none as well."""
    return all(test(value, lookup) is not negated for value in lookup(key) or () if value)


def _for_any(test: Test, key: str, negated: bool, optional: bool, lookup: Lookup) -> bool:
    """Whether some value is wanted."""
    values = lookup(key)
    if values is None:
        return optional
    return any(test(value, lookup) is not negated for value in values if value)


_QUANTIFIED: Mapping[str, Callable[[Test, str, bool, bool, Lookup], bool]] = {
    "": _single,
    "ForAllValues": _for_all,
    "ForAnyValue": _for_any,
}


def _null(key: str, wanted: list[str], lookup: Lookup) -> bool:
    return ("false" if lookup(key) else "true") in [value.lower() for value in wanted]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _equals(wanted: list[str]) -> Test:
    fixed = frozenset(each for each in wanted if "${" not in each)
    variable = [each for each in wanted if "${" in each]
    if not variable:
        return lambda value, _lookup: value in fixed
    return lambda value, lookup: value in fixed or any(value == fill(each, lookup) for each in variable)


def _equals_ignore_case(wanted: list[str]) -> Test:
    fixed = frozenset(each.lower() for each in wanted if "${" not in each)
    variable = [each for each in wanted if "${" in each]

    def test(value: str, lookup: Lookup) -> bool:
        return value.lower() in fixed or any(
            filled.lower() == value.lower() for each in variable if (filled := fill(each, lookup)) is not None
        )

    return test


def _arn(wanted: list[str]) -> Test:
    return lambda value, lookup: any(arn_glob(each, value, lookup) for each in wanted)


def _bool(wanted: list[str]) -> Test:
    fixed = frozenset(each.lower() for each in wanted)
    return lambda value, _lookup: value.lower() in fixed


def _binary(wanted: list[str]) -> Test:
    fixed = {data for each in wanted if (data := _bytes(each)) is not None}
    return lambda value, _lookup: _bytes(value) in fixed


def _bytes(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _numeric(compare: Callable[[Any, Any], bool], wanted: list[str]) -> Test:
    return _compared(compare, _number, wanted)


def _date(compare: Callable[[Any, Any], bool], wanted: list[str]) -> Test:
    return _compared(compare, _moment, wanted)


def _compared(compare: Callable[[Any, Any], bool], read: Callable[[str], Any], wanted: list[str]) -> Test:
    """A comparison of values that are read from text; what cannot be read compares with nothing."""
    fixed = [data for each in wanted if (data := read(each)) is not None]

    def test(value: str, _lookup: Lookup) -> bool:
        data = read(value)
        return data is not None and any(compare(data, each) for each in fixed)

    return test


def _number(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _moment(text: str) -> datetime | None:
    """A time in the forms of ISO 8601 that W3C's note lists, or in seconds since 1970."""
    try:
        if match := _MONTH.fullmatch(text):
            return datetime(int(match[1]), int(match[2] or 1), 1, tzinfo=UTC)
        if _NUMBER.fullmatch(text):
            return datetime.fromtimestamp(float(text), UTC)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _ip(wanted: list[str]) -> Test:
    networks = [network for each in wanted if (network := _network(each)) is not None]

    @lru_cache(maxsize=_MAX_ADDRESSES)
    def within(value: str) -> bool:
        try:
            address = ip_address(value)
        except ValueError:
            return False
        return any(address in network for network in networks)

    return lambda value, _lookup: within(value)


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


OPERATORS: Mapping[str, tuple[Callable[[list[str]], Test], bool]] = {
    "StringEquals": (_equals, False),
    "StringNotEquals": (_equals, True),
    "StringEqualsIgnoreCase": (_equals_ignore_case, False),
    "StringNotEqualsIgnoreCase": (_equals_ignore_case, True),
    "StringLike": (matcher, False),
    "StringNotLike": (matcher, True),
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
"""How each operator tests a value, and whether it holds when the test does not."""
