from __future__ import annotations

import gzip
import io
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.compute.roots import Roots
from clary.compute.unpacking import BadLayer, Unpacker
from tests.oci import layer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def unpack(root: Path, *layers: bytes) -> list[str]:
    unpacker = Unpacker(root)
    for each in layers:
        unpacker.apply(iter([each[:7], each[7:]]))
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def entry(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, 0o644
    return info, b""


def test_layers_lie_on_top_of_each_other(root: Path) -> None:
    lower = layer(("a", None), ("a/one", b"1"), ("a/two", b"2"), ("link", "a"))
    upper = layer(("a/two", b"22"), ("a/three", b"3"))
    assert unpack(root, lower, upper) == ["a", "a/one", "a/three", "a/two", "link"]
    assert (root / "a" / "two").read_bytes() == b"22"
    assert (root / "link" / "one").read_bytes() == b"1"


def test_whiteouts_take_away_what_lies_below(root: Path) -> None:
    lower = layer(("a", None), ("a/one", b"1"), ("a/two", b"2"), ("b/c/d", b"3"))
    assert unpack(root, lower, layer(("a/.wh.one", b""), (".wh.b", b""), ("a/.wh.absent", b""))) == ["a", "a/two"]


def test_an_opaque_folder_hides_lower_layers_but_not_its_own(root: Path) -> None:
    lower = layer(("a/one", b"1"), ("a/two/three", b"2"))
    assert unpack(root, lower, layer(("a/new", b"3"), ("a/.wh..wh..opq", b""))) == ["a", "a/new"]
    assert unpack(root, layer(("a/.wh..wh..opq", b""), ("a/last", b"4"))) == ["a", "a/last"]


def test_a_folder_and_a_file_replace_each_other(root: Path) -> None:
    lower = layer(("a/one", b"1"), ("b", b"2"), ("c", "a"))
    unpack(root, lower, layer(("a", b"file"), ("b", None), ("c", None)))
    assert (root / "a").read_bytes() == b"file"
    assert (root / "b").is_dir()
    assert (root / "c").is_dir()
    assert not (root / "c").is_symlink()


def test_hard_links_are_the_same_file(root: Path) -> None:
    unpack(root, layer(("bin/a", b"1"), entry("bin/b", tarfile.LNKTYPE, "bin/a")))
    assert (root / "bin/a").stat().st_ino == (root / "bin/b").stat().st_ino


def test_modes_and_times_are_kept_but_not_the_right_to_be_another(root: Path) -> None:
    info = tarfile.TarInfo("sudo")
    info.mode, info.mtime = 0o6755, 1_000_000
    unpack(root, layer((info, b"x")))
    stat = (root / "sudo").stat()
    assert (stat.st_mode & 0o7777, stat.st_mtime) == (0o755, 1_000_000)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_owners_are_kept(root: Path) -> None:
    info = tarfile.TarInfo("file")
    info.uid, info.gid = 1234, 5678
    unpack(root, layer((info, b"x"), ("link", "file")))
    stat = (root / "file").stat()
    assert (stat.st_uid, stat.st_gid) == (1234, 5678)


def test_devices_are_left_out(root: Path) -> None:
    assert unpack(root, layer(entry("null", tarfile.CHRTYPE), entry("disk", tarfile.BLKTYPE), ("f", b""))) == ["f"]


def test_pipes_are_kept(root: Path) -> None:
    assert unpack(root, layer(entry("pipe", tarfile.FIFOTYPE))) == ["pipe"]


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "a/..", "/../outside", "../.wh.outside"])
def test_no_name_leads_out(root: Path, name: str) -> None:
    (root.parent / "outside").write_bytes(b"kept")
    with pytest.raises(BadLayer):
        unpack(root, layer((name, b"bad")))
    assert (root.parent / "outside").read_bytes() == b"kept"


@pytest.mark.parametrize("target", ["/", "..", "../..", "/..", "x/../../.."])
def test_no_link_leads_out(root: Path, target: str) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    absolute = layer(("link", f"{target}/outside"), ("link/file", b"inside"))
    unpack(root, absolute)
    assert list(outside.iterdir()) == []
    assert (root / "outside" / "file").read_bytes() == b"inside"


def test_a_link_to_the_machine_is_one_of_the_image(root: Path) -> None:
    outside = root.parent / "secret"
    outside.write_bytes(b"secret")
    unpack(root, layer(("link", str(outside)), ("link", b"replaced")))
    assert outside.read_bytes() == b"secret"
    with pytest.raises(BadLayer):
        unpack(root, layer(entry("hard", tarfile.LNKTYPE, str(outside))))
    with pytest.raises(BadLayer):
        unpack(root, layer(entry("hard", tarfile.LNKTYPE, "../secret")))
    whiteout = layer(("way", str(outside.parent)), ("way/.wh.secret", b""))
    unpack(root, whiteout)
    assert outside.read_bytes() == b"secret"


@pytest.mark.parametrize(
    "entries",
    [
        [("a/b", b""), entry("a", tarfile.LNKTYPE, "a/b")],
        [("x" * 300, b"")],
        [("a", b""), ("a/b", b"")],
        [("link", "y" * 300), ("link/x", b"")],
    ],
)
def test_what_cannot_be_is_told(root: Path, entries: list[Any]) -> None:
    with pytest.raises(BadLayer):
        unpack(root, layer(*entries))


def test_links_that_lead_nowhere_else_are_refused(root: Path) -> None:
    with pytest.raises(BadLayer, match="too many links"):
        unpack(root, layer(("a", "b"), ("b", "a"), ("a/file", b"")))


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh..."])
def test_a_whiteout_must_have_a_name(root: Path, name: str) -> None:
    (root / "kept").write_bytes(b"")
    with pytest.raises(BadLayer):
        unpack(root, layer((f"{name}", b"")))
    assert (root / "kept").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"no archive at all" * 100,
        gzip.compress(b"no archive at all" * 100),
        layer(("a", b"x" * 5000))[:-20],
        b"\x28\xb5\x2f\xfd" + bytes(100),
        b"\x1f\x8b" + bytes(100),
    ],
)
def test_damaged_layers_are_told(root: Path, data: bytes) -> None:
    with pytest.raises(BadLayer):
        unpack(root, data)


def test_layers_need_not_be_compressed(root: Path) -> None:
    assert unpack(root, gzip.decompress(layer(("a", b"1")))) == ["a"]


NAMES = st.sampled_from(["a", "b", "a/b", "b/a", "../a", "a/../b", "/a", ".wh.a", "a/.wh.b", "a/.wh..wh..opq", ".", ""])
TARGETS = st.sampled_from(["a", "/", "..", "../outside", "/outside/kept", "b/../..", "a/b"])
KINDS = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(NAMES, KINDS, TARGETS), max_size=8))
def test_whatever_a_layer_holds_nothing_outside_changes(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, bytes, str]]
) -> None:
    base = tmp_path_factory.mktemp("any")
    outside = base / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"kept")
    root = base / "root"
    root.mkdir()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind, target in entries:
            tar.addfile(entry(name, kind, target)[0])
    with suppress(BadLayer):
        Unpacker(root).apply(iter([buffer.getvalue()]))
    assert sorted(path.name for path in base.iterdir()) == ["outside", "root"]
    assert [path.name for path in outside.iterdir()] == ["kept"]
    assert (outside / "kept").read_bytes() == b"kept"
    assert (outside / "kept").stat().st_nlink == 1


def test_an_image_is_unpacked_once(tmp_path: Path) -> None:
    roots = Roots(tmp_path / "images")
    first = roots.get("sha256:ab", [iter([layer(("a", b"1"))])])
    assert roots.get("sha256:ab", iter(())) == first
    assert (first / "a").read_bytes() == b"1"


def test_half_of_an_image_is_none(tmp_path: Path) -> None:
    roots = Roots(tmp_path / "images")
    good = layer(("a", b"1"))
    with pytest.raises(BadLayer):
        roots.get("sha256:ab", [iter([good]), iter([b"damaged"])])
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["ab.lock"]
    killed = tmp_path / "images" / ".ab.killed"
    killed.mkdir()
    assert (roots.get("sha256:ab", [iter([good])]) / "a").exists()
    assert not killed.exists()


def test_those_who_want_an_image_at_once_share_one(tmp_path: Path) -> None:
    data = layer(*((f"file-{number}", b"x") for number in range(200)))
    unpacked: list[int] = []

    def chunks() -> Iterator[bytes]:
        unpacked.append(1)
        yield data

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: Roots(tmp_path / "images").get("sha256:ab", iter([chunks()])), range(8)))
    assert len(set(found)) == 1
    assert sum(unpacked) == 1
    assert len(list(found[0].iterdir())) == 200
