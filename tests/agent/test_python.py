from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from clary.agent.python import Script, parse

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = sys.executable


@pytest.mark.parametrize(
    ("command", "script"),
    [
        ([PYTHON, "-m", "pkg.train", "--x"], Script("module", "pkg.train", ("-m", "--x"))),
        ([PYTHON, "-u", "-c", "pass", "1"], Script("code", "pass", ("-c", "1"), unbuffered=True)),
        ([PYTHON, "-O", "x.py"], None),
        ([PYTHON], None),
        ([PYTHON, "/no/such/file.py"], None),
        (["/bin/sh", "-c", "x"], None),
    ],
)
def test_commands(command: list[str], script: Script | None) -> None:
    assert parse(command, {}) == script


def test_a_file_is_run_under_its_own_name(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.touch()
    assert parse([PYTHON, str(path), "--a", "1"], {}) == Script("file", str(path), (str(path), "--a", "1"))


def test_variables_for_the_start_of_an_interpreter_need_a_new_one() -> None:
    assert parse([PYTHON, "-c", "pass"], {"PYTHONHASHSEED": "0"}) is None
