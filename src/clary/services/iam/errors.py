"""The errors of IAM, with the codes and statuses of its model."""

from __future__ import annotations

from clary.errors import ServiceError


class NoSuchEntity(ServiceError):
    """There is no such user, group, role, policy, profile or key."""

    status = 404


class EntityAlreadyExists(ServiceError):
    """The name is taken."""

    status = 409


class DeleteConflict(ServiceError):
    """Something still hangs on what should be deleted."""

    status = 409


class LimitExceeded(ServiceError):
    """A quota of the account is used up."""

    status = 409


class ConcurrentModification(ServiceError):
    """Somebody else changed it at the same time."""

    status = 409


class MalformedPolicyDocument(ServiceError):
    """The document is no policy, or not one for this place."""


class InvalidInput(ServiceError):
    """A parameter does not fit the others."""


class UnmodifiableEntity(ServiceError):
    """It belongs to AWS, not to the account."""


class ValidationError(ServiceError):
    """A parameter has the wrong form."""
