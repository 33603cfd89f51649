"""JSON documents to members and back: closures compiled from shapes.

CBOR documents are the same but for timestamps and blobs, which CBOR knows itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from clary.protocol import scalars, timestamps
from clary.protocol.errors import SerializationException, refuse_unknown

if TYPE_CHECKING:
    from botocore.model import Shape

Convert = Callable[[Any], Any]
_WriteMember = tuple[str, Convert | None]

_KINDS = {str: "STRING_VALUE", int: "NUMBER_VALUE", float: "NUMBER_VALUE"}


def loads(body: bytes) -> Any:
    """The document in `body`; raises SerializationException when it is not JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise SerializationException(f"Could not parse the request body as JSON: {error}") from None


def dumps(document: Any) -> bytes:
    """The bytes of a document that a writer made, or of members of an error."""
    return orjson.dumps(document, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)


class JsonReaders:
    """Compiles readers, which turn a parsed document into members and refuse values of a wrong type."""

    def __init__(self) -> None:
        self._structures: dict[str, Convert] = {}

    def reader(self, shape: Shape) -> Convert:
        """The reader of one shape."""
        if shape.type_name == "structure":
            return self._structure(shape)
        if shape.type_name == "list":
            return _list_reader(self.reader(shape.member))
        if shape.type_name == "map":
            return _map_reader(self.reader(shape.value))
        return _SCALAR_READERS[shape.type_name]

    def _structure(self, shape: Shape) -> Convert:
        if shape.is_document_type:
            return _as_is
        known = self._structures.get(shape.name)
        if known is not None:
            return known
        members: dict[str, tuple[str, Convert]] = {}
        read = self._structures[shape.name] = _structure_reader(members)
        for name, member in shape.members.items():
            if "location" not in member.serialization:
                members[member.serialization.get("name", name)] = (name, self.reader(member))
        return read


class JsonWriters:
    """Compiles writers, which turn members into a document for `dumps`; `strict` refuses unknown members."""

    def __init__(self, *, cbor: bool = False, strict: bool) -> None:
        self._scalars = _CBOR_WRITERS if cbor else _SCALAR_WRITERS
        self._strict = strict
        self._structures: dict[str, Convert] = {}

    def writer(self, shape: Shape) -> Convert | None:
        """The writer of one shape; None when its values are written as they are."""
        if shape.type_name == "structure":
            return None if shape.is_document_type else self._structure(shape)
        if shape.type_name == "list":
            item = self.writer(shape.member)
            return None if item is None else _list_writer(item)
        if shape.type_name == "map":
            value = self.writer(shape.value)
            return None if value is None else _map_writer(value)
        if shape.type_name == "timestamp" and shape.serialization.get("timestampFormat") == "iso8601":
            return timestamps.iso_milliseconds
        return self._scalars.get(shape.type_name)

    def _structure(self, shape: Shape) -> Convert:
        known = self._structures.get(shape.name)
        if known is not None:
            return known
        members: dict[str, _WriteMember | None] = {}
        write = self._structures[shape.name] = _structure_writer(shape.name, members, strict=self._strict)
        for name, member in shape.members.items():
            is_elsewhere = "location" in member.serialization
            wire_name = member.serialization.get("name", name)
            members[name] = None if is_elsewhere else (wire_name, self.writer(member))
        return write


def _structure_reader(members: dict[str, tuple[str, Convert]]) -> Convert:
    def read(document: Any) -> dict[str, Any]:
        if type(document) is not dict:
            raise SerializationException(_unexpected(document, "Expected structure or null"))
        found = {}
        for wire_name, value in document.items():
            if value is not None:
                member = members.get(wire_name)
                if member is not None:
                    found[member[0]] = member[1](value)
        return found

    return read


def _list_reader(read_item: Convert) -> Convert:
    def read(document: Any) -> list[Any]:
        if type(document) is not list:
            raise SerializationException(_unexpected(document, "Expected list or null"))
        return [read_item(item) for item in document if item is not None]

    return read


def _map_reader(read_value: Convert) -> Convert:
    def read(document: Any) -> dict[str, Any]:
        if type(document) is not dict:
            raise SerializationException(_unexpected(document, "Expected map or null"))
        return {key: read_value(value) for key, value in document.items() if value is not None}

    return read


def _read_string(value: Any) -> str:
    if type(value) is not str:
        raise SerializationException(_unconvertible(value, "a String"))
    return value


def _integer_reader(bits: int) -> Convert:
    kind = "a Long" if bits > 31 else "an Integer"
    limit = 1 << bits

    def read(value: Any) -> int:
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int:
            raise SerializationException(_unconvertible(value, kind))
        if not -limit <= value < limit:
            raise SerializationException(f"{value} can not be converted to {kind}: out of range")
        return value

    return read


def _read_float(value: Any) -> float:
    if type(value) is float or type(value) is int:
        return float(value)
    if type(value) is str and value in {"Infinity", "-Infinity", "NaN"}:
        return scalars.read_float(value)
    raise SerializationException(_unconvertible(value, "a Double"))


def _read_boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise SerializationException(_unconvertible(value, "a Boolean"))
    return value


def _read_timestamp(value: Any) -> datetime:
    if type(value) is datetime:  # from CBOR
        return value
    try:
        return timestamps.parse(value)
    except ValueError:
        raise SerializationException(_unconvertible(value, "a Timestamp")) from None


def _read_blob(value: Any) -> bytes:
    if type(value) is bytes:  # from CBOR
        return value
    try:
        return scalars.read_blob(value)
    except (TypeError, ValueError):
        raise SerializationException(_unconvertible(value, "a Blob")) from None


def _as_is(value: Any) -> Any:
    return value


_SCALAR_READERS: Mapping[str, Convert] = {
    "string": _read_string,
    "character": _read_string,
    "integer": _integer_reader(scalars.INTEGER_BITS["integer"]),
    "long": _integer_reader(scalars.INTEGER_BITS["long"]),
    "float": _read_float,
    "double": _read_float,
    "boolean": _read_boolean,
    "timestamp": _read_timestamp,
    "blob": _read_blob,
}


def _structure_writer(shape: str, members: dict[str, _WriteMember | None], *, strict: bool) -> Convert:
    def write(value: dict[str, Any]) -> dict[str, Any]:
        document = {}
        for name, item in value.items():
            if item is None:
                continue
            try:
                member = members[name]
            except KeyError:
                refuse_unknown(shape, name, strict=strict)
                continue
            if member is not None:
                wire_name, convert = member
                document[wire_name] = item if convert is None else convert(item)
        return document

    return write


def _list_writer(write_item: Convert) -> Convert:
    return lambda value: [write_item(item) for item in value]


def _map_writer(write_value: Convert) -> Convert:
    return lambda value: {key: write_value(item) for key, item in value.items()}


_CBOR_WRITERS: Mapping[str, Convert] = {"timestamp": timestamps.to_datetime}
_SCALAR_WRITERS: Mapping[str, Convert] = {
    "timestamp": timestamps.epoch,
    "float": scalars.number_or_name,
    "double": scalars.number_or_name,
    "blob": scalars.write_blob,
}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return scalars.write_blob(value)
    if hasattr(value, "timestamp"):
        return timestamps.epoch(value)
    raise TypeError(f"not a JSON value: {type(value).__name__}")


def _unexpected(document: Any, expected: str) -> str:
    if type(document) is list:
        return "Start of list found where not expected"
    if type(document) is dict:
        return "Start of structure or map found where not expected."
    return expected


def _unconvertible(value: Any, kind: str) -> str:
    if isinstance(value, list | dict):
        return _unexpected(value, "")
    if isinstance(value, bool):
        return f"{str(value).upper()}_VALUE can not be converted to {kind}"
    return f"{_KINDS.get(type(value), 'VALUE')} can not be converted to {kind}"
