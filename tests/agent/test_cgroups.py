from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clary.agent.cgroups import Cgroups

if TYPE_CHECKING:
    from pathlib import Path

FILES = ("cgroup.procs", "cpu.max", "memory.max", "memory.swap.max", "memory.events", "memory.peak", "pids.max")


@pytest.fixture
def unified(tmp_path: Path) -> Path:
    """A folder that looks like a version 2 group; the kernel would fill it by itself."""
    group = tmp_path / "job"
    group.mkdir()
    for name in FILES:
        (group / name).touch()
    return group


def test_version_2_takes_its_own_files(tmp_path: Path, unified: Path) -> None:
    groups = Cgroups({"unified": str(tmp_path)}, "job")
    groups.create(cpus=1.5, memory_bytes=1000, pids=64)
    texts = {name: (unified / name).read_text() for name in FILES}
    assert texts["cpu.max"] == "150000 100000"
    assert (texts["memory.max"], texts["memory.swap.max"], texts["pids.max"]) == ("1000", "0", "64")
    assert groups.limits_memory
    assert groups.limits_cpu
    groups.join()
    assert (unified / "cgroup.procs").read_text() == "0"


def test_version_2_tells_of_memory(tmp_path: Path, unified: Path) -> None:
    (unified / "memory.events").write_text("low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\noom_group_kill 0\n")
    (unified / "memory.peak").write_text("12345\n")
    groups = Cgroups({"unified": str(tmp_path)}, "job")
    assert groups.oom_kills() == 1
    assert groups.peak_memory_bytes() == 12345


def test_without_groups_nothing_is_limited() -> None:
    groups = Cgroups({}, "job")
    groups.create(cpus=1, memory_bytes=1, pids=1)
    assert not groups.limits_memory
    assert groups.oom_kills() == groups.peak_memory_bytes() == 0
    assert groups.pids() == set()
    groups.remove()
