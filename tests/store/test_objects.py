from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.http import BytesBody, FileSlice, Stored
from clary.store.keyring import KEY_BYTES, Keyring
from clary.store.objects import Checksum, Meta, NewObject, Objects, PageQuery, Version, Versioning
from clary.store.objects.checksums import ALGORITHMS, COMPOSITE, FULL_OBJECT, Digests, of_parts
from clary.store.objects.errors import StorageFull
from clary.store.objects.folder import Folder, IncomingFile
from clary.store.objects.listing import after_all
from clary.store.objects.objects import chunks
from clary.store.objects.receive import receive
from clary.store.objects.sealing import Seals
from clary.store.objects.uploads import new_upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from clary.store.database import Database

BUCKET = "bucket"
LARGE = os.urandom(3 << 20)
NO_CONTENT = ("objects", "readers")


class Store:
    """Objects in a folder of their own."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.folder = folder / "objects"
        self.database = database
        self.objects = self.open()

    def open(self, *, encrypt: bool = False) -> Objects:
        """The same objects as another process would open them."""
        seals = Seals(Keyring(bytes(KEY_BYTES)), encrypt=encrypt)
        return Objects(self.database, Folder(self.folder, durable=False), seals, self.folder)

    def put(self, key: str, content: bytes, versioning: Versioning = "") -> Version:
        async def put() -> Version:
            async with self.objects.received(BytesBody(content), ("CRC32",)) as received:
                checksum = Checksum("CRC32", FULL_OBJECT, received.checksums["CRC32"])
                etag = f'"{received.md5}"'
                new = NewObject(BUCKET, key, received.size, etag, 1.0, checksum, Meta())
                return self.objects.index.put(new, received, versioning)

        return asyncio.run(put())

    def get(self, key: str, version_id: str | None = None) -> Version:
        version = self.objects.index.get(BUCKET, key, version_id, content=True)
        assert version is not None
        return version

    def content(self, key: str, version_id: str | None = None, start: int = 0, end: int | None = None) -> bytes:
        return joined(self.objects.read(self.get(key, version_id), start, end))

    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file() and path.parent.name not in NO_CONTENT]

    def close(self) -> None:
        self.objects.close()


def joined(body: bytes | Stored) -> bytes:
    async def read() -> bytes:
        return b"".join([chunk async for chunk in chunks(body)])

    return asyncio.run(read())


@pytest.fixture
def store(tmp_path: Path, database: Database) -> Iterator[Store]:
    store = Store(tmp_path, database)
    yield store
    store.close()


@pytest.mark.parametrize("size", [0, 1, 32 << 10, (32 << 10) + 1, 3 << 20])
def test_bytes_come_back(store: Store, size: int) -> None:
    content = LARGE[:size]
    version = store.put("k", content)
    assert (version.size, version.etag) == (size, f'"{hashlib.md5(content).hexdigest()}"')
    assert store.content("k") == content
    assert store.content("k", start=size // 3, end=size // 2) == content[size // 3 : size // 2]
    assert len(store.files()) == (size > 32 << 10)


def test_a_body_that_fails_leaves_nothing(store: Store) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield LARGE
        raise ConnectionError

    async def receive() -> None:
        async with store.objects.received(failing(), ()):
            pass

    with pytest.raises(ConnectionError):
        asyncio.run(receive())
    assert store.files() == []


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    class FullDisk(Folder):
        """A folder on a disk without room."""

        def flush(self, descriptor: int) -> None:  # noqa: ARG002  # nothing finds room
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    files = FullDisk(tmp_path, durable=False)
    with pytest.raises(StorageFull):
        asyncio.run(receive(BytesBody(LARGE), (), files, None, in_file=False))
    assert not list((tmp_path / "incoming").iterdir())


def test_a_disk_that_fills_while_a_body_arrives_is_told(tmp_path: Path) -> None:
    class FullFile(IncomingFile):
        """A file for which there is no room."""

        def write(self, data: bytes) -> None:  # noqa: ARG002  # nothing finds room
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class FullDisk(Folder):
        """A folder on a disk that has room for the names of files only."""

        def create(self) -> IncomingFile:
            return FullFile(self, tmp_path / "incoming" / "full")

    files = FullDisk(tmp_path, durable=False)
    with pytest.raises(StorageFull):
        asyncio.run(receive(BytesBody(LARGE), (), files, None, in_file=False))
    assert not list((tmp_path / "incoming").iterdir())


def test_content_that_is_not_put_is_removed(store: Store) -> None:
    async def receive() -> None:
        async with store.objects.received(BytesBody(LARGE), ()):
            assert len(store.files()) == 1

    asyncio.run(receive())
    assert store.files() == []


def test_a_start_finds_what_no_row_names(store: Store) -> None:
    store.put("kept", LARGE)
    store.put("replaced", LARGE)
    store.put("replaced", b"small")
    (store.folder / "incoming" / "half").write_bytes(b"1")
    shard = store.folder / "contents" / "zz"
    shard.mkdir()
    (shard / "zz-orphan").write_bytes(b"1")
    second = store.open()
    second.open()
    # Replaced content waits for readers; what nobody writes any more goes at once.
    assert len(store.files()) == 3
    found: set[str] = set()
    for _ in range(100):  # what the search in the background just looks at seems to be in use
        found.update(second.sweeper.orphans())
        if len(found) == 2:
            break
    assert len(found) == 2
    assert store.content("kept") == LARGE
    second.close()


def test_a_second_process_removes_nothing(store: Store) -> None:
    store.objects.open()
    (store.folder / "incoming" / "half").write_bytes(b"1")
    second = store.open()
    second.open()
    assert len(store.files()) == 1
    second.close()


def test_a_condition_sees_the_object_as_it_is(store: Store) -> None:
    store.put("k", b"1")
    seen: list[Version | None] = []

    async def put() -> None:
        async with store.objects.received(BytesBody(LARGE), ()) as received:
            new = NewObject(BUCKET, "k", received.size, '""', 1.0, None, Meta())

            def refuse(current: Version | None) -> None:
                seen.append(current)
                raise PermissionError

            store.objects.index.put(new, received, "", refuse)

    with pytest.raises(PermissionError):
        asyncio.run(put())
    assert [version.size for version in seen if version] == [1]
    assert store.content("k") == b"1"
    assert store.files() == []


def test_what_is_undone_keeps_its_content(tmp_path: Path, database: Database) -> None:
    store = Store(tmp_path, database)
    store.put("k", LARGE)

    def remove_and_fail() -> None:
        with store.objects.index.transaction():
            store.objects.index.remove(BUCKET, "k", "", 1.0)
            raise KeyError

    with pytest.raises(KeyError):
        remove_and_fail()
    assert store.content("k") == LARGE
    store.close()
    store = Store(tmp_path, database)
    assert store.content("k") == LARGE
    store.close()


def test_parts_become_an_object_without_being_copied(store: Store) -> None:
    upload = new_upload(BUCKET, "k", 1.0, "somebody", Meta())
    store.objects.uploads.begin(upload)
    contents = [LARGE, b"", b"middle", LARGE[:100]]

    async def put(number: int) -> None:
        async with store.objects.received(BytesBody(contents[number - 1]), (), in_file=True) as received:
            assert store.objects.uploads.put_part(upload, number, received, None, 1.0)

    for number in (4, 1, 3, 2, 1):
        asyncio.run(put(number))
    before = set(store.files())
    parts = store.objects.uploads.parts(upload.upload_id)
    new = NewObject(BUCKET, "k", sum(part.size for part in parts), '"x-4"', 1.0, None, Meta())
    assert store.objects.uploads.complete(upload, new, parts, "", None)
    assert store.objects.uploads.complete(upload, new, parts, "", None) is None
    assert set(store.files()) == before
    whole = b"".join(contents)
    assert store.content("k") == whole
    assert store.content("k", start=len(LARGE) - 5, end=len(LARGE) + 9) == whole[len(LARGE) - 5 : len(LARGE) + 9]
    assert isinstance(store.objects.read(store.get("k"), 5, 10), FileSlice)


def test_processes_that_encrypt_and_others_read_the_same(store: Store) -> None:
    plain, sealing = store.objects, store.open(encrypt=True)
    for size in (10, len(LARGE)):
        for key, store.objects in (("plain", plain), ("sealed", sealing)):
            store.put(key, LARGE[:size])
        assert (store.get("plain").sealed_key is None, store.get("sealed").sealed_key is None) == (True, False)
        for store.objects in (plain, sealing):
            for key in ("plain", "sealed"):
                assert store.content(key) == LARGE[:size]
                assert store.content(key, start=2, end=9) == LARGE[2:9]
    store.objects = plain
    sealing.close()


def test_only_a_file_is_shared_by_a_copy(store: Store) -> None:
    for key, content in (("small", b"1"), ("large", LARGE)):
        store.put(key, content)

        async def copy(key: str = key) -> None:
            async with store.objects.copied(store.get(key), "CRC32") as received:
                new = NewObject(BUCKET, f"{key}-copy", received.size, '""', 1.0, None, Meta())
                store.objects.index.put(new, received, "")

        asyncio.run(copy())
        store.objects.index.remove(BUCKET, key, "", 1.0)
        assert store.content(f"{key}-copy") == content


keys = st.text(st.sampled_from("ab/é\U0010ffff\ud7ff\uffff"), min_size=1, max_size=6)


@settings(deadline=None)
@given(
    names=st.lists(keys, max_size=40),
    prefix=st.text(st.sampled_from("ab/é\U0010ffff"), max_size=2),
    delimiter=st.sampled_from(["", "/", "a", "/b"]),
    after=st.one_of(st.just(""), keys),
    limit=st.integers(1, 7),
)
def test_listing_is_as_simple_as_it_looks(
    shared: Store, names: list[str], prefix: str, delimiter: str, after: str, limit: int
) -> None:
    fill(shared, names)
    lines = naive(names, prefix, delimiter, after)
    page = shared.objects.list_keys(PageQuery(BUCKET, prefix, delimiter, after, limit=limit))
    shown = sorted([row[0] for row in page.rows] + page.common_prefixes)
    assert shown == lines[:limit]
    assert page.last == (lines[limit - 1] if len(lines) > limit else "")


@settings(deadline=None)
@given(
    names=st.lists(keys, max_size=40),
    delimiter=st.sampled_from(["", "/", "a"]),
    limit=st.integers(1, 7),
    kind=st.sampled_from(["keys", "versions"]),
)
def test_pages_joined_are_the_whole(
    shared: Store, names: list[str], delimiter: str, limit: int, kind: Literal["keys", "versions"]
) -> None:
    fill(shared, names)
    list_page: Callable[[PageQuery], Any] = getattr(shared.objects, f"list_{kind}")
    query = PageQuery(BUCKET, delimiter=delimiter, limit=1000)
    whole = list_page(query)
    rows, prefixes, after, after_version = [], [], "", ""
    while True:
        page = list_page(PageQuery(BUCKET, "", delimiter, after, after_version, limit))
        rows += page.rows
        prefixes += page.common_prefixes
        after, after_version = page.last, page.last_version
        if not after:
            break
    assert (rows, prefixes) == (whole.rows, whole.common_prefixes)


def naive(names: list[str], prefix: str, delimiter: str, after: str) -> list[str]:
    """The lines of a listing, as the API reference describes them."""
    lines = set()
    for name in set(names):
        if not name.startswith(prefix):
            continue
        head, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
        line = prefix + head + found if found else name
        if line > after and not (found and after.startswith(line)):
            lines.add(line)
    return sorted(lines)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, shared_database: Database) -> Iterator[Store]:
    store = Store(tmp_path_factory.mktemp("shared"), shared_database)
    yield store
    store.close()


def fill(store: Store, names: list[str]) -> None:
    """Objects of these names and no others, written with versioning; a name that comes again is a new version."""
    latest = {name: number for number, name in enumerate(names)}
    rows = [
        (BUCKET, int(latest[name] != number), name, number, f"{number:016x}", 0, 0, "", 1.0, "", "{}")
        for number, name in enumerate(names)
    ]
    with store.database.write() as connection:
        connection.execute("DELETE FROM objects")
        connection.executemany(f"INSERT INTO objects VALUES ({', '.join('?' * 11)})", rows)


@pytest.mark.parametrize("delimiter", ["", "/"])
@pytest.mark.parametrize("kind", ["keys", "versions"])
def test_a_page_may_need_several_statements(shared: Store, delimiter: str, kind: str) -> None:
    often = ["often"] * 200
    names = [
        *(f"a{number:03}" for number in range(150)),
        *often,
        *(f"p{number:02}/{n}" for number in range(90) for n in "ab"),
    ]
    fill(shared, names)
    list_page: Callable[[PageQuery], Any] = getattr(shared.objects, f"list_{kind}")
    page = list_page(PageQuery(BUCKET, delimiter=delimiter))
    below = [] if delimiter else [name for name in names if "/" in name]
    expected = [*names[:150], *(often if kind == "versions" else ["often"]), *below]
    assert [row[0] for row in page.rows] == expected
    assert page.common_prefixes == ([f"p{number:02}/" for number in range(90)] if delimiter else [])
    assert page.last == ""


@given(prefix=st.text(min_size=1, max_size=3), rest=st.text(max_size=2), other=st.text(max_size=4))
def test_after_all_lies_right_behind_a_prefix(prefix: str, rest: str, other: str) -> None:
    bound = after_all(prefix)
    if bound:
        assert prefix + rest < bound
        assert (prefix <= other < bound) == other.startswith(prefix)


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    # The check values of "123456789" in the CRC catalogue.
    [
        ("CRC32", "y/Q5Jg=="),
        ("CRC32C", "4waSgw=="),
        ("CRC64NVME", "rosUhgp5mIg="),
        ("SHA1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
    ],
)
def test_checksums(algorithm: str, expected: str) -> None:
    digests = Digests([algorithm])
    digests.update(b"1234")
    digests.update(b"56789")
    assert digests.values() == {algorithm: expected}


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_every_algorithm_digests_in_steps(algorithm: str) -> None:
    steps, whole = Digests([algorithm]), Digests([algorithm])
    steps.update(LARGE[:1000])
    steps.update(LARGE[1000:])
    whole.update(LARGE)
    assert steps.values() == whole.values()


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
@given(contents=st.lists(st.binary(max_size=20), min_size=1, max_size=5))
def test_checksums_of_parts_make_the_checksum_of_the_whole(algorithm: str, contents: list[bytes]) -> None:
    def value(content: bytes) -> str:
        digests = Digests([algorithm])
        digests.update(content)
        return digests.values()[algorithm]

    parts = [(value(content), len(content)) for content in contents]
    assert of_parts(algorithm, FULL_OBJECT, parts).value == value(b"".join(contents))
    assert of_parts(algorithm, COMPOSITE, parts).value.endswith(f"-{len(contents)}")
