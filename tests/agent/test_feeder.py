from __future__ import annotations

import gzip
import os
import struct
import threading
from typing import TYPE_CHECKING

import pytest

from clary.agent import bundle
from clary.agent.catalogue import Catalogue, Writer
from clary.agent.feeder import Feeder, Folder
from clary.agent.workload import Pipe

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Stream:
    """A stream of records, and what its reader gets."""

    def __init__(self, folder: Path, items: Iterable[Iterable[bytes]], **options: object) -> None:
        writer = Writer(folder / bundle.INPUTS)
        for number, item in enumerate(items):
            for content in item:
                writer.record("0", number, f"s3://b/{number}", [writer.pack(content)])
        writer.complete()
        pipe = Pipe(target="/opt/ml/input/data/train", name="0", **options)  # type: ignore[arg-type]
        self.data = folder / "ml" / "input" / "data"
        self.folder = Folder(folder, pipe)
        self.catalogue = Catalogue(folder / bundle.INPUTS)
        self.feeder = Feeder(self.catalogue, pipe, self.folder)

    def epoch(self, number: int) -> bytes:
        """What a reader gets of one epoch."""
        self.folder.make(number)
        got: list[bytes] = []
        reader = threading.Thread(target=lambda: got.append((self.data / f"train_{number}").read_bytes()))
        reader.start()
        self.feeder.feed_epoch(number)
        reader.join()
        return got[0]

    def close(self) -> None:
        self.folder.close()
        self.catalogue.close()


def test_contents_come_one_after_the_other_in_every_epoch(tmp_path: Path) -> None:
    stream = Stream(tmp_path, [[b"one"], [b""], [b"two"]])
    assert [stream.epoch(0), stream.epoch(1)] == [b"onetwo", b"onetwo"]
    stream.close()


def test_records_are_wrapped(tmp_path: Path) -> None:
    stream = Stream(tmp_path, [[b"image", b"1"]], record_io=True)
    head = struct.Struct("<II")
    assert stream.epoch(0) == head.pack(0xCED7230A, 5) + b"image\0\0\0" + head.pack(0xCED7230A, 1) + b"1\0\0\0"
    stream.close()


def test_epochs_are_shuffled_differently_but_alike_for_the_same_seed(tmp_path: Path) -> None:
    items = [[bytes([65 + number]), bytes([97 + number])] for number in range(10)]
    first, again, other = (Stream(tmp_path / name, items, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    epochs = [stream.epoch(number) for stream in (first, again, other) for number in (0, 1)]
    assert epochs[:2] == epochs[2:4]
    assert len(set(epochs)) == 4
    for epoch in epochs:
        pairs = [epoch[at : at + 2] for at in range(0, len(epoch), 2)]
        assert sorted(pairs) == [b"".join(item) for item in items]
    for stream in (first, again, other):
        stream.close()


def test_the_shards_of_an_epoch_make_the_whole(tmp_path: Path) -> None:
    items = [[bytes([65 + number])] for number in range(9)]
    shards = [Stream(tmp_path / str(index), items, seed=3, shard=index, shards=2) for index in range(2)]
    parts = [shard.epoch(0) for shard in shards]
    assert [len(part) for part in parts] == [5, 4]
    assert sorted(b"".join(parts)) == list(range(65, 74))
    for shard in shards:
        shard.close()


def test_a_compressed_content_is_decompressed_and_its_length_is_that(tmp_path: Path) -> None:
    packed = gzip.compress(b"pla") + gzip.compress(b"in")
    stream = Stream(tmp_path, [[packed]], gunzip=True, record_io=True)
    assert stream.epoch(0) == struct.pack("<II", 0xCED7230A, 5) + b"plain\0\0\0"
    stream.close()


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"x" * 1000)[:-9]])
def test_a_damaged_one_is_named(tmp_path: Path, content: bytes) -> None:
    stream = Stream(tmp_path, [[content]], gunzip=True)
    with pytest.raises(ValueError, match="'s3://b/0' is no gzip file"):
        stream.epoch(0)
    stream.close()


def test_a_reader_may_close_early(tmp_path: Path) -> None:
    stream = Stream(tmp_path, [[bytes(1 << 20)]])
    stream.folder.make(0)

    def read_little() -> None:
        with (stream.data / "train_0").open("rb", buffering=0) as pipe:
            pipe.read(1)

    reader = threading.Thread(target=read_little)
    reader.start()
    stream.feeder.feed_epoch(0)
    reader.join()
    assert len(stream.epoch(1)) == 1 << 20
    stream.close()


def test_what_a_workload_put_in_the_place_of_a_pipe_is_not_written_to(tmp_path: Path) -> None:
    stream = Stream(tmp_path, [[b"content"]])
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (stream.data / "train_0").symlink_to(secret)
    with pytest.raises(OSError, match="symbolic links"):
        stream.feeder.feed_epoch(0)
    (stream.data / "train_1").unlink()
    os.link(secret, stream.data / "train_1")
    with pytest.raises(ValueError, match="no named pipe"):
        stream.feeder.feed_epoch(1)
    assert secret.read_text() == "secret"
    stream.close()


def test_a_pipe_that_was_taken_away_ends_the_stream(tmp_path: Path) -> None:
    stream = Stream(tmp_path, [[b"content"]])
    stream.feeder.feed()
    stream.close()
