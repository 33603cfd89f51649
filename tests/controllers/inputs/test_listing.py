from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import orjson
import pytest

from clary.controllers.inputs import listing
from clary.controllers.inputs.channel import Channel
from clary.controllers.inputs.listing import Item, named
from clary.controllers.staging import Source, StagingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.controllers.staging import Stager


class Bucket:
    """What a stager sees of one bucket."""

    def __init__(self, names: list[str], content: bytes = b"") -> None:
        self._names = names
        self._content = content

    def objects(self, source: Source) -> Iterator[tuple[str, str, str]]:
        assert source.uri == "s3://b/p/"
        yield from (("b", f"p/{name}", name) for name in self._names)

    def read(self, uri: str) -> bytes:
        assert uri == "s3://b/p/"
        return self._content


def bucket(names: list[str], content: bytes = b"") -> Stager:
    return cast("Stager", Bucket(names, content))


def channel(**options: Any) -> Channel:
    return Channel(**{"name": "train", "target": "/opt/ml/input/data/train", "uri": "s3://b/p/", **options})


def names(items: list[Item]) -> list[str]:
    return [item.name for item in items]


def test_shards_take_turns() -> None:
    stager = bucket(list("abcde"))
    shards = [names(listing.files(stager, channel(sharded=True), (index, 2))) for index in range(2)]
    assert shards == [["a", "c", "e"], ["b", "d"]]
    assert names(listing.files(stager, channel(), (1, 2))) == list("abcde")


def test_shuffled_shards_are_those_of_one_order() -> None:
    stager = bucket([str(number) for number in range(20)])
    shuffled = names(listing.files(stager, channel(seed=5), (0, 1)))
    shards = [names(listing.files(stager, channel(seed=5, sharded=True), (index, 3))) for index in range(3)]
    assert shuffled != sorted(shuffled, key=int)
    assert [shard[0] for shard in shards] == shuffled[:3]
    assert sorted(sum(shards, [])) == sorted(shuffled)  # noqa: RUF017  # three short lists


def test_a_stream_that_is_shuffled_anew_is_sharded_by_its_feeder() -> None:
    stager = bucket(list("abc"))
    piped = channel(mode="Pipe", sharded=True)
    assert [unit[0] for unit in listing.records(stager, piped, (1, 2))] == [Item("b", "p/b", "b")]
    assert len(list(listing.records(stager, channel(mode="Pipe", sharded=True, seed=1), (1, 2)))) == 3


def test_attributes_come_in_the_order_asked_for() -> None:
    lines = [
        {"source-ref": "s3://c/x/1", "label": 1, "text": "ä"},
        {"text": "b", "label": None, "source-ref": "s3://c/2"},
    ]
    manifest = b"\n".join(map(orjson.dumps, lines)) + b"\n\n"
    chosen = channel(mode="Pipe", data_type="AugmentedManifestFile", attributes=("text", "source-ref", "label"))
    assert list(listing.records(bucket([], manifest), chosen, (0, 1))) == [
        ["ä".encode(), Item("c", "x/1", "x/1"), b"1"],
        [b"b", Item("c", "2", "2"), b"null"],
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "is not a JSON object"),
        (b"[1]", "is not a JSON object"),
        (b'{"b": 1}', "has no attribute 'a-ref'"),
        (b'{"a-ref": 1}', "'a-ref' is not an S3 URI"),
        (b'{"a-ref": "http://x"}', "http://x is not an S3 URI"),
    ],
)
def test_a_manifest_with_a_wrong_line(line: bytes, problem: str) -> None:
    chosen = channel(mode="Pipe", data_type="AugmentedManifestFile", attributes=("a-ref",))
    with pytest.raises(StagingError, match=problem):
        list(listing.records(bucket([], line), chosen, (0, 1)))


@pytest.mark.parametrize("name", ["a//b", "/a", "../a", "a/./b", "a\0b", "x" * 256, "ä" * 128])
def test_names_that_are_none_of_files(name: str) -> None:
    with pytest.raises(StagingError, match="ClientError: Data download failed:"):
        named([Item("b", name, name)])


def test_a_name_is_that_of_a_file_or_of_a_folder() -> None:
    with pytest.raises(StagingError, match="s3://b/a is both a file and a folder"):
        named([Item("b", name, name) for name in ("a", "a.b", "a/b/c")])


def test_an_object_that_a_manifest_names_twice_comes_once() -> None:
    assert named([Item("b", "a", "a")] * 2) == [Item("b", "a", "a")]
