"""Which objects a channel means, by what names, and which of them a host gets."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import orjson

from clary.controllers.staging import NAME_BYTES, Source, StagingError, split_uri

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from clary.controllers.inputs.channel import Channel
    from clary.controllers.staging import Stager

REF = "-ref"
"""Attributes of an augmented manifest whose names end so tell the address of an object."""


_T = TypeVar("_T")


class Item(NamedTuple):
    """An object, and what it is called within its channel."""

    bucket: str
    key: str
    name: str

    @property
    def uri(self) -> str:
        """Its address."""
        return f"s3://{self.bucket}/{self.key}"


Record = Item | bytes
"""What is sent through a pipe: an object, or what a manifest holds itself."""


def files(stager: Stager, channel: Channel, shard: tuple[int, int]) -> list[Item]:
    """The objects that the host of a place in the cluster finds in its folder; `shard` is that place and the count.

    Raises:
        StagingError: there are none, they may not be listed, or their names are not those of files in a folder.
    """
    items = [Item(*found) for found in stager.objects(Source(channel.uri, channel.data_type))]
    if channel.seed is not None:
        random.Random(str(channel.seed)).shuffle(items)  # noqa: S311  # the order is to be repeatable
    return named(_part(channel, items, shard))


def records(stager: Stager, channel: Channel, shard: tuple[int, int]) -> Iterator[Sequence[Record]]:
    """What is sent through the pipe of a host, in units that are shuffled and sharded.

    Raises:
        StagingError: as `files`, or the manifest is not valid.
    """
    if channel.data_type == "AugmentedManifestFile":
        whole: list[Sequence[Record]] = list(_lines(channel, stager.read(channel.uri)))
    else:
        whole = [(Item(*found),) for found in stager.objects(Source(channel.uri, channel.data_type))]
    yield from whole if channel.shuffles_epochs else _part(channel, whole, shard)


def named(items: Iterable[Item]) -> list[Item]:
    """The same objects, each once.

    Raises:
        StagingError: a name is not that of a file in a folder, or is both that of a file and of a folder.
    """
    by_name = {item.name: item for item in items}
    folders: set[str] = set()
    for name, item in by_name.items():
        _check(item)
        above = name.rpartition("/")[0]
        while above and above not in folders:
            folders.add(above)
            above = above.rpartition("/")[0]
    for name in by_name.keys() & folders:
        raise StagingError(
            f"ClientError: Data download failed:Failed to download data. S3 key: {by_name[name].uri} is both a file "
            "and a folder."
        )
    return list(by_name.values())


def _part(channel: Channel, whole: list[_T], shard: tuple[int, int]) -> list[_T]:
    index, count = shard
    return whole[index::count] if channel.sharded else whole


def _check(item: Item) -> None:
    if "//" in item.name:
        raise StagingError(
            f"ClientError: Data download failed:Failed to download data. S3 key: {item.uri} has an illegal char "
            "sub-sequence '//' in it"
        )
    parts = item.name.split("/")
    too_long = any(len(part.encode()) > NAME_BYTES for part in parts)
    if too_long or not {"", ".", ".."}.isdisjoint(parts) or "\0" in item.name:
        raise StagingError(
            f"ClientError: Data download failed:the key {item.key!r} does not name a file within a folder."
        )


def _lines(channel: Channel, manifest: bytes) -> Iterator[Sequence[Record]]:
    for number, line in enumerate(manifest.splitlines(), 1):
        if line.strip():
            yield [_attribute(channel, number, line, name) for name in channel.attributes]


def _attribute(channel: Channel, number: int, line: bytes, name: str) -> Record:
    try:
        value = orjson.loads(line)[name]
    except (ValueError, KeyError, TypeError) as error:
        what = f"has no attribute {error}" if isinstance(error, KeyError) else f"is not a JSON object: {error}"
        raise StagingError(
            f"ClientError: Data download failed:Line {number} of the augmented manifest {channel.uri} {what}"
        ) from error
    if not name.endswith(REF):
        return _text(value)
    if not isinstance(value, str):
        raise StagingError(
            f"ClientError: Data download failed:Line {number} of the augmented manifest {channel.uri}: the attribute "
            f"{name!r} is not an S3 URI"
        )
    bucket, key = split_uri(value)
    return Item(bucket, key, key)


def _text(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else orjson.dumps(value)
