"""What nothing names any more goes, and nothing else, whoever is writing and reading."""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING

import pytest

from clary.store.objects.folder import Folder
from clary.store.objects.readers import Readers
from clary.store.objects.sweeping import Sweeper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from clary.store.objects.folder import IncomingFile


class Process:
    """What one process that shares a folder has; locks tell descriptors apart, so that two will do in one process."""

    def __init__(self, folder: Path, rows: set[str]) -> None:
        self.files = Folder(folder, durable=False)
        self.readers = Readers(folder / "readers")
        self.sweeper = Sweeper(folder, self.files, lambda names: rows & set(names), self.readers, grace_s=0.0)

    def begin(self) -> IncomingFile:
        incoming = self.files.create()
        incoming.write(b"content")
        return incoming

    def close(self) -> None:
        self.sweeper.close()
        self.readers.close()


@pytest.fixture
def rows() -> set[str]:
    """The files that committed rows name."""
    return set()


@pytest.fixture
def start(tmp_path: Path, rows: set[str]) -> Iterator[Callable[[], Process]]:
    started: list[Process] = []

    def make() -> Process:
        started.append(Process(tmp_path, rows))
        return started[-1]

    yield make
    for process in started:
        process.close()


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def contents(folder: Path) -> Sequence[str]:
    return [path.name for path in (folder / "contents").rglob("*") if path.is_file()]


def test_a_file_is_kept_from_its_first_byte_until_a_row_names_it(start: Callable[[], Process], rows: set[str]) -> None:
    writer, other = start(), start()
    incoming = writer.begin()
    assert other.files.remove_abandoned(float("inf")) == 0
    name = incoming.finish()
    assert not list(other.sweeper.orphans())
    rows.add(name)
    writer.files.release(name)
    assert not list(other.sweeper.orphans())
    rows.clear()
    assert list(other.sweeper.orphans()) == [name]


def test_what_a_dead_process_was_writing_goes(start: Callable[[], Process], tmp_path: Path) -> None:
    # As files look whose process has ended: they are there, and nobody holds their locks.
    (tmp_path / "incoming").mkdir()
    (tmp_path / "incoming" / "half").write_bytes(b"1")
    shard = tmp_path / "contents" / "ab"
    shard.mkdir(parents=True)
    (shard / "abandoned").write_bytes(b"1")
    process = start()
    process.sweeper.start()
    until(lambda: not contents(tmp_path))
    assert not list((tmp_path / "incoming").iterdir())


def test_a_file_that_is_not_locked_yet_is_left_alone(start: Callable[[], Process], tmp_path: Path) -> None:
    first = start()
    first.sweeper.start()
    second = start()
    begun = tmp_path / "incoming" / "begun"
    begun.write_bytes(b"")
    os.utime(begun, (time.time() + 60, time.time() + 60))
    second.sweeper.start()
    second.sweeper.search()
    assert begun.exists()


def test_a_copy_keeps_the_content_that_it_shares(start: Callable[[], Process], rows: set[str]) -> None:
    writer, other = start(), start()
    name = writer.begin().finish()
    rows.add(name)
    writer.files.release(name)
    copy = writer.files.link(name)
    rows.clear()
    assert not list(other.sweeper.orphans())
    rows.add(copy)
    writer.files.release(copy)
    assert list(other.sweeper.orphans()) == [name]
    other.files.remove(name)
    assert b"".join(other.files.read(copy, 0, 7).chunks()) == b"content"


def test_whoever_still_reads_is_waited_for(start: Callable[[], Process], tmp_path: Path) -> None:
    reader, other = start(), start()
    other.sweeper.start()
    with reader.readers.reading():
        name = other.begin().finish()
        other.files.release(name)
        assert other.readers.oldest() < time.time()
        other.sweeper.discard([name])
        assert contents(tmp_path) == [name]
    assert other.readers.oldest() == float("inf")
    until(lambda: not contents(tmp_path))


def test_the_oldest_read_counts(start: Callable[[], Process]) -> None:
    reader, other = start(), start()
    with reader.readers.reading():
        first = other.readers.oldest()
        with reader.readers.reading():
            assert other.readers.oldest() == first
        assert other.readers.oldest() == first
    assert other.readers.oldest() == float("inf")


def test_a_dead_reader_is_not_waited_for(start: Callable[[], Process], tmp_path: Path) -> None:
    marker = tmp_path / "readers" / "dead.reader"
    process = start()
    marker.write_bytes(b"")
    assert process.readers.oldest() == float("inf")
    assert not marker.exists()


def test_only_one_process_searches_at_a_time(start: Callable[[], Process], tmp_path: Path) -> None:
    first, second = start(), start()
    name = first.begin().finish()
    first.files.release(name)
    with (tmp_path / "search").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert second.sweeper.search() == 0
    assert second.sweeper.search() == 1
