"""Members that travel in the address, the query string and the headers of REST protocols."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote_plus

import orjson

from clary.protocol import scalars, timestamps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botocore.model import Shape

Fields = dict[str, list[str]]
"""A query string: each name with its values in order."""

_LIST_ITEM = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^,]*?)\s*(?:,|$)')


def parse_query(query: str) -> Fields:
    """The fields of a raw query string or form; a name without `=` has an empty value."""
    fields: Fields = {}
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        if "%" in pair or "+" in pair:
            name, value = unquote_plus(name), unquote_plus(value)
        if name or value:
            fields.setdefault(name, []).append(value)
    return fields


class Unreadable(ValueError):
    """A member's text has another type than the model says."""

    def __init__(self, wire_name: str, text: str, kind: str) -> None:
        super().__init__(f"{wire_name}: {text!r} is not a valid {kind}")
        self.wire_name = wire_name
        self.text = text
        self.kind = kind


class Binding(NamedTuple):
    """Where one member is found: its wire name (or prefix), and how its text is read."""

    member: str
    wire_name: str
    shape: Shape
    read: Callable[[str], Any]

    def value(self, text: str) -> Any:
        """The member's value; raises Unreadable."""
        try:
            return self.read(text)
        except ValueError:
            raise Unreadable(self.wire_name, text, self.shape.type_name) from None


class RequestBindings:
    """Reads the members of one operation that are not in the body."""

    def __init__(self, shape: Shape) -> None:
        located: dict[str, list[Binding]] = {"uri": [], "querystring": [], "header": [], "headers": []}
        for name, member in shape.members.items():
            location = member.serialization.get("location")
            if location in located:
                wire_name = member.serialization.get("name", name)
                if location.startswith("header"):
                    wire_name = wire_name.lower()
                located[location].append(Binding(name, wire_name, member, _reader(member, location)))
        self._labels = located["uri"]
        self._fields = located["querystring"]
        self._headers: dict[str, list[Binding]] = {}
        for header in located["header"]:
            self._headers.setdefault(header.wire_name, []).append(header)
        self._prefixes = located["headers"]

    def read(self, labels: Mapping[str, str], query: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """The members found in the address, the query string and the headers.

        Presigned URLs carry `x-amz-` headers in the query string; a real header wins.

        Raises:
            Unreadable: a value has the wrong type.
        """
        found = {
            label.member: label.value(labels[label.wire_name]) for label in self._labels if label.wire_name in labels
        }
        if query:
            fields = parse_query(query)
            self._read_fields(fields, found)
            if "x-amz-" in query.lower():
                signed = {
                    name.lower(): values[0] for name, values in fields.items() if name.lower().startswith("x-amz-")
                }
                headers = {**signed, **headers}
        for name, text in headers.items():
            for header in self._headers.get(name, ()):
                _read_header(header, text, found)
        for prefix in self._prefixes:
            start = prefix.wire_name
            entries = {name[len(start) :]: text for name, text in headers.items() if name.startswith(start)}
            if entries:
                found[prefix.member] = entries
        return found

    def _read_fields(self, fields: Fields, found: dict[str, Any]) -> None:
        for field in self._fields:
            texts = fields.get(field.wire_name)
            if texts is None:
                continue
            if field.shape.type_name == "list":
                found[field.member] = [field.value(text) for text in texts]
            else:
                found[field.member] = field.value(texts[0])


class ResponseBindings:
    """Writes the members of one output that are not in the body."""

    def __init__(self, shape: Shape) -> None:
        self._headers: dict[str, tuple[str, Callable[[Any], str]]] = {}
        self._prefixes: dict[str, str] = {}
        self.status_member = ""
        for name, member in shape.members.items():
            location = member.serialization.get("location")
            wire_name = member.serialization.get("name", name)
            if location == "header":
                self._headers[name] = (wire_name, _header_writer(member))
            elif location == "headers":
                self._prefixes[name] = wire_name
            elif location == "statusCode":
                self.status_member = name

    def write(self, members: Mapping[str, Any], headers: dict[str, str]) -> None:
        """Adds the headers of `members` to `headers`."""
        for name, value in members.items():
            if value is None:
                continue
            header = self._headers.get(name)
            if header is not None:
                headers[header[0]] = header_text(header[1](value))
            elif name in self._prefixes:
                prefix = self._prefixes[name]
                for key, text in value.items():
                    headers[prefix + key] = header_text(text)


def header_text(text: str) -> str:
    """Text as a header may carry it: one line, UTF-8 spelt in Latin-1."""
    if not text.isascii():
        text = text.encode("utf-8", "surrogateescape").decode("latin-1")
    if text.isprintable():
        return text
    return re.sub("[\r\n\0]", " ", text)


def _reader(shape: Shape, location: str) -> Callable[[str], Any]:
    if shape.type_name == "list":
        item = _reader(shape.member, location)
        return item if location == "querystring" else lambda text: [item(part) for part in _split_list(text)]
    if shape.serialization.get("jsonvalue"):
        return lambda text: orjson.loads(base64.b64decode(text, validate=True))
    return scalars.READERS.get(shape.type_name, str)


def _read_header(header: Binding, text: str, found: dict[str, Any]) -> None:
    try:
        found[header.member] = header.value(text)
    except Unreadable:
        # HTTP lets a server ignore dates that it cannot read (RFC 9110, section 13.1.3).
        if header.shape.type_name != "timestamp" or header.shape.serialization.get("timestampFormat") == "iso8601":
            raise


def _split_list(text: str) -> list[str]:
    if '"' not in text:
        return [part.strip() for part in text.split(",") if part.strip()]
    return [
        re.sub(r"\\(.)", r"\1", part[1:-1]) if part.startswith('"') else part
        for part in _LIST_ITEM.findall(text)
        if part
    ]


def _header_writer(shape: Shape) -> Callable[[Any], str]:
    if shape.type_name == "timestamp":
        return timestamps.iso_milliseconds if shape.serialization.get("timestampFormat") == "iso8601" else _date
    if shape.type_name == "list":
        item = _header_writer(shape.member)
        return lambda value: ",".join(item(part) for part in value)
    if shape.serialization.get("jsonvalue"):
        return lambda value: base64.b64encode(orjson.dumps(value)).decode("ascii")
    return scalars.WRITERS.get(shape.type_name, str)


def _date(value: timestamps.Timestamp) -> str:
    try:
        return timestamps.http_date(value)
    except ValueError:
        return str(value)  # S3 gives back the Expires that it was given, date or not
