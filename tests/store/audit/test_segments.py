from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from clary.clock import SystemClock
from clary.store.audit import Damage, Segments, segments
from clary.store.audit import verify as verify_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def written(folder: Path, *bodies: bytes) -> Path:
    writer = Segments(folder, SystemClock())
    for body in bodies:
        writer.append(body, 1)
    writer.close()
    return folder / segments.names(folder)[-1]


def verify(path: Path, known: tuple[int, bytes] | None = None) -> Damage | None:
    """The first damage of a segment."""
    name = path.name.removesuffix(".gz")
    found = verify_all(path.parent, {name: known} if known else {})
    return next(iter(found.damages), None)


def bodies(path: Path, position: int = 0) -> list[bytes]:
    return [line.body for line in segments.lines(path, position)]


def test_lines_come_back_in_order_and_verify(tmp_path: Path) -> None:
    path = written(tmp_path, b"{}", b'{"a":1}', b'{"b":2}')
    assert bodies(path) == [b"{}", b'{"a":1}', b'{"b":2}']
    found = verify_all(tmp_path, {})
    assert (found.segments, found.events, found.lost, found.damages) == (1, 3, 0, ())
    assert path.stat().st_mode & 0o777 == 0o600


def test_reading_goes_on_where_it_ended(tmp_path: Path) -> None:
    path = written(tmp_path, b"1", b"2", b"3")
    first = next(segments.lines(path))
    assert bodies(path, first.end) == [b"2", b"3"]


def test_a_day_and_a_full_segment_begin_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Segments(tmp_path, SystemClock())
    writer.append(b"1", 1)
    writer.append(b"2", 2)
    writer.append(b"began the day before", 1)
    assert len(segments.names(tmp_path)) == 2
    writer.append(b"x" * (segments.SEGMENT_BYTES + 1), 2)
    writer.append(b"4", 2)
    writer.close()
    assert len(segments.names(tmp_path)) == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace(b"second", b"Second"),
        lambda text: b"".join(text.splitlines(keepends=True)[::2]),
        lambda text: b"".join(text.splitlines(keepends=True)[1:]),
        lambda text: b"".join(sorted(text.splitlines(keepends=True))[::-1]) + text,
    ],
    ids=["changed", "middle removed", "first removed", "inserted"],
)
def test_tampering_is_seen(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = written(tmp_path, b"first", b"second", b"third")
    path.write_bytes(damage(path.read_bytes()))
    assert verify(path)


def test_a_removed_end_is_seen_by_what_was_read_before(tmp_path: Path) -> None:
    path = written(tmp_path, b"first", b"second", b"third")
    last = list(segments.lines(path))[-1]
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    assert verify(path) is None
    damage = verify(path, (last.end, last.chain))
    assert damage
    assert "at the end are gone" in damage.reason


def test_a_segment_does_not_pass_for_another(tmp_path: Path) -> None:
    path = written(tmp_path, b"first")
    assert verify(path.rename(path.with_name("20000101T000000-00000000.log")))


def test_half_a_line_at_the_end_is_not_there(tmp_path: Path) -> None:
    path = written(tmp_path, b"first", b"second")
    path.write_bytes(path.read_bytes()[:-3])
    assert bodies(path) == [b"first"]
    assert verify(path) is None


def test_a_packed_segment_reads_and_verifies_alike(tmp_path: Path) -> None:
    path = written(tmp_path, b"first", b"second")
    segments.pack(path)
    packed = path.with_name(path.name + ".gz")
    assert not path.exists()
    assert bodies(packed) == [b"first", b"second"]
    assert verify(packed) is None


def test_what_a_full_disk_refused_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Segments(tmp_path, SystemClock())
    writer.append(b"before", 1)
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:5]))
    writer.append(b"lost", 1)
    writer.append(b"lost too", 1)
    monkeypatch.undo()
    writer.append(b"after", 1)
    writer.close()
    path = tmp_path / segments.names(tmp_path)[0]
    assert bodies(path) == [b"before", b'{"lost":2}', b"after"]
    found = verify_all(tmp_path, {})
    assert (found.events, found.lost, found.damages) == (2, 2, ())


def test_a_segment_that_is_gone_is_missed(tmp_path: Path) -> None:
    path = written(tmp_path, b"first")
    last = list(segments.lines(path))[-1]
    path.unlink()
    (damage,) = verify_all(tmp_path, {path.name: (last.end, last.chain)}).damages
    assert damage.reason == "the segment is gone"
