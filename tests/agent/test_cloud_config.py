from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from clary.agent import cloud_config

if TYPE_CHECKING:
    from pathlib import Path


def test_files_are_written_and_commands_run_in_order(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "deep" / "file"
    encoded = base64.b64encode(b"two").decode()
    user_data = f"""#cloud-config
packages: [nothing]
write_files:
  - path: {place}
    content: one
    permissions: '0600'
  - {{path: {place}, content: {encoded}, encoding: b64, append: true}}
runcmd:
  - cat {place} && echo " shell"
  - [sh, -c, exit 3]
  - [echo, 4]
"""
    assert cloud_config.run(user_data.encode()) == 3
    said = capfd.readouterr().out
    assert "packages is not supported here" in said
    assert "onetwo shell\n4\n" in said


@pytest.mark.parametrize("user_data", [b"#cloud-config\n", b"#cloud-config\na: [", b"#cloud-config\n- 1\n"])
def test_what_cannot_be_understood_is_refused(user_data: bytes) -> None:
    with pytest.raises(ValueError, match="cloud-config"):
        cloud_config.run(user_data)
