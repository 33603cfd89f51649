"""Filters and pages of the Describe operations."""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from botocore import xform_name

from clary.auth.patterns import joined

from .errors import InvalidNextToken, InvalidParameterValue

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from clary.services.service import Document, Members

Table = dict[str, str]
"""Which filter looks at which member: `instance-state-name` at `State.Name`."""


def table(members: str, others: Mapping[str, str] | None = None) -> Table:
    """A table from members whose filters have their names in lower case (`VpcId`: `vpc-id`), and from exceptions."""
    return {xform_name(member, "-"): member for member in members.split()} | dict(others or {})


def describe(result: str, items: Iterable[Document], request: Members, known: Table) -> Document:
    """One page of the items that pass the request's filters."""
    return page(result, select(items, request.get("Filters") or (), known), request)


def select(items: Iterable[Document], filters: Iterable[Members], known: Table) -> list[Document]:
    """The items that pass every filter; one passes a filter when any of its values fits.

    Raises:
        InvalidParameterValue: there is no such filter.
    """
    kept = list(items)
    for each in filters:
        name, patterns = each.get("Name", ""), [_pattern(value) for value in each.get("Values", ())]
        if name not in known and not name.startswith("tag:") and name not in _TAGS:
            raise InvalidParameterValue(f"The filter '{name}' is invalid")
        kept = [
            item
            for item in kept
            if any(pattern.fullmatch(value) for value in _values(item, name, known) for pattern in patterns)
        ]
    return kept


def page(result: str, items: list[Document], request: Members) -> Document:
    """The part of the items that the request's token and limit choose.

    Raises:
        InvalidNextToken: the token is not one of ours.
        InvalidParameterValue: the limit is no number of items.
    """
    start, limit = _start(request.get("NextToken")), request.get("MaxResults")
    if limit is not None and limit < 1:
        raise InvalidParameterValue(
            f"Value ( {limit} ) for parameter maxResults is invalid. Expecting a value above 0."
        )
    end = start + (limit or len(items))
    answer: Document = {result: items[start:end]}
    if end < len(items):
        answer["NextToken"] = base64.urlsafe_b64encode(f"from {end}".encode()).decode()
    return answer


_TAGS = {"tag-key": "Key", "tag-value": "Value"}


def _start(token: str | None) -> int:
    if not token:
        return 0
    try:
        word, _, number = base64.urlsafe_b64decode(token).decode().partition(" ")
        if word == "from" and number.isdigit():
            return int(number)
    except (binascii.Error, ValueError):
        pass
    raise InvalidNextToken("The token is not valid.")


def _values(item: Document, name: str, known: Table) -> Iterator[str]:
    tags = item.get("Tags") or item.get("TagSet") or []
    if name.startswith("tag:"):
        key = name.removeprefix("tag:")
        yield from (tag["Value"] for tag in tags if tag["Key"] == key)
    elif name in _TAGS:
        yield from (tag[_TAGS[name]] for tag in tags)
    else:
        yield from _walk(item, known[name].split("."))


def _walk(value: Any, path: list[str]) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _walk(item, path)
    elif path:
        if isinstance(value, dict) and path[0] in value:
            yield from _walk(value[path[0]], path[1:])
    elif isinstance(value, bool):
        yield str(value).lower()
    elif value is not None:
        yield str(value)


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    """`*` and `?` stand for any characters, a backslash takes their meaning away."""
    segments = [""]
    for part in re.findall(r"\\.|.", text, re.DOTALL):
        if part == "*":
            segments.append("")
        else:
            segments[-1] += "." if part == "?" else re.escape(part[1:] if len(part) > 1 else part)
    return re.compile(joined(segments), re.DOTALL)
