"""The errors of EC2: its model declares none, so the codes and texts are those of the "Error codes" page of its API
reference.
"""

from __future__ import annotations

from clary.errors import ServiceError


class InvalidParameterValue(ServiceError):
    """A parameter has a value that does not exist or is not allowed."""


class MissingParameter(ServiceError):
    """A parameter that this call needs is absent."""


class DryRunOperation(ServiceError):
    """The call is allowed, and was asked not to be made."""

    status = 412


class InvalidParameterCombination(ServiceError):
    """Parameters that may not be given together, or not without another."""


class IncorrectInstanceState(ServiceError):
    """The instance is not in a state that allows it."""


class OperationNotPermitted(ServiceError):
    """A protection of the instance forbids it."""


class Unsupported(ServiceError):
    """AWS has this option, Clary has not: the message names it."""


class IdempotentParameterMismatch(ServiceError):
    """The client token was used before with another request."""


class InsufficientInstanceCapacity(ServiceError):
    """This machine has not what the type needs."""

    status = 500


class InstanceLimitExceeded(ServiceError):
    """More instances than this machine should run."""


class DependencyViolation(ServiceError):
    """Something still uses it."""


class CannotDelete(ServiceError):
    """A default that stays."""


class TagLimitExceeded(ServiceError):
    """More than 50 tags."""


class InvalidID(ServiceError):
    """An id whose prefix belongs to no kind of resource."""


class InvalidNextToken(ServiceError):
    """The page token is not one of ours."""


class InvalidInstanceIDNotFound(ServiceError):
    """There is no such instance."""

    code = "InvalidInstanceID.NotFound"


class InvalidInstanceIDMalformed(ServiceError):
    """An id that no instance can have."""

    code = "InvalidInstanceID.Malformed"


class NoSuchAssociation(ServiceError):
    """No instance profile is associated under this id."""


class InvalidInstanceType(ServiceError):
    """There is no such instance type."""


class InvalidAMIIDNotFound(ServiceError):
    """There is no such image."""

    code = "InvalidAMIID.NotFound"


class InvalidAMIIDMalformed(ServiceError):
    """An id that no image can have."""

    code = "InvalidAMIID.Malformed"


class InvalidKeyPairNotFound(ServiceError):
    """There is no such key pair."""

    code = "InvalidKeyPair.NotFound"


class InvalidKeyPairDuplicate(ServiceError):
    """The name of a key pair is taken."""

    code = "InvalidKeyPair.Duplicate"


class InvalidKeyFormat(ServiceError):
    """What was imported is no public key."""

    code = "InvalidKey.Format"


class InvalidGroupNotFound(ServiceError):
    """There is no such security group."""

    code = "InvalidGroup.NotFound"


class InvalidGroupDuplicate(ServiceError):
    """The name of a security group is taken."""

    code = "InvalidGroup.Duplicate"


class InvalidGroupIdMalformed(ServiceError):
    """An id that no security group can have."""

    code = "InvalidGroupId.Malformed"


class InvalidPermissionDuplicate(ServiceError):
    """The rule is there already."""

    code = "InvalidPermission.Duplicate"


class InvalidPermissionNotFound(ServiceError):
    """There is no such rule."""

    code = "InvalidPermission.NotFound"


class InvalidSecurityGroupRuleIdNotFound(ServiceError):
    """There is no rule of this id."""

    code = "InvalidSecurityGroupRuleId.NotFound"


class InvalidSubnetIDNotFound(ServiceError):
    """There is no such subnet."""

    code = "InvalidSubnetID.NotFound"


class InvalidSubnetIDMalformed(ServiceError):
    """An id that no subnet can have."""

    code = "InvalidSubnetID.Malformed"


class InvalidVpcIDNotFound(ServiceError):
    """There is no such VPC."""

    code = "InvalidVpcID.NotFound"


class InvalidVpcIDMalformed(ServiceError):
    """An id that no VPC can have."""

    code = "InvalidVpcID.Malformed"


class InvalidVolumeNotFound(ServiceError):
    """There is no such volume."""

    code = "InvalidVolume.NotFound"


class InvalidVolumeIDMalformed(ServiceError):
    """An id that no volume can have."""

    code = "InvalidVolumeID.Malformed"


class InvalidNetworkInterfaceIDNotFound(ServiceError):
    """There is no such network interface."""

    code = "InvalidNetworkInterfaceID.NotFound"


class InvalidNetworkInterfaceIdMalformed(ServiceError):
    """An id that no network interface can have."""

    code = "InvalidNetworkInterfaceId.Malformed"


class InvalidUserDataMalformed(ServiceError):
    """User data that is not base64."""

    code = "InvalidUserData.Malformed"
