"""Errors found between the bytes and the request."""

from __future__ import annotations

from clary.errors import ServiceError


class RoutingError(ServiceError):
    """No operation of a served service is meant; `protocol` and `service` tell how to say so."""

    def __init__(self, message: str, *, service: str, protocol: str) -> None:
        super().__init__(message)
        self.service = service
        self.protocol = protocol


class UnknownOperationException(RoutingError):
    """A JSON service has no such operation."""


class InvalidAction(RoutingError):
    """A query service has no such operation."""


class MethodNotAllowed(RoutingError):
    """S3 knows no such method for this kind of address."""

    status = 405


class InvalidURI(RoutingError):
    """The path of an S3 request is no text."""


class UnknownService(RoutingError):
    """The request is signed for a service that is not served."""

    code = "NotImplemented"
    status = 501


class MissingAction(RoutingError):
    """A query request names no operation."""


class RequestTooLarge(RoutingError):
    """The form of a query request exceeds the limit."""

    code = "RequestEntityTooLarge"
    status = 413


class SerializationException(ServiceError):
    """A JSON body cannot be read as the operation's input."""


class MalformedXML(ServiceError):
    """An XML body cannot be read as the operation's input."""

    def __init__(self) -> None:
        super().__init__("The XML you provided was not well-formed or did not validate against our published schema")


class InvalidArgument(ServiceError):
    """A header or query parameter of an S3 request cannot be read."""


class InvalidStorageClass(ServiceError):
    """S3 has no such storage class."""


class MalformedInput(ServiceError):
    """A form field of a query request cannot be read."""


class InvalidParameterValue(ServiceError):
    """A form field of an EC2 request cannot be read."""


class MissingParameter(ServiceError):
    """A form field that an EC2 operation requires is missing."""


class ValidationError(ServiceError):
    """The request breaks a constraint of the model, as IAM and STS name it."""


class InvalidParameterException(ServiceError):
    """The request breaks a constraint of the model, as Logs and ECR name it."""


class InvalidRequestException(ServiceError):
    """The request breaks a constraint of the model, as Athena names it."""


class IncompleteBody(ServiceError):
    """A chunked body ends early or late."""


class InvalidChunkSizeError(ServiceError):
    """A chunked body is framed wrongly."""


def refuse_unknown(shape: str, name: str, *, strict: bool) -> None:
    """Tells a test that a handler answered something that its output does not have.

    Raises:
        KeyError: only when `strict`; clients ignore what they do not know.
    """
    if strict:
        raise KeyError(f"{shape} has no member {name!r}")
