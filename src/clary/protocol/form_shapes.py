"""Form fields of the query and EC2 protocols to members: closures compiled from shapes.

`A.member.1.B=x` is first folded into `{"A": {"member": {"1": {"B": "x"}}}}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from clary.protocol import scalars

if TYPE_CHECKING:
    from botocore.model import Shape

    from clary.errors import ServiceError

Tree = dict[str, Any]
Read = Callable[[Any, str], Any]
"""Takes a node of the tree and the field name that leads to it."""

DEPTH_LIMIT = 64


class FormReaders:
    """Compiles readers of form fields; `ec2` chooses the naming rules of EC2, `error` the class of what is refused."""

    def __init__(self, error: Callable[[str], ServiceError], *, ec2: bool) -> None:
        self._error = error
        self._ec2 = ec2
        self._structures: dict[str, Read] = {}

    def fold(self, fields: Mapping[str, str]) -> Tree:
        """The fields as a tree; raises the protocol's error when a field is both a value and a parent."""
        tree: Tree = {}
        for field, text in fields.items():
            *parents, last = field.split(".")
            node = tree
            if len(parents) > DEPTH_LIMIT:
                raise self._error(f"The parameter {field} is nested too deeply")
            for parent in parents:
                node = node.setdefault(parent, {})
                if type(node) is not dict:
                    raise self._error(f"The parameter {field} conflicts with another parameter")
            if isinstance(node.get(last), dict):
                raise self._error(f"The parameter {field} conflicts with another parameter")
            node[last] = text
        return tree

    def reader(self, shape: Shape) -> Read:
        """The reader of one shape."""
        if shape.type_name == "structure":
            return self._structure(shape)
        if shape.type_name == "list":
            return self._list(shape)
        if shape.type_name == "map":
            return self._map(shape)
        return self._scalar(shape.type_name)

    def _structure(self, shape: Shape) -> Read:
        known = self._structures.get(shape.name)
        if known is not None:
            return known
        members: list[tuple[str, str, Read]] = []

        def read(node: Any, field: str) -> dict[str, Any]:
            if type(node) is not dict:
                if node == "":
                    return {}
                raise self._error(f"The parameter {field} is not a structure")
            return {
                name: read_member(node[wire_name], f"{field}.{wire_name}" if field else wire_name)
                for wire_name, name, read_member in members
                if wire_name in node
            }

        self._structures[shape.name] = read
        for name, member in shape.members.items():
            members.append((self._wire_name(name, member), name, self.reader(member)))
        return read

    def _wire_name(self, name: str, shape: Shape) -> str:
        traits = shape.serialization
        if self._ec2:
            if "queryName" in traits:
                return str(traits["queryName"])
            wire_name = str(traits.get("name", name))
            return wire_name[:1].upper() + wire_name[1:] if "name" in traits else wire_name
        if shape.type_name == "list" and traits.get("flattened") and "name" in shape.member.serialization:
            return str(shape.member.serialization["name"])
        return str(traits.get("name", name))

    def _list(self, shape: Shape) -> Read:
        read_item = self.reader(shape.member)
        flattened = self._ec2 or shape.serialization.get("flattened")
        wrapper = None if flattened else shape.member.serialization.get("name", "member")

        def read(node: Any, field: str) -> list[Any]:
            if node == "":
                return []
            if wrapper is not None and type(node) is dict and wrapper in node:
                node, field = node[wrapper], f"{field}.{wrapper}"
            return [read_item(item, f"{field}.{key}") for key, item in self._numbered(node, field)]

        return read

    def _map(self, shape: Shape) -> Read:
        key_name = shape.key.serialization.get("name", "key")
        value_name = shape.value.serialization.get("name", "value")
        read_value = self.reader(shape.value)
        wrapper = None if shape.serialization.get("flattened") else "entry"

        def read(node: Any, field: str) -> dict[str, Any]:
            if node == "":
                return {}
            if wrapper is not None and type(node) is dict and wrapper in node:
                node, field = node[wrapper], f"{field}.{wrapper}"
            found = {}
            for number, entry in self._numbered(node, field):
                if type(entry) is not dict or type(entry.get(key_name)) is not str:
                    raise self._error(f"The parameter {field}.{number}.{key_name} is missing")
                found[entry[key_name]] = read_value(entry.get(value_name, ""), f"{field}.{number}.{value_name}")
            return found

        return read

    def _numbered(self, node: Any, field: str) -> list[tuple[str, Any]]:
        if type(node) is not dict:
            raise self._error(f"The parameter {field} is not a list")
        if not all(key.isdecimal() and key.isascii() for key in node):
            raise self._error(f"The members of {field} must be numbered")
        return sorted(node.items(), key=lambda item: (len(item[0]), item[0]))

    def _scalar(self, type_name: str) -> Read:
        convert = scalars.READERS[type_name]

        def read(node: Any, field: str) -> Any:
            if type(node) is not str:
                raise self._error(f"The parameter {field} is not a value")
            try:
                return convert(node)
            except ValueError:
                raise self._error(f"Invalid value '{node}' for {field}: not a valid {type_name}") from None

        return read
