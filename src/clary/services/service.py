"""What a service is: classes whose methods are operations, and what each operation needs to be allowed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from botocore import xform_name

from clary.auth.check import Check
from clary.http import Reply

if TYPE_CHECKING:
    from clary.context import Context
    from clary.platform import Platform

__all__ = [
    "Access",
    "Check",
    "Document",
    "Handler",
    "Members",
    "Reply",
    "Service",
    "in_thread",
    "is_recorded",
    "method_name",
    "operation_names",
    "recorded",
    "runs_in_thread",
]

Document = dict[str, Any]
"""A request or response: AWS's member names, plain Python values."""

Members = Mapping[str, Any]
"""The request of whatever operation, as code that serves several of them reads it."""

Handler = Callable[["Context", Document], Any]


Access = Callable[["Platform", "Context", Document], Sequence[Check]]
"""Tells the permissions that one call needs; all of them must be allowed."""


class Service:
    """A named set of operation families.

    Each family is a class built with the platform. A public method is the operation whose boto3 name it bears; it
    takes `(ctx, request)` and returns the response members (or a `Reply`, or None). A plain `def` runs on the event
    loop and must be done within about a millisecond; `@in_thread` moves it to the pool; `async def` is awaited.
    """

    def __init__(self, name: str, *families: type, access: Access | None = None) -> None:
        self.name = name
        self.families = families
        self.access = access

    def handlers(self, platform: Platform) -> dict[str, Handler]:
        """The handlers by boto3 method name.

        Raises:
            TypeError: two families define the same operation.
        """
        table: dict[str, Handler] = {}
        for family in self.families:
            instance = family(platform)
            for name in operation_names(family):
                if name in table:
                    raise TypeError(f"{self.name}: {name} is defined twice")
                table[name] = getattr(instance, name)
        return table


def operation_names(family: type) -> list[str]:
    """The public callables of a family, which are its operations."""
    return [name for name, value in inspect.getmembers(family, callable) if not name.startswith("_")]


def method_name(operation: str) -> str:
    """The boto3 method name of an operation: `CreateTrainingJob` -> `create_training_job`."""
    return str(xform_name(operation))


F = TypeVar("F", bound=Callable[..., object])


def in_thread(handler: F) -> F:
    """Marks a handler that may take longer than about a millisecond; it runs in the thread pool."""
    handler.__clary_in_thread__ = True  # type: ignore[attr-defined]
    return handler


def runs_in_thread(handler: Handler) -> bool:
    """Whether the handler was marked with `in_thread`."""
    return bool(getattr(handler, "__clary_in_thread__", False))


def recorded(handler: F) -> F:
    """Marks a handler that keeps or tells what nothing acts on; the coverage page says so."""
    handler.__clary_recorded__ = True  # type: ignore[attr-defined]
    return handler


def is_recorded(handler: Handler) -> bool:
    """Whether the handler was marked with `recorded`."""
    return bool(getattr(handler, "__clary_recorded__", False))
