from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from clary.auth.conditions import OPERATORS, InvalidCondition, compile_block

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUEST: Mapping[str, tuple[str, ...]] = {
    "aws:username": ("ada",),
    "aws:sourceip": ("10.1.2.3",),
    "aws:currenttime": ("2026-03-01T12:00:00Z",),
    "aws:epochtime": ("1772366400",),
    "aws:securetransport": ("true",),
    "aws:principalarn": ("arn:aws:iam::123456789012:user/ada",),
    "aws:tagkeys": ("team", "cost"),
    "aws:requesttag/team": ("blue",),
    "s3:max-keys": ("10",),
    "binary": ("aGVsbG8=",),
    "empty": (),
}


def holds(operator: str, key: str, value: Any) -> bool:
    return all(condition(REQUEST.get) for condition in compile_block({operator: {key: value}}))


@pytest.mark.parametrize(
    ("operator", "key", "value", "expected"),
    [
        ("StringEquals", "aws:username", "ada", True),
        ("StringEquals", "AWS:UserName", ["bob", "ada"], True),
        ("StringEquals", "aws:username", "Ada", False),
        ("StringEquals", "aws:username", "a*", False),
        ("StringEquals", "missing", "x", False),
        ("StringEqualsIfExists", "missing", "x", True),
        ("StringEqualsIfExists", "aws:username", "x", False),
        ("StringEquals", "aws:username", "${aws:username}", True),
        ("StringEquals", "aws:username", "${missing, 'ada'}", True),
        ("StringEquals", "aws:username", "${missing}", False),
        ("StringNotEquals", "aws:username", ["bob", "eve"], True),
        ("StringNotEquals", "aws:username", ["bob", "ada"], False),
        ("StringNotEquals", "missing", "x", True),
        ("StringEqualsIgnoreCase", "aws:username", "ADA", True),
        ("StringNotEqualsIgnoreCase", "aws:username", "ADA", False),
        ("StringLike", "aws:username", "a?a", True),
        ("StringLike", "aws:username", "*d*", True),
        ("StringLike", "aws:username", "d*", False),
        ("StringNotLike", "aws:username", "b*", True),
        ("NumericEquals", "s3:max-keys", 10, True),
        ("NumericNotEquals", "s3:max-keys", "10", False),
        ("NumericLessThan", "s3:max-keys", "11", True),
        ("NumericLessThanEquals", "s3:max-keys", "10", True),
        ("NumericGreaterThan", "s3:max-keys", "10", False),
        ("NumericGreaterThanEquals", "s3:max-keys", "9.5", True),
        ("NumericEquals", "aws:username", "10", False),
        ("DateGreaterThan", "aws:currenttime", "2026-03-01T11:59:59Z", True),
        ("DateLessThan", "aws:currenttime", "2026-03-01", False),
        ("DateEquals", "aws:currenttime", "2026-03-01T13:00:00+01:00", True),
        ("DateNotEquals", "aws:currenttime", "2026-03-01T12:00:00Z", False),
        ("DateLessThanEquals", "aws:epochtime", "1772366400", True),
        ("DateGreaterThanEquals", "aws:currenttime", "not a date", False),
        ("Bool", "aws:securetransport", "true", True),
        ("Bool", "aws:securetransport", True, True),
        ("Bool", "aws:securetransport", "false", False),
        ("BoolIfExists", "aws:multifactorauthpresent", "true", True),
        ("BinaryEquals", "binary", "aGVsbG8=", True),
        ("BinaryEquals", "binary", "not base64", False),
        ("IpAddress", "aws:sourceip", "10.0.0.0/8", True),
        ("IpAddress", "aws:sourceip", ["192.168.0.0/16", "10.1.2.3"], True),
        ("IpAddress", "aws:sourceip", "nonsense", False),
        ("NotIpAddress", "aws:sourceip", "10.0.0.0/8", False),
        ("NotIpAddress", "aws:sourceip", "192.168.0.0/16", True),
        ("ArnLike", "aws:principalarn", "arn:aws:iam::*:user/*", True),
        ("ArnEquals", "aws:principalarn", "arn:aws:iam::123456789012:user/a?a", True),
        ("ArnLike", "aws:principalarn", "arn:aws:*:user/ada", False),
        ("ArnNotLike", "aws:principalarn", "arn:aws:iam::*:role/*", True),
        ("ArnNotEquals", "aws:principalarn", "arn:aws:iam::*:user/ada", False),
        ("Null", "missing", "true", True),
        ("Null", "missing", "false", False),
        ("Null", "aws:username", False, True),
        ("ForAllValues:StringEquals", "aws:tagkeys", ["team", "cost", "owner"], True),
        ("ForAllValues:StringEquals", "aws:tagkeys", ["team"], False),
        ("ForAllValues:StringEquals", "missing", ["team"], True),
        ("ForAnyValue:StringEquals", "aws:tagkeys", ["cost", "owner"], True),
        ("ForAnyValue:StringLike", "aws:tagkeys", ["o*"], False),
        ("ForAnyValue:StringEquals", "missing", ["team"], False),
        ("ForAnyValue:StringEqualsIfExists", "missing", ["team"], True),
        ("ForAllValues:StringNotEquals", "aws:tagkeys", ["owner"], True),
        ("ForAllValues:StringNotEquals", "aws:tagkeys", ["cost"], False),
        ("StringEquals", "empty", "x", False),
    ],
)
def test_operator(operator: str, key: str, value: object, expected: bool) -> None:
    assert holds(operator, key, value) is expected


def test_all_conditions_of_a_block_must_hold() -> None:
    block = {"StringEquals": {"aws:username": "ada"}, "Bool": {"aws:securetransport": "false"}}
    assert not all(condition(REQUEST.get) for condition in compile_block(block))


@pytest.mark.parametrize("operator", ["StringIs", "Bool:ForAllValues", "Some:StringEquals", "NullIfExists"])
def test_unknown_operator(operator: str) -> None:
    with pytest.raises(InvalidCondition):
        compile_block({operator: {"aws:username": "x"}})


@pytest.mark.parametrize("negative", [name for name, (_, negated) in OPERATORS.items() if negated])
def test_negated_operators_hold_for_absent_keys(negative: str) -> None:
    assert holds(negative, "missing", "10.0.0.1")
