from __future__ import annotations

import os
from pathlib import Path

from clary.compute.probe import Machine, probe


def test_what_is_found_is_consistent(machine: Machine) -> None:
    assert machine.root == (os.geteuid() == 0)
    assert bool(machine.reason) == (machine.isolation == "none")
    assert machine.copies or not machine.reason
    assert all(Path(folder).is_dir() for folder in machine.cgroups.values())


def test_isolation_can_be_switched_off() -> None:
    machine = probe(isolation="none")
    assert machine.isolation == "none"
    assert machine.reason == "switched off by the settings"
    assert not machine.network
    assert machine.copies


def test_nothing_is_left_of_what_was_tried(tmp_path: Path) -> None:
    probe(folder=tmp_path / "home")
    assert list((tmp_path / "home").iterdir()) == []
