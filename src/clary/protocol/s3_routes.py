"""S3's table of operations: method, kind of address, and what the query string and headers must hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_to_bytes

from clary.bucket_host import bucket_host
from clary.protocol.s3_browser import OPTIONS_OBJECT, POST_OBJECT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from botocore.model import OperationModel, ServiceModel

    from clary.protocol.rest import Fields


class Address(NamedTuple):
    """What the host and path of a request name; empty where they do not."""

    bucket: str
    key: str

    @property
    def kind(self) -> str:
        """The placeholders that an operation on this address has in its path."""
        if self.key:
            return "key"
        return "bucket" if self.bucket else "service"


@dataclass(frozen=True, slots=True)
class Route:
    """One operation, with what sets it apart from the others of its method and kind of address."""

    operation: str
    literals: tuple[tuple[str, str], ...]
    required_fields: tuple[str, ...]
    required_headers: tuple[str, ...]

    def rank(self, fields: Fields, headers: Mapping[str, str]) -> tuple[int, bool, int] | None:
        """How well the request fits: higher is more specific; None when it is another operation's."""
        for name, value in self.literals:
            if name not in fields or (value and value not in fields[name]):
                return None
        present = sum(name in fields for name in self.required_fields)
        present += sum(name in headers for name in self.required_headers)
        complete = present == len(self.required_fields) + len(self.required_headers)
        return (len(self.literals), complete, present) if complete or self.literals else None


class S3Routes:
    """Finds the operation of an S3 request; the table is computed from the model."""

    def __init__(self, model: ServiceModel) -> None:
        self._routes: dict[tuple[str, str, str], list[Route]] = {}
        for name in set(model.operation_names) - _APART:
            operation = model.operation_model(name)
            template, _, _ = operation.http["requestUri"].partition("?")
            if not operation.deprecated and template in _KINDS:
                route = _route(operation)
                place = (operation.http["method"], _KINDS[template], route.literals[0][0] if route.literals else "")
                self._routes.setdefault(place, []).append(route)
        everything = (route for routes in self._routes.values() for route in routes)
        self._telling = frozenset(name for route in everything for name in route.required_headers)
        self._plain: dict[tuple[str, str, frozenset[str]], str | None] = {}

    def operation(self, method: str, address: Address, fields: Fields, headers: Mapping[str, str]) -> str | None:
        """The operation's name; None when S3 knows no such method for this kind of address."""
        if method == "OPTIONS":
            return OPTIONS_OBJECT
        if method == "POST" and address.kind == "bucket" and _is_form(headers):
            return POST_OBJECT
        if fields:
            return self._best(method, address, fields, headers)
        # Without a query string there are few kinds of requests, and most requests are of these.
        kind = (method, address.kind, self._telling.intersection(headers))
        if kind not in self._plain:
            self._plain[kind] = self._best(method, address, fields, headers)
        return self._plain[kind]

    def _best(self, method: str, address: Address, fields: Fields, headers: Mapping[str, str]) -> str | None:
        best: tuple[tuple[int, bool, int], str] | None = None
        for first_literal in ("", *fields):
            for route in self._routes.get((method, address.kind, first_literal), ()):
                rank = route.rank(fields, headers)
                if rank is not None and (best is None or rank > best[0]):
                    best = rank, route.operation
        return best[1] if best is not None else None


def address(path: str, host: str, domain: str) -> Address:
    """The bucket and key that a raw path means, and the host name below `domain` or that of AWS.

    Raises:
        ValueError: the path is not UTF-8.
    """
    if named := bucket_host(host, domain).bucket:
        return Address(named, _decode(path[1:]))
    bucket, _, key = path[1:].partition("/")
    return Address(_decode(bucket), _decode(key))


_APART = frozenset({"ListDirectoryBuckets", "WriteGetObjectResponse", OPTIONS_OBJECT, POST_OBJECT})
"""Sent to hosts of their own, where their addresses mean something else, or known by other signs than the rest."""

_KINDS = {"/": "service", "/{Bucket}": "bucket", "/{Bucket}/{Key+}": "key"}


def _route(operation: OperationModel) -> Route:
    _, _, literal = operation.http["requestUri"].partition("?")
    shape = operation.input_shape
    required = list(_required(operation)) if shape is not None else []
    return Route(
        operation.name,
        tuple((name, value) for name, _, value in (part.partition("=") for part in literal.split("&")) if name),
        tuple(name for location, name in required if location == "querystring"),
        tuple(name.lower() for location, name in required if location == "header"),
    )


def _required(operation: OperationModel) -> Iterable[tuple[str, str]]:
    for name in operation.input_shape.required_members:
        traits = operation.input_shape.members[name].serialization
        yield traits.get("location", ""), traits.get("name", name)


def _is_form(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").startswith("multipart/form-data")


def _decode(text: str) -> str:
    return unquote_to_bytes(text).decode() if "%" in text else text
