"""Answers in pages: Marker, MaxItems and IsTruncated, as every list of IAM has them."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from clary.services.iam.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clary.services.service import Document, Members
    from clary.store.records import Query, Record, Records

_DEFAULT_ITEMS = 100

T = TypeVar("T")


def of_items(member: str, items: Sequence[T], request: Members, shape: Callable[[T], Any]) -> Document:
    """One page of a list that is at hand, as `member` of an answer."""
    start = int(_position(request) or 0)
    end = start + int(request.get("MaxItems", _DEFAULT_ITEMS))
    answer: Document = {member: [shape(item) for item in items[start:end]], "IsTruncated": end < len(items)}
    return {**answer, "Marker": _marker(end)} if end < len(items) else answer


def of_records(
    member: str, records: Records, query: Query, request: Members, shape: Callable[[Record], Any]
) -> Document:
    """One page of the records below the request's PathPrefix, by name, as `member` of an answer."""
    prefix = request.get("PathPrefix", "/")
    wanted = int(request.get("MaxItems", _DEFAULT_ITEMS))
    found: list[Record] = []
    position = _position(request)
    after = (position[0], position[1]) if position else None
    while len(found) <= wanted:
        page = records.list(replace(query, order_by="name", after=after, limit=wanted + 1))
        found += [record for record in page if record.spec.get("Path", "/").startswith(prefix)]
        if len(page) <= wanted:
            break
        after = page[-1].cursor("name")
    answer: Document = {member: [shape(record) for record in found[:wanted]], "IsTruncated": len(found) > wanted}
    if len(found) > wanted:
        answer["Marker"] = _marker(list(found[wanted - 1].cursor("name")))
    return answer


def _marker(position: object) -> str:
    return base64.b64encode(json.dumps(position).encode()).decode()


def _position(request: Members) -> Any:
    marker = request.get("Marker")
    if not marker:
        return None
    try:
        return json.loads(base64.b64decode(marker, validate=True))
    except (binascii.Error, ValueError) as error:
        raise ValidationError(f"Invalid Marker: {marker}") from error
