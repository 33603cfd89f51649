"""Errors of SageMaker.

Unknown jobs, models and endpoints are told as ValidationException, which is what the SDKs and waiters look for although
the model names ResourceNotFound; monitoring schedules and definitions are told as ResourceNotFound.
"""

from __future__ import annotations

from clary.errors import ServiceError


class ResourceInUse(ServiceError):
    """The name is taken, or something still uses the resource."""


class ResourceNotFound(ServiceError):
    """There is no such resource."""
