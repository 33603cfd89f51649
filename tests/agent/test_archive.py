from __future__ import annotations

import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from clary.agent.archive import pack
from clary.agent.workload import Archive

if TYPE_CHECKING:
    from pathlib import Path


def test_entries_lie_at_the_root_without_owners(tmp_path: Path) -> None:
    model = tmp_path / "ml" / "model"
    (model / "code").mkdir(parents=True)
    (model / "weights").write_text("w")
    (model / "link").symlink_to("weights")
    os.mkfifo(model / "pipe")
    assert pack([tmp_path], Archive("ml/model", "out/model.tar.gz"))
    with tarfile.open(tmp_path / "out" / "model.tar.gz") as tar:
        assert sorted(tar.getnames()) == ["code", "link", "weights"]
        assert {(member.uid, member.uname) for member in tar} == {(0, "")}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model.tar.gz"]


@pytest.mark.parametrize("keep_empty", [True, False])
def test_an_empty_folder_gives_an_archive_only_on_demand(tmp_path: Path, keep_empty: bool) -> None:
    assert pack([tmp_path], Archive("ml/output", "empty.tar.gz", keep_empty)) is keep_empty
    assert (tmp_path / "empty.tar.gz").exists() is keep_empty


def test_what_several_hosts_left_becomes_one_archive(tmp_path: Path) -> None:
    bundles = [tmp_path / name for name in ("algo-1", "algo-2")]
    for bundle in bundles:
        (bundle / "model").mkdir(parents=True)
        (bundle / "model" / bundle.name).write_text(bundle.name)
    assert pack(bundles, Archive("model", "model.tar.gz"))
    with tarfile.open(bundles[0] / "model.tar.gz") as tar:
        assert tar.getnames() == ["algo-1", "algo-2"]


def test_a_folder_swapped_for_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to("/etc")
    with pytest.raises(ValueError, match="leads out"):
        pack([tmp_path], Archive("model", "model.tar.gz"))
