from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from clary.controllers import image_storage
from clary.controllers.image_storage import ImageStorageController
from clary.controllers.images import FOLDER
from tests.oci import Registry, digest, image, layer
from tests.services.ecr.conftest import ecr, registry, send

if TYPE_CHECKING:
    from typing import Any

    from tests.cloud import Cloud

__all__ = ["ecr", "registry", "send"]

NAME = "team/model"
BUCKET = "ecr/123456789012/eu-west-1"


@pytest.fixture
def step(cloud: Cloud) -> Any:
    """Frees what can be freed so long from now."""

    def act(after: timedelta) -> None:
        platform = cloud.parts.platform
        image_storage.begin(platform)
        record = platform.records.get(image_storage.KIND, "123456789012", "", "hourly")
        assert record is not None
        now = datetime.now(UTC) + after
        assert ImageStorageController(platform).step(record, now).due == now + timedelta(hours=1)

    return act


def there(registry: Registry, data: bytes) -> bool:
    return registry("HEAD", f"/v2/{NAME}/blobs/{digest(data)}").status == 200


def test_layers_go_a_day_after_their_images(ecr: Any, registry: Registry, step: Any) -> None:
    shared, alone = layer(("a", b"shared")), layer(("a", b"alone"))
    registry.push(NAME, image(shared), "kept")
    registry.push(NAME, image(shared, alone), "gone")
    ecr.batch_delete_image(repositoryName=NAME, imageIds=[{"imageTag": "gone"}])
    step(timedelta(hours=23))
    assert there(registry, alone)
    step(timedelta(hours=25))
    assert not there(registry, alone)
    assert there(registry, shared)
    assert registry.pull(NAME, "kept").layers == [shared]


def test_uploads_that_nobody_finishes_end(cloud: Cloud, registry: Registry, step: Any) -> None:
    where = registry("POST", f"/v2/{NAME}/blobs/uploads/").headers["location"]
    registry("PATCH", where, b"half")
    step(timedelta(hours=23))
    assert registry("GET", where).status == 204
    step(timedelta(hours=25))
    assert registry("GET", where).status == 404
    assert cloud.parts.platform.objects.uploads.all_of(BUCKET) == []


def test_unpacked_images_go_a_week_after_their_last_use(cloud: Cloud, step: Any) -> None:
    folder = cloud.home / FOLDER
    (folder / "ab").mkdir(parents=True)
    (folder / "ab.lock").touch()
    step(timedelta(days=6))
    assert (folder / "ab").exists()
    step(timedelta(days=8))
    assert not (folder / "ab").exists()


def test_buckets_of_s3_are_left_alone(cloud: Cloud, step: Any) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="kept-bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="kept-bucket", Key=f"{NAME}@sha256:ab", Body=b"x")
    step(timedelta(days=30))
    assert s3.get_object(Bucket="kept-bucket", Key=f"{NAME}@sha256:ab")["Body"].read() == b"x"
