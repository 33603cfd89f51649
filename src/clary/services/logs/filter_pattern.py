"""Filter patterns of CloudWatch Logs, for unstructured text.

Source: CloudWatch Logs user guide, "Filter pattern syntax": every plain term must occur, a term after `-` must not,
of the terms after `?` at least one must; quotes keep a term together; `%...%` is a regular expression.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from clary.errors import NotSupported
from clary.expressions import Expression

from .errors import InvalidParameterException

if TYPE_CHECKING:
    from collections.abc import Callable

_TERM = re.compile(r'(?P<mark>[-?]?)(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>\S+))')


def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a message matches `pattern`.

    Raises:
        NotSupported: patterns for JSON (`{...}`) and for columns (`[...]`).
        InvalidParameterException: the regular expression is none.
    """
    pattern = pattern.strip()
    if pattern.startswith(("{", "[")):
        raise NotSupported("Clary does not support JSON and column filter patterns yet, only terms.")
    if len(pattern) > 1 and pattern.startswith("%") and pattern.endswith("%"):
        try:
            return Expression(pattern[1:-1]).occurs
        except ValueError as error:
            raise InvalidParameterException(f"Invalid regular expression in the filter pattern: {error}") from None
    wanted: dict[str, list[str]] = {"": [], "-": [], "?": []}
    for match in _TERM.finditer(pattern):
        quoted = match["quoted"]
        wanted[match["mark"]].append(match["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
    return lambda message: (
        all(term in message for term in wanted[""])
        and not any(term in message for term in wanted["-"])
        and (not wanted["?"] or any(term in message for term in wanted["?"]))
    )
