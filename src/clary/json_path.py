"""The JSONPath that batch transform understands: names, indices and slices, no wildcards, filters or searches.

Source: "Associate Prediction Results with Input Records", SageMaker developer guide, section "Supported JSONPath
Operators".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

Step = tuple[str, ...] | tuple[int, ...] | slice


class InvalidPath(ValueError):
    """The expression is not one of those that are understood."""


class NoMatch(LookupError):
    """The document has nothing at the path."""


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A parsed expression."""

    text: str
    steps: tuple[Step, ...]

    def of(self, document: Any) -> Any:
        """What lies at the path: several names give an object, several indices and slices an array.

        Raises:
            NoMatch: there is nothing.
        """
        found = document
        for step in self.steps:
            try:
                found = _take(found, step)
            except (LookupError, TypeError):
                raise NoMatch(f"The document has nothing at {self.text}.") from None
        return found


def parse(text: str) -> JsonPath:
    """The path of an expression such as `$`, `$.features`, `$['id','score']`, `$[0]`, `$[1:]` or `$[0,-1]`.

    Raises:
        InvalidPath: it is none of them.
    """
    if not text.startswith("$"):
        raise InvalidPath(f"{text} is not a JSONPath: it must begin with $.")
    steps: list[Step] = []
    position = 1
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            raise InvalidPath(
                f"{text} has an operator that is not supported: use names, indices and slices, such as $.features, "
                "$['id','score'], $[0], $[0,-1] or $[1:]."
            )
        steps.append(_step(match))
        position = match.end()
    return JsonPath(text, tuple(steps))


_NAMES = r"""'[^']*'|"[^"]*\""""
_STEP = re.compile(
    rf"""\.(?P<name>[^.\[\]\s*]+)
    |\[\s*(?P<names>(?:{_NAMES})(?:\s*,\s*(?:{_NAMES}))*)\s*\]
    |\[\s*(?P<start>-?\d*)\s*:\s*(?P<end>-?\d*)\s*\]
    |\[\s*(?P<indices>-?\d+(?:\s*,\s*-?\d+)*)\s*\]""",
    re.VERBOSE,
)


def _step(match: re.Match[str]) -> Step:
    if match["name"] is not None:
        return (match["name"],)
    if match["names"] is not None:
        return tuple(name[1:-1] for name in re.findall(_NAMES, match["names"]))
    if match["indices"] is not None:
        return tuple(map(int, match["indices"].split(",")))
    bounds = (int(bound) if bound else None for bound in (match["start"], match["end"]))
    return slice(*bounds)


def _take(document: Any, step: Step) -> Any:
    if isinstance(step, slice) or isinstance(step[0], int):
        if not isinstance(document, list):
            raise TypeError
        if isinstance(step, slice):
            return document[step]
    if len(step) == 1:
        return document[step[0]]
    return {name: document[name] for name in step} if isinstance(step[0], str) else [document[at] for at in step]
