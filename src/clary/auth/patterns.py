"""Wildcards and variables of policies: `*` is any text, `?` one character, `${aws:username}` a value of the request."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

Values = tuple[str, ...]
Lookup = Callable[[str], Values | None]
"""The values of a condition key, given in lower case; None when the request does not have it."""

Matcher = Callable[[str, Lookup], bool]

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_LITERALS = {"*": "*", "?": "?", "$": "$"}
_ARN_PARTS = 6


def matcher(patterns: Iterable[str]) -> Matcher:
    """Tells whether a text fits one of `patterns`, variables filled in."""
    patterns = list(patterns)
    if "*" in patterns:
        return lambda _text, _lookup: True
    fixed = [regex(pattern) for pattern in patterns if "${" not in pattern]
    variable = [pattern for pattern in patterns if "${" in pattern]
    static = re.compile("|".join(fixed), re.DOTALL) if fixed else None

    def matches(text: str, lookup: Lookup) -> bool:
        if static is not None and static.fullmatch(text):
            return True
        return any(glob(pattern, text, lookup) for pattern in variable)

    return matches


def glob(pattern: str, text: str, lookup: Lookup) -> bool:
    """Whether `text` fits `pattern`, whose variables are filled in first; a variable without a value fits nothing."""
    segments = [""]
    for number, part in enumerate(_VARIABLE.split(pattern)):
        if number % 2 == 0:
            first, *others = map(_literal, part.split("*"))
            segments[-1] += first
            segments += others
            continue
        value = _value(part, lookup)
        if value is None:
            return False
        segments[-1] += re.escape(value)
    return re.fullmatch(joined(segments), text, re.DOTALL) is not None


def regex(pattern: str) -> str:
    """The regular expression of a pattern without variables."""
    return joined([_literal(segment) for segment in pattern.split("*")])


def _literal(segment: str) -> str:
    return re.escape(segment).replace(r"\?", ".")


def joined(segments: list[str]) -> str:
    """The expression for segments with any text between them; takes linear time even where nothing fits.

    The first place where a segment fits is as good as any later one, so the groups need not be tried again.
    """
    if len(segments) == 1:
        return segments[0]
    first, *middle, last = segments
    return first + "".join([f"(?>.*?{segment})" for segment in middle if segment]) + ".*" + last


def fill(text: str, lookup: Lookup) -> str | None:
    """`text` with its variables filled in, None when one has no value."""
    if "${" not in text:
        return text
    parts = [part if number % 2 == 0 else _value(part, lookup) for number, part in enumerate(_VARIABLE.split(text))]
    return None if None in parts else "".join(part for part in parts if part is not None)


def arn_glob(pattern: str, text: str, lookup: Lookup) -> bool:
    """Whether an ARN fits `pattern` part by part, so that `*` does not reach over a colon of the first five parts."""
    wanted, given = pattern.split(":", _ARN_PARTS - 1), text.split(":", _ARN_PARTS - 1)
    return len(wanted) == len(given) and all(
        glob(part, value, lookup) for part, value in zip(wanted, given, strict=True)
    )


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
