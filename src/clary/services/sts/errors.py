"""The errors of STS, with the codes and statuses of its model."""

from __future__ import annotations

from clary.errors import ServiceError


class ValidationError(ServiceError):
    """A parameter does not fit."""


class InvalidParameterValue(ServiceError):
    """A parameter does not fit the others, or the session of the caller."""


class MalformedPolicyDocument(ServiceError):
    """The session policy is no policy."""


class PackedPolicyTooLarge(ServiceError):
    """The session policies and tags take too much room."""


class InvalidIdentityToken(ServiceError):
    """The token of the identity provider cannot be trusted."""


class ExpiredTokenException(ServiceError):
    """The token of the identity provider has expired."""


class IDPCommunicationError(ServiceError):
    """The identity provider does not answer."""


class InvalidAuthorizationMessageException(ServiceError):
    """The message was not encoded here, or was changed."""
