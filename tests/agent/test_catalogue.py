from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.agent.catalogue import ROOT, Catalogue, Extent, Writer

if TYPE_CHECKING:
    from pathlib import Path


def written(folder: Path, pieces: list[bytes]) -> list[Extent]:
    """A catalogue with one file `0/a`, whose content are these pieces one after the other; tells its extents."""
    writer = Writer(folder)
    extents = []
    for piece in pieces:
        number, path = writer.piece()
        # A piece may be longer than what is used of it.
        path.write_bytes(b"<<" + piece + b">>")
        extents.append(Extent(number, 2, len(piece)))
    writer.file("0/a", extents, 7)
    writer.complete()
    return extents


def read(catalogue: Catalogue, node: int, offset: int, length: int) -> bytes:
    buffer = bytearray(length)
    with memoryview(buffer) as view:
        count = catalogue.read_into(view, node, offset)
    return bytes(buffer[:count])


def found(catalogue: Catalogue, path: str) -> int:
    number = ROOT
    for name in path.split("/"):
        node = catalogue.lookup(number, name)
        assert node is not None
        number = node.id
    return number


@given(pieces=st.lists(st.binary(max_size=9), max_size=5), offset=st.integers(0, 50), length=st.integers(0, 50))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_every_range_of_a_file_is_that_of_its_pieces(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], offset: int, length: int
) -> None:
    folder = tmp_path_factory.mktemp("catalogue")
    written(folder / "c", pieces)
    catalogue = Catalogue(folder / "c")
    whole = b"".join(pieces)
    assert read(catalogue, found(catalogue, "0/a"), offset, length) == whole[offset : offset + length]
    catalogue.close()


def test_folders_are_listed_in_order_from_any_place(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "c")
    for name in ("b/x", "a", "c", "b/y"):
        writer.file(f"0/{name}", [writer.pack(name.encode())], 7)
    writer.complete()
    catalogue = Catalogue(tmp_path / "c")
    root = found(catalogue, "0")
    listed = [(node.name, node.is_folder) for node in catalogue.children(root, "")]
    assert listed == [("a", False), ("b", True), ("c", False)]
    assert [node.name for node in catalogue.children(root, "a")] == ["b", "c"]
    assert catalogue.lookup(root, "d") is None
    assert read(catalogue, found(catalogue, "0/b/y"), 0, 10) == b"b/y"
    catalogue.close()


@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), ("a/b", "a")])
def test_a_name_for_two_things_is_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    writer = Writer(tmp_path / "c")
    for name in names:
        writer.file(name, [], 0)
    with pytest.raises(FileExistsError):
        writer.complete()
    writer.close()


def test_a_piece_that_is_too_short_is_an_error(tmp_path: Path) -> None:
    (extent,) = written(tmp_path / "c", [b"content"])
    (tmp_path / "c" / "pieces" / str(extent.piece)).write_bytes(b"<<con")
    catalogue = Catalogue(tmp_path / "c")
    with pytest.raises(OSError, match="too short"):
        read(catalogue, found(catalogue, "0/a"), 0, 7)
    catalogue.close()


def test_more_pieces_than_files_may_be_open(tmp_path: Path) -> None:
    pieces = [bytes([number]) for number in range(200)]
    written(tmp_path / "c", pieces)
    catalogue = Catalogue(tmp_path / "c")
    node = found(catalogue, "0/a")
    assert read(catalogue, node, 0, 200) == read(catalogue, node, 0, 200) == b"".join(pieces)
    catalogue.close()
