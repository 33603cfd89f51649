"""The kinds of EC2 resources and what their ids look like."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clary import arn

from . import errors

if TYPE_CHECKING:
    from clary.context import Context
    from clary.errors import ServiceError


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of resource: `name` is also its type in ARNs and tags, `prefix` begins its ids."""

    name: str
    prefix: str
    missing: type[ServiceError]
    missing_text: str
    malformed: type[ServiceError]

    def new_id(self) -> str:
        """An id that nothing bears yet."""
        return f"{self.prefix}-{secrets.token_hex(9)[:17]}"

    def arn(self, ctx: Context, identifier: str) -> str:
        """The ARN of the resource of this id."""
        return arn.build("ec2", ctx.region, ctx.account, f"{self.name}/{identifier}")

    def no(self, *identifiers: str) -> ServiceError:
        """The error for ids that are not there."""
        text = self.missing_text
        if len(identifiers) > 1:
            text = text.replace(" ID '", " IDs '").replace("does not", "do not")
        return self.missing(text.format(", ".join(identifiers)))

    def check(self, identifier: str) -> None:
        """Refuses an id that no resource of this kind can have."""
        if not re.fullmatch(rf"{self.prefix}-([0-9a-f]{{8}}|[0-9a-f]{{17}})", identifier):
            raise self.malformed(f'Invalid id: "{identifier}" (expecting "{self.prefix}-...")')


INSTANCE = Kind(
    "instance",
    "i",
    errors.InvalidInstanceIDNotFound,
    "The instance ID '{}' does not exist",
    errors.InvalidInstanceIDMalformed,
)
VOLUME = Kind(
    "volume", "vol", errors.InvalidVolumeNotFound, "The volume '{}' does not exist.", errors.InvalidVolumeIDMalformed
)
NETWORK_INTERFACE = Kind(
    "network-interface",
    "eni",
    errors.InvalidNetworkInterfaceIDNotFound,
    "The networkInterface ID '{}' does not exist",
    errors.InvalidNetworkInterfaceIdMalformed,
)
SECURITY_GROUP = Kind(
    "security-group",
    "sg",
    errors.InvalidGroupNotFound,
    "The security group '{}' does not exist",
    errors.InvalidGroupIdMalformed,
)
SUBNET = Kind(
    "subnet",
    "subnet",
    errors.InvalidSubnetIDNotFound,
    "The subnet ID '{}' does not exist",
    errors.InvalidSubnetIDMalformed,
)
VPC = Kind("vpc", "vpc", errors.InvalidVpcIDNotFound, "The vpc ID '{}' does not exist", errors.InvalidVpcIDMalformed)
KEY_PAIR = Kind(
    "key-pair",
    "key",
    errors.InvalidKeyPairNotFound,
    "The key pair '{}' does not exist",
    errors.InvalidKeyPairNotFound,
)

ALL = (INSTANCE, VOLUME, NETWORK_INTERFACE, SECURITY_GROUP, SUBNET, VPC, KEY_PAIR)


def kind_of(identifier: str) -> Kind:
    """The kind to which an id belongs.

    Raises:
        InvalidID: to none.
    """
    prefix = identifier.partition("-")[0]
    for kind in ALL:
        if kind.prefix == prefix:
            return kind
    raise errors.InvalidID(f"The ID '{identifier}' is not valid")
