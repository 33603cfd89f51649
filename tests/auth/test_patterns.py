from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.auth.patterns import arn_glob, fill, glob, matcher

KEYS = {"aws:username": ("ada",), "star": ("*",), "two": ("a", "b")}


def naive(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(naive(pattern[1:], text[start:]) for start in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and naive(pattern[1:], text[1:])


@given(st.text("ab*?.\n", max_size=8), st.text("ab.\n", max_size=8))
def test_globs_agree_with_the_naive_way(pattern: str, text: str) -> None:
    expected = naive(pattern, text)
    assert glob(pattern, text, KEYS.get) is expected
    assert matcher([pattern])(text, KEYS.get) is expected


@given(st.lists(st.text("ab*?", max_size=5), max_size=4), st.text("ab", max_size=5))
def test_one_of_several_is_enough(patterns: list[str], text: str) -> None:
    assert matcher(patterns)(text, KEYS.get) is any(naive(pattern, text) for pattern in patterns)


def test_malicious_patterns_take_no_time() -> None:
    assert not glob("*a" * 30 + "b", "a" * 5000, KEYS.get)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("home/${aws:username}/*", "home/ada/x", True),
        ("home/${AWS:UserName}/*", "home/ada/x", True),
        ("home/${missing}/*", "home//x", False),
        ("home/${missing, 'all'}", "home/all", True),
        ("home/${two}", "home/a", False),
        ("${star}", "anything", False),
        ("${star}", "*", True),
        ("a${*}b${?}c${$}", "a*b?c$", True),
    ],
)
def test_variables(pattern: str, text: str, expected: bool) -> None:
    assert glob(pattern, text, KEYS.get) is expected
    assert matcher([pattern, "other"])(text, KEYS.get) is expected


def test_fill() -> None:
    assert fill("plain", KEYS.get) == "plain"
    assert fill("x-${aws:username}-${missing,'y'}", KEYS.get) == "x-ada-y"
    assert fill("${missing}", KEYS.get) is None


@pytest.mark.parametrize(
    ("pattern", "arn", "expected"),
    [
        ("arn:aws:iam::*:role/*", "arn:aws:iam::1:role/a:b", True),
        ("arn:aws:*:role/*", "arn:aws:iam::1:role/a", False),
        ("arn:*:*:*:*:*", "arn:aws:iam::1:role/a", True),
        ("no arn", "no arn", True),
    ],
)
def test_arns(pattern: str, arn: str, expected: bool) -> None:
    assert arn_glob(pattern, arn, KEYS.get) is expected
