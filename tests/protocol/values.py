"""Random values for the shapes of the models, such as every protocol can carry."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.model import Shape

DEPTH = 4
WORDS = ("a", "x y", "été", "1 < 2 & 3 > 2", 'say "hi"', "tab\tline\n", "100%", "a+b=c", "~.-_/:@", "日本語")
PLAIN_WORDS = ("alpha", "beta-2", "a.b_c", "x=y;z", "2024")


class Values:
    """Makes values with a seeded generator; structures, lists and maps are never empty."""

    def __init__(self, seed: object) -> None:
        self._random = random.Random(str(seed))

    def members(self, shape: Shape | None) -> dict[str, Any]:
        """Values for a whole input or output."""
        return {} if shape is None else self._structure(shape, 0)

    def _value(self, shape: Shape, depth: int) -> Any:
        match shape.type_name:
            case "structure" if shape.serialization.get("eventstream"):
                return [
                    {name: self._structure(event, depth)}
                    for name, event in shape.members.items()
                    if not event.metadata.get("exception")
                ]
            case "structure":
                return {"any": ["document", 1]} if shape.is_document_type else self._structure(shape, depth)
            case "list":
                count = self._random.randint(1, 3)
                return [item for item in (self._value(shape.member, depth + 1) for _ in range(count)) if item != {}]
            case "map":
                return self._map(shape, depth)
        return self._scalar(shape)

    def _structure(self, shape: Shape, depth: int) -> dict[str, Any]:
        if depth > DEPTH:
            return {}
        names = [name for name, member in shape.members.items() if depth < DEPTH or not _is_nested(member)]
        if shape.is_tagged_union:
            names = self._random.sample(names, min(1, len(names)))
        chosen = [name for name in names if self._is_located(shape, name, depth) or self._random.random() < 0.7]
        found = {name: self._value(shape.members[name], depth + 1) for name in chosen or names[:1]}
        return {name: value for name, value in found.items() if value not in ({}, [])}

    def _is_located(self, shape: Shape, name: str, depth: int) -> bool:
        return depth == 0 and (name in shape.required_members or shape.serialization.get("payload") == name)

    def _map(self, shape: Shape, depth: int) -> dict[str, Any]:
        keys = [self._text(shape.key, PLAIN_WORDS) for _ in range(2)]
        found = {key: self._value(shape.value, depth + 1) for key in keys}
        if shape.serialization.get("location") == "headers":
            return {key.lower(): self._random.choice(PLAIN_WORDS) for key in found}
        return {key: value for key, value in found.items() if value not in ({}, [])}

    def _scalar(self, shape: Shape) -> Any:
        whole = self._random.randint
        match shape.type_name:
            case "integer" | "long":
                bits = 31 if shape.type_name == "integer" else 63
                return whole(-(2**bits), 2**bits - 1)
            case "float" | "double":
                return whole(-4000, 4000) / 4
            case "boolean":
                return self._random.random() < 0.5
            case "timestamp":
                return datetime(2001, 1, 1, tzinfo=UTC) + timedelta(seconds=whole(0, 10**9))
            case "blob":
                is_payload = shape.serialization.get("streaming") or shape.name in {"BodyBlob", "PartBlob"}
                return b"plain bytes" if is_payload else self._random.randbytes(whole(1, 40))
            case _:
                in_header = shape.serialization.get("location") in {"header", "headers", "querystring"}
                return self._text(shape, PLAIN_WORDS if in_header else WORDS)

    def _text(self, shape: Shape, words: tuple[str, ...]) -> str:
        if shape.enum:
            return str(self._random.choice(shape.enum))
        return "".join(self._random.choices(words, k=self._random.randint(1, 3)))


def _is_nested(shape: Shape) -> bool:
    return shape.type_name in {"structure", "list", "map"}
