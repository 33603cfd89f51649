"""Declared hyperparameters, checked before anything else happens."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clary.algorithms.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers between two bounds, each of which may be excluded."""

    low: float = -math.inf
    high: float = math.inf
    above_low: bool = False
    below_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.above_low else value >= self.low
        below = value < self.high if self.below_high else value <= self.high
        return above and below

    def __str__(self) -> str:
        return f"{'(' if self.above_low else '['}{self.low:g}, {self.high:g}{')' if self.below_high else ']'}"


POSITIVE = Range(0, above_low=True)
NOT_NEGATIVE = Range(0)
FRACTION = Range(0, 1)


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """One hyperparameter: how its text is read, and which values it may take."""

    name: str
    read: Callable[[str], Any]
    default: Any = None
    required: bool = False
    within: Range | None = None
    choices: tuple[str, ...] = ()
    auto: bool = False
    """Whether `auto`, which leaves the choice to the algorithm, is allowed."""

    def value(self, text: str) -> Any:
        """The value that the text stands for.

        Raises:
            ClientError: it does not parse, or is out of range.
        """
        if self.auto and text == AUTO:
            return AUTO
        try:
            value = self.read(text)
        except ValueError as error:
            raise ClientError(f"Hyperparameter {self.name}: could not parse value {text!r}") from error
        for item in value if isinstance(value, list) else [value]:
            if self.within is not None and item not in self.within:
                raise ClientError(f"Hyperparameter {self.name}: value {item} not in range {self.within}")
            if self.choices and item not in self.choices:
                raise ClientError(f"Hyperparameter {self.name}: value {item} not in range {list(self.choices)}")
        return value


def validate(declared: Sequence[Hyperparameter], given: Mapping[str, str]) -> dict[str, Any]:
    """The values of all declared hyperparameters, defaults filled in.

    Raises:
        ClientError: one is unknown, missing or out of range.
    """
    known = {parameter.name: parameter for parameter in declared}
    unknown = sorted(set(given) - set(known))
    if unknown:
        names = ", ".join(repr(name) for name in unknown)
        was = "was" if len(unknown) == 1 else "were"
        raise ClientError(f"Additional hyperparameters are not allowed ({names} {was} unexpected)")
    missing = next((name for name, parameter in known.items() if parameter.required and name not in given), None)
    if missing is not None:
        raise ClientError(f"Missing required hyperparameter: {missing}")
    return {
        name: parameter.value(given[name]) if name in given else parameter.default for name, parameter in known.items()
    }


def integer(text: str) -> int:
    """A whole number, also when a tuner wrote it as `5.0`."""
    number = float(text)
    if not number.is_integer():
        raise ValueError(text)
    return int(number)


def boolean(text: str) -> bool:
    """A truth value as AWS's containers read it."""
    try:
        return {"true": True, "1": True, "false": False, "0": False}[text.strip().lower()]
    except KeyError as error:
        raise ValueError(text) from error


def names(text: str) -> list[str]:
    """A list, as JSON or separated by commas."""
    parts = json.loads(text) if text.lstrip().startswith("[") else text.split(",")
    return [str(part).strip() for part in parts if str(part).strip()]
