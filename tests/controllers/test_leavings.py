from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from clary.controllers.leavings import LeadsOut, files, part

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle beside a secret of the platform."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "credentials").write_text("secret")
    (tmp_path / "bundle" / "ml" / "output").mkdir(parents=True)
    return tmp_path / "bundle"


def test_the_head_of_a_file_is_read(bundle: Path) -> None:
    (bundle / "ml" / "output" / "failure").write_text("because")
    assert part(bundle, "ml/output/failure", 3) == b"bec"
    assert part(bundle, "ml/output/absent", 3) == b""


def test_links_within_the_bundle_are_read(bundle: Path) -> None:
    (bundle / "ml" / "why").write_text("because")
    (bundle / "ml" / "output" / "failure").symlink_to("../why")
    assert part(bundle, "ml/output/failure", 99) == b"because"


@pytest.mark.parametrize("target", ["../../../secret/credentials", "/etc/passwd", "/dev/zero", "failure", "absent"])
def test_links_that_lead_out_or_nowhere_read_as_nothing(bundle: Path, target: str) -> None:
    (bundle / "ml" / "output" / "failure").symlink_to(target)
    assert part(bundle, "ml/output/failure", 99) == b""


def test_a_pipe_does_not_hold_the_platform_up(bundle: Path) -> None:
    os.mkfifo(bundle / "ml" / "output" / "failure")
    assert part(bundle, "ml/output/failure", 99) == b""


def test_a_folder_above_may_not_lead_out_either(bundle: Path) -> None:
    (bundle / "ml" / "output").rmdir()
    (bundle / "ml" / "output").symlink_to("../../secret")
    assert part(bundle, "ml/output/credentials", 99) == b""
    with pytest.raises(LeadsOut, match="/opt/ml/output"):
        list(files(bundle, bundle / "ml" / "output"))


def test_only_plain_files_are_told(bundle: Path) -> None:
    output = bundle / "ml" / "output"
    (output / "deep" / "er").mkdir(parents=True)
    (output / "deep" / "er" / "file").write_text("x")
    (output / "link").symlink_to("/etc/passwd")
    (output / "folder").symlink_to("/etc")
    (output / "circle").symlink_to("circle")
    os.mkfifo(output / "pipe")
    assert list(files(bundle, output)) == [output / "deep" / "er" / "file"]
    assert list(files(bundle, bundle / "ml" / "absent")) == []
