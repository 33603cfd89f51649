from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from clary.controllers.checkpoints import CHECKPOINTS, INTERMEDIATE, Synced
from clary.controllers.staging import StagingError

if TYPE_CHECKING:
    from pathlib import Path


class Shelf:
    """Takes what is uploaded; refuses when told so."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.closed = False

    def upload(self, path: Path, uri: str) -> None:
        if self.closed:
            raise StagingError("no")
        self.objects[uri] = path.read_bytes()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.mark.parametrize("name", [CHECKPOINTS, INTERMEDIATE])
def test_only_what_has_changed_is_uploaded_again(tmp_path: Path, shelf: Any, name: str) -> None:
    folder = tmp_path / name
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a").write_text("1")
    synced = Synced(tmp_path, name, "s3://b/x/", shelf)
    synced.finish()
    assert shelf.objects == {"s3://b/x/deep/a": b"1"}
    shelf.objects.clear()
    synced.finish()
    assert not shelf.objects
    (folder / "deep" / "a").write_text("22")
    synced.finish()
    assert shelf.objects == {"s3://b/x/deep/a": b"22"}


def test_what_could_not_be_uploaded_is_tried_again(tmp_path: Path, shelf: Any) -> None:
    (tmp_path / CHECKPOINTS).mkdir(parents=True)
    (tmp_path / CHECKPOINTS / "a").write_text("1")
    synced = Synced(tmp_path, CHECKPOINTS, "s3://b", shelf)
    shelf.closed = True
    with pytest.raises(StagingError):
        synced.finish()
    shelf.closed = False
    synced.finish()
    assert shelf.objects == {"s3://b/a": b"1"}


@pytest.mark.parametrize("link", ["ml/output/intermediate", "ml/output"])
def test_links_out_of_the_bundle_are_not_followed(tmp_path: Path, shelf: Any, link: str) -> None:
    secret = tmp_path / "secret" / "intermediate"
    secret.mkdir(parents=True)
    (secret / "key").write_text("s")
    place = tmp_path / "bundle" / link
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / "secret")
    synced = Synced(tmp_path / "bundle", INTERMEDIATE, "s3://b", shelf)
    with pytest.raises(StagingError, match="/opt/ml/output/intermediate is a link"):
        synced.finish()
    assert not shelf.objects
