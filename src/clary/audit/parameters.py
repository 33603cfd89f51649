"""What the log may keep of requests and answers: members that the model names and that are no secrets.

Source: "CloudTrail record contents", CloudTrail user guide, for the names and for what stands in the place of what is
not told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.model import Shape

    from clary.protocol.model import Models

HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
TEXT_CHARACTERS = 2048
"""Longer text is cut: a policy document has its place, a file has not."""
LIST_ITEMS = 50
DEPTH = 6

_SECRET = re.compile(
    r"password|secret|token|authenticationcode|signature|privatekey|authorizedurl|userdata|environment|samlassertion"
    r"|customerkey$|^content$|logevents|metricdata|bootstrap|seed|qrcode",
    re.IGNORECASE,
)
_NO_SECRETS = frozenset(
    (
        "ClientRequestToken", "ClientToken", "ContinuationToken", "CreationToken", "HttpTokens", "IdempotencyToken",
        "NextContinuationToken", "NextToken", "nextToken", "nextForwardToken", "nextBackwardToken",
    )
)  # fmt: skip
_RENAMED = {"s3": {"Bucket": "bucketName", "Key": "key", "Metadata": ""}}
"""Members that CloudTrail calls by another name; it does not tell the user's metadata of objects."""

Keep = Callable[[Any], Any]
Fields = Mapping[str, tuple[str, Keep]]


class Parameters:
    """Takes from a request or an answer what may be kept; compiled once for each operation."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._requests: dict[tuple[str, str], Fields] = {}
        self._answers: dict[tuple[str, str], Fields] = {}

    def of_request(self, service: str, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """What CloudTrail tells as `requestParameters`."""
        fields = self._requests.get((service, operation))
        if fields is None:
            shape = self._models.operation(service, operation).input_shape
            fields = self._requests[service, operation] = _fields(service, shape, DEPTH)
        return _kept(fields, request)

    def of_answer(self, service: str, operation: str, answer: Mapping[str, Any]) -> dict[str, Any]:
        """What CloudTrail tells as `responseElements`."""
        fields = self._answers.get((service, operation))
        if fields is None:
            shape = self._models.operation(service, operation).output_shape
            fields = self._answers[service, operation] = _fields(service, shape, DEPTH)
        return _kept(fields, answer)


def _kept(fields: Fields, members: Mapping[str, Any]) -> dict[str, Any]:
    kept = {}
    for member, value in members.items():
        field = fields.get(member)
        if field is not None and value is not None:
            kept[field[0]] = field[1](value)
    return kept


def _fields(service: str, shape: Shape | None, depth: int) -> Fields:
    if shape is None:
        return {}
    renamed = _RENAMED.get(service, {})
    fields = {}
    for name, member in shape.members.items():
        keep = _hide if _is_secret(name, member) else _keeper(service, member, depth - 1)
        told = renamed.get(name, name[:1].lower() + name[1:])
        if keep is not None and told:
            fields[name] = told, keep
    return fields


def _is_secret(name: str, shape: Shape) -> bool:
    if shape.metadata.get("sensitive"):
        return True
    return bool(_SECRET.search(name)) and name not in _NO_SECRETS and shape.type_name not in ("boolean", "integer")


def _keeper(service: str, shape: Shape, depth: int) -> Keep | None:
    """How to keep a value of a shape; None for what the log has no room for."""
    plain = _PLAIN.get(shape.type_name)
    if plain is not None or depth <= 0 or shape.metadata.get("eventstream"):
        return plain
    compound = _COMPOUND.get(shape.type_name)
    return compound(service, shape, depth) if compound else None


def _structure(service: str, shape: Shape, depth: int) -> Keep:
    fields: list[Fields] = []

    def keep(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return None
        if not fields:
            fields.append(_fields(service, shape, depth))
        return _kept(fields[0], value)

    return keep


def _list(service: str, shape: Shape, depth: int) -> Keep | None:
    item = _hide if shape.member.metadata.get("sensitive") else _keeper(service, shape.member, depth - 1)
    if item is None:
        return None

    def keep(values: Any) -> Any:
        if not isinstance(values, list | tuple):
            return None
        kept = [item(value) for value in values[:LIST_ITEMS]]
        return kept if len(values) <= LIST_ITEMS else [*kept, f"... and {len(values) - LIST_ITEMS} more"]

    return keep


def _map(service: str, shape: Shape, depth: int) -> Keep | None:
    item = _hide if shape.value.metadata.get("sensitive") else _keeper(service, shape.value, depth - 1)
    if item is None:
        return None

    def keep(values: Any) -> Any:
        if not isinstance(values, Mapping):
            return None
        pairs = list(values.items())[:LIST_ITEMS]
        return {str(name): _hide(value) if _SECRET.search(str(name)) else item(value) for name, value in pairs}

    return keep


def _text(value: Any) -> Any:
    if isinstance(value, str) and len(value) > TEXT_CHARACTERS:
        return f"{value[:TEXT_CHARACTERS]}... ({len(value)} characters)"
    return value if isinstance(value, str) else None


def _same(value: Any) -> Any:
    return value if isinstance(value, int | float) else None


def _time(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else None


def _hide(_: Any) -> str:
    return HIDDEN


_PLAIN: Mapping[str, Keep] = {
    "string": _text,
    "char": _text,
    "timestamp": _time,
    **dict.fromkeys(("boolean", "integer", "long", "float", "double"), _same),
}
_COMPOUND: Mapping[str, Callable[[str, Shape, int], Keep | None]] = {
    "structure": _structure,
    "list": _list,
    "map": _map,
}
