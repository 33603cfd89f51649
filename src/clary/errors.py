"""Errors that the platform answers to its callers.

ServiceError
├── AccessDenied               the policies do not allow it
├── NotSupported               the operation or option exists on AWS but not here
├── ValidationException        the request breaks a constraint of the model
└── one short class for each code, in the `errors.py` of its service
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping


class ServiceError(Exception):
    """An error with an AWS code, told to the caller in the protocol of the service.

    The class name is the code unless `code` says otherwise; `members` are further modelled fields of the error.
    """

    code: ClassVar[str] = "ServiceError"
    status: ClassVar[int] = 400
    headers: Mapping[str, str] = MappingProxyType({})
    """Headers that tell more, where the protocol has errors with headers."""

    def __init_subclass__(cls) -> None:
        if "code" not in cls.__dict__:
            cls.code = cls.__name__

    def __init__(self, message: str = "", **members: object) -> None:
        super().__init__(message)
        self.message = message
        self.members = members


class AccessDenied(ServiceError):
    """The policies that apply do not allow the call; each protocol has its own code for it."""

    status = 403


class NotSupported(ServiceError):
    """AWS has it, Clary has not: the message names what is missing."""

    code = "NotImplemented"
    status = 501


class ValidationException(ServiceError):
    """The request breaks a constraint of the service's model."""


class InternalFailure(ServiceError):
    """An unexpected fault of the platform; the log holds the trace under the request id."""

    status = 500


class RequestEntityTooLarge(ServiceError):
    """The request body exceeds what the operation accepts."""

    status = 413
