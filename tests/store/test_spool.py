from __future__ import annotations

from typing import TYPE_CHECKING

from clary.store.spool import Spool

if TYPE_CHECKING:
    from pathlib import Path

ENDPOINT = ("1", "r", "e")


def taken(spool: Spool) -> list[tuple[str, bytes]]:
    return [(variant, path.read_bytes()) for variant, path in spool.take(ENDPOINT)]


def test_what_was_taken_but_not_shipped_is_found_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    assert spool.take(ENDPOINT) == []
    spool.append(ENDPOINT, "v", b"1")
    spool.append(ENDPOINT, "v", b"2")
    assert taken(spool) == [("v", b"1\n2\n")]
    spool.append(ENDPOINT, "v", b"3")
    again = Spool(tmp_path)
    assert sorted(content for _, content in taken(again)) == [b"1\n2\n", b"3\n"]
    for _, path in again.take(ENDPOINT):
        path.unlink()
    assert again.take(ENDPOINT) == []


def test_variants_with_dots_keep_their_names(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(ENDPOINT, "A-1", b"x")
    assert taken(spool) == [("A-1", b"x\n")]
