from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clary.toolkit.source import NoCodeError, place

if TYPE_CHECKING:
    from pathlib import Path


def test_folders_are_copied(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "train.py").write_text("x = 1")
    place(str(tmp_path / "from"), tmp_path / "code", {})
    assert (tmp_path / "code" / "train.py").read_text() == "x = 1"


def test_code_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text("mine")
    place("s3://nobody/asks", tmp_path / "code", {})
    assert (tmp_path / "code" / "train.py").read_text() == "mine"


def test_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NoCodeError, match="absent"):
        place(str(tmp_path / "absent"), tmp_path / "code", {})
