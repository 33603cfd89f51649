"""Errors of CloudWatch Logs."""

from __future__ import annotations

from clary.errors import ServiceError


class ResourceNotFoundException(ServiceError):
    """There is no such group or stream."""


class ResourceAlreadyExistsException(ServiceError):
    """The name is taken."""


class InvalidParameterException(ServiceError):
    """A parameter has a value that it may not have."""
