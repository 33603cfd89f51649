"""Wildcards and variables of policies: `*` is any text, `?` one character, `${aws:username}` a value of the request."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

Values = tuple[str, ...]
Lookup = Callable[[str], Values | None]
"""The values of a condition key, given in lower case; None when the request does not have it."""

Matcher = Callable[[str, Lookup], bool]

Fits = Callable[[str, str, Lookup], bool]
"""Whether a text (second) fits a pattern (first)."""

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_LITERALS = {"*": "*", "?": "?", "$": "$"}
_ARN_PARTS = 6
_WILDCARD_INSIDE = re.compile(r"\?|\*(?!:|$)")
"""A wildcard that is not the end of its part of an ARN."""


def matcher(patterns: Iterable[str], fits: Fits | None = None) -> Matcher:
    """Tells whether a text fits one of `patterns`, variables filled in, as `fits` (`glob` unless given) has it."""
    exact, prefixes, others = [], [], []
    for pattern in patterns:
        if "?" in pattern or "${" in pattern:
            others.append(pattern)
        elif "*" not in pattern:
            exact.append(pattern)
        elif pattern.index("*") < len(pattern) - 1:
            others.append(pattern)
        elif pattern == "*":
            return _anything
        else:
            prefixes.append(pattern[:-1])
    return _any_of(frozenset(exact), tuple(prefixes), tuple(others), fits or glob)


def _anything(_text: str, _lookup: Lookup) -> bool:
    return True


def _any_of(exact: frozenset[str], prefixes: tuple[str, ...], others: tuple[str, ...], fits: Fits) -> Matcher:
    if not others:
        return lambda text, _lookup: text in exact or text.startswith(prefixes)

    def matches(text: str, lookup: Lookup) -> bool:
        return text in exact or text.startswith(prefixes) or any(fits(each, text, lookup) for each in others)

    return matches


def without_variables(text: str) -> str:
    """The pattern that means `text` where `${` is no variable, as in policies of version 2008-10-17."""
    return text.replace("${", "${$}{")


def glob(pattern: str, text: str, lookup: Lookup) -> bool:
    """Whether `text` fits `pattern`, whose variables are filled in first; a variable without a value fits nothing."""
    parts = _VARIABLE.split(pattern)
    single = any("?" in part for part in parts[::2])
    literal, value_of = (_literal, re.escape) if single else (str, str)
    segments = [""]
    for number, part in enumerate(parts):
        if number % 2 == 0:
            first, *others = part.split("*")
            segments[-1] += literal(first)
            segments += map(literal, others)
            continue
        value = _value(part, lookup)
        if value is None:
            return False
        segments[-1] += value_of(value)
    return re.fullmatch(joined(segments), text, re.DOTALL) is not None if single else _in_order(segments, text)


def resource_glob(pattern: str, text: str, lookup: Lookup) -> bool:
    """Whether the ARN of a resource fits `pattern`.

    A wildcard stays within its part of the ARN, but a `*` that ends a part reaches beyond the colon. Source: "IAM JSON
    policy elements: Resource", IAM user guide.
    """
    head = pattern.split(":", _ARN_PARTS - 1)[:-1]
    if _WILDCARD_INSIDE.search(":".join(head)):
        return arn_glob(pattern, text, lookup)
    return glob(pattern, text, lookup)


def arn_glob(pattern: str, text: str, lookup: Lookup) -> bool:
    """Whether an ARN fits `pattern` part by part; only what ends the pattern reaches over colons."""
    if pattern.startswith("${"):  # all of it is the value of a variable, whose name has a colon too
        return glob(pattern, text, lookup)
    wanted = pattern.split(":", _ARN_PARTS - 1)
    given = text.split(":", len(wanted) - 1)
    return len(wanted) == len(given) and all(map(glob, wanted, given, [lookup] * len(wanted)))


def fill(text: str, lookup: Lookup) -> str | None:
    """`text` with its variables filled in, None when one has no value."""
    if "${" not in text:
        return text
    parts = [part if number % 2 == 0 else _value(part, lookup) for number, part in enumerate(_VARIABLE.split(text))]
    return None if None in parts else "".join(part for part in parts if part is not None)


def joined(segments: list[str]) -> str:
    """The expression for segments with any text between them; takes linear time even where nothing fits.

    The first place where a segment fits is as good as any later one, so the groups need not be tried again.
    """
    if len(segments) == 1:
        return segments[0]
    first, *middle, last = segments
    return first + "".join([f"(?>.*?{segment})" for segment in middle if segment]) + ".*" + last


def _in_order(segments: Sequence[str], text: str) -> bool:
    """Whether `text` is these segments with any text between them."""
    if len(segments) == 1:
        return text == segments[0]
    first, *middle, last = segments
    start, end = len(first), len(text) - len(last)
    if start > end or not text.startswith(first) or not text.endswith(last):
        return False
    for segment in middle:
        found = text.find(segment, start, end)
        if found < 0:
            return False
        start = found + len(segment)
    return True


def _literal(segment: str) -> str:
    return re.escape(segment).replace(r"\?", ".")


def _value(variable: str, lookup: Lookup) -> str | None:
    """The value of `aws:username`, or of `aws:username, 'default'`."""
    if variable in _LITERALS:
        return _LITERALS[variable]
    key, _, default = variable.partition(",")
    values = lookup(key.strip().lower())
    if values is not None and len(values) == 1:
        return values[0]
    default = default.strip()
    return default[1:-1] if len(default) >= 2 and default[0] == default[-1] == "'" else None
