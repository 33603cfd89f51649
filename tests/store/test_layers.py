from __future__ import annotations

import asyncio
import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from clary.clock import SystemClock
from clary.http import BytesBody
from clary.store.keyring import KEY_BYTES, Keyring
from clary.store.layers import DigestMismatch, Layers, Repository, UploadGone
from clary.store.objects import Objects
from clary.store.objects.folder import Folder
from clary.store.objects.sealing import Seals

if TYPE_CHECKING:
    from pathlib import Path

    from clary.store.database import Database
    from clary.store.objects.version import Upload

HERE = Repository("123456789012", "eu-west-1", "team/model")
THERE = HERE._replace(name="other")
CONTENT = os.urandom(3 << 20)
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture(params=[False, True], ids=["plain", "encrypted"])
def objects(request: pytest.FixtureRequest, database: Database, tmp_path: Path) -> Objects:
    seals = Seals(Keyring(bytes(KEY_BYTES)), encrypt=request.param)
    folder = tmp_path / "objects"
    return Objects(database, Folder(folder, durable=False), seals, folder)


@pytest.fixture
def layers(objects: Objects) -> Layers:
    return Layers(objects, SystemClock())


def uploaded(layers: Layers, *parts: bytes) -> Upload:
    upload = layers.begin(HERE, "arn")
    for part in parts:
        asyncio.run(layers.append(upload, BytesBody(part)))
    return upload


def push(layers: Layers, *parts: bytes, digest: str = DIGEST) -> None:
    asyncio.run(layers.finish(HERE, uploaded(layers, *parts), digest))


def content(layers: Layers, where: Repository) -> bytes:
    found = layers.find(where, DIGEST)
    assert found is not None
    return b"".join(layers.chunks(found))


@pytest.mark.parametrize("cut", [0, 1, 1 << 20, len(CONTENT)])
def test_a_layer_is_what_was_uploaded(layers: Layers, cut: int) -> None:
    push(layers, CONTENT[:cut], CONTENT[cut:])
    assert content(layers, HERE) == CONTENT
    assert [(place, digest) for place, digest, _ in layers.all(HERE)] == [(HERE, DIGEST)]


@pytest.mark.parametrize("cut", [0, 1 << 20])
def test_a_layer_is_shared_and_outlives_its_source(layers: Layers, cut: int) -> None:
    push(layers, CONTENT[:cut], CONTENT[cut:])
    assert asyncio.run(layers.mount(HERE, THERE, DIGEST)) is not None
    layers.remove_all(HERE)
    assert layers.find(HERE, DIGEST) is None
    assert content(layers, THERE) == CONTENT


def test_what_is_uploaded_once_takes_no_room_twice(layers: Layers, tmp_path: Path) -> None:
    push(layers, CONTENT)
    asyncio.run(layers.mount(HERE, THERE, DIGEST))
    files = {path.stat().st_ino: path.stat().st_size for path in (tmp_path / "objects" / "contents").rglob("*/*")}
    assert sum(files.values()) < len(CONTENT) * 3 // 2


def test_other_bytes_are_refused_and_not_kept(layers: Layers) -> None:
    with pytest.raises(DigestMismatch):
        push(layers, b"else")
    assert layers.find(HERE, DIGEST) is None
    assert list(layers.all(HERE)) == []


def test_an_upload_that_is_over_takes_no_more(layers: Layers) -> None:
    upload = uploaded(layers, b"x")
    layers.abort(upload)
    with pytest.raises(UploadGone):
        asyncio.run(layers.append(upload, BytesBody(b"y")))
    with pytest.raises(UploadGone):
        layers.upload(HERE, upload.upload_id)


def test_an_upload_belongs_to_its_repository(layers: Layers) -> None:
    upload = uploaded(layers, b"x")
    assert layers.upload(HERE, upload.upload_id) == upload
    with pytest.raises(UploadGone):
        layers.upload(THERE, upload.upload_id)


def test_registries_are_those_that_keep_something(layers: Layers) -> None:
    assert list(layers.registries()) == []
    uploaded(layers, b"x")
    assert list(layers.registries()) == [HERE._replace(name="")]
