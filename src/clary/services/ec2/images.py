"""The one image that instances start from."""

from __future__ import annotations

import platform as machine
from typing import TYPE_CHECKING

from . import errors, filters
from .resources import Family

if TYPE_CHECKING:
    from clary.api import ec2 as api
    from clary.context import Context
    from clary.services.service import Document

IMAGE_ID = "ami-0c1a2f00000000001"
NAME = "clary-host-linux"
ROOT_DEVICE = "/dev/xvda"
CREATED = "2026-01-01T00:00:00.000Z"
DESCRIPTION = (
    "The Linux system of the machine that Clary runs on, with Clary's Python and its science libraries. Instances are "
    "sandboxes with a disk of their own that share this machine's kernel; they are not virtual machines."
)


class Images(Family):
    """What may be launched."""

    def describe_images(self, ctx: Context, request: api.DescribeImagesRequest) -> Document:
        """The image, when the ids, owners and filters fit it."""
        check_images(request.get("ImageIds") or ())
        owners = request.get("Owners") or ["self"]
        images = [_image(ctx)] if {"self", "amazon", ctx.account} & set(owners) else []
        return filters.describe("Images", images, request, _FILTERS)


def check_images(identifiers: list[str] | tuple[str, ...]) -> None:
    """Refuses every id but that of the one image.

    Raises:
        InvalidAMIIDMalformed: it is no id of an image.
        InvalidAMIIDNotFound: there is no such image.
    """
    for identifier in identifiers:
        if not identifier.startswith("ami-"):
            raise errors.InvalidAMIIDMalformed(f'Invalid id: "{identifier}" (expecting "ami-...")')
        if identifier != IMAGE_ID:
            raise errors.InvalidAMIIDNotFound(
                f"The image id '[{identifier}]' does not exist. The image here is {IMAGE_ID} (DescribeImages)."
            )


def architecture() -> str:
    """The processor of this machine in EC2's words."""
    return "arm64" if machine.machine() in {"aarch64", "arm64"} else "x86_64"


def _image(ctx: Context) -> Document:
    return {
        "ImageId": IMAGE_ID,
        "Name": NAME,
        "Description": DESCRIPTION,
        "ImageLocation": f"amazon/{NAME}",
        "ImageOwnerAlias": "amazon",
        "ImageType": "machine",
        "OwnerId": ctx.account,
        "Public": True,
        "State": "available",
        "Architecture": architecture(),
        "CreationDate": CREATED,
        "PlatformDetails": "Linux/UNIX",
        "UsageOperation": "RunInstances",
        "RootDeviceName": ROOT_DEVICE,
        "RootDeviceType": "ebs",
        "VirtualizationType": "hvm",
        "EnaSupport": False,
        "ImdsSupport": "v2.0",
        "BlockDeviceMappings": [],
        "Tags": [],
    }


_FILTERS = filters.table(
    "ImageId Name Description ImageLocation ImageType OwnerId State Architecture CreationDate PlatformDetails "
    "RootDeviceName RootDeviceType VirtualizationType EnaSupport",
    {"owner-alias": "ImageOwnerAlias", "is-public": "Public", "platform": "Platform", "hypervisor": "Hypervisor"},
)
