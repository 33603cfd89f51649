"""What a caller hears whose signature does not hold: each family of services has codes and words of its own.

ServiceError
├── AuthFailure · RequestExpired                                          EC2
├── InvalidAccessKeyId · RequestTimeTooSkewed · InvalidToken · ...        S3
├── UnrecognizedClientException · InvalidSignatureException · ...         services that speak JSON
└── InvalidClientTokenId · SignatureDoesNotMatch · ExpiredToken · ...     IAM and STS
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum

from clary.errors import AccessDenied, ServiceError

MAX_SKEW = timedelta(minutes=15)


class Family(Enum):
    """The services that tell errors of authentication in the same way."""

    S3 = "s3"
    EC2 = "ec2"
    QUERY = "query"
    JSON = "json"

    @classmethod
    def of(cls, signing_name: str, s3: bool) -> Family:
        """The family of the service that signs as `signing_name`."""
        if s3:
            return cls.S3
        return _FAMILIES.get(signing_name, cls.JSON)


_FAMILIES = {"ec2": Family.EC2, "iam": Family.QUERY, "sts": Family.QUERY}


class MissingAuthenticationToken(ServiceError):
    """The request carries no signature."""

    status = 403


class AuthFailure(ServiceError):
    """EC2 does not know the caller."""

    status = 401


class RequestExpired(ServiceError):
    """The request, or the token that it carries, is too old for EC2."""


class InvalidClientTokenId(ServiceError):
    """The access key or its token is unknown."""

    status = 403


class UnrecognizedClientException(ServiceError):
    """The access key or its token is unknown."""


class InvalidAccessKeyId(ServiceError):
    """S3 does not know the access key."""

    status = 403


class InvalidToken(ServiceError):
    """S3 does not know the session token."""


class SignatureDoesNotMatch(ServiceError):
    """The signature is not the one that the secret key makes."""

    status = 403


class InvalidSignatureException(ServiceError):
    """The signature is not the one that the secret key makes, or is too old."""


class RequestTimeTooSkewed(ServiceError):
    """The clock of the caller is off."""

    status = 403


class ExpiredToken(ServiceError):
    """The session has ended."""

    status = 403


class ExpiredS3Token(ServiceError):
    """The session has ended, as S3 says it."""

    code = "ExpiredToken"


class ExpiredTokenException(ServiceError):
    """The session has ended."""


class IncompleteSignature(ServiceError):
    """The Authorization header lacks a part."""


class IncompleteSignatureException(ServiceError):
    """The Authorization header lacks a part."""


class AuthorizationHeaderMalformed(ServiceError):
    """S3 cannot read the Authorization header."""


class AuthorizationQueryParametersError(ServiceError):
    """S3 cannot read the signature in the query."""


class InvalidArgument(ServiceError):
    """S3 cannot read the Authorization header of signature version 2."""


class InvalidRequest(ServiceError):
    """S3 does not take the request as it is signed."""


class XAmzContentSHA256Mismatch(ServiceError):
    """The body is not the one that was signed."""


_INVALID = "The security token included in the request is invalid."
_EXPIRED = "The security token included in the request is expired"
_NOT_VALIDATED = "AWS was not able to validate the provided access credentials"
_MISMATCH = "The request signature we calculated does not match the signature you provided."
_MISMATCH_S3 = f"{_MISMATCH} Check your key and signing method."
_MISMATCH_OTHER = (
    f"{_MISMATCH} Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)


def unknown_key(family: Family, access_key: str) -> ServiceError:
    """There is no such access key, or it is inactive."""
    match family:
        case Family.S3:
            message = "The AWS Access Key Id you provided does not exist in our records."
            return InvalidAccessKeyId(message, AWSAccessKeyId=access_key)
        case Family.EC2:
            return AuthFailure(_NOT_VALIDATED)
        case Family.QUERY:
            return InvalidClientTokenId(_INVALID)
        case Family.JSON:
            return UnrecognizedClientException(_INVALID)


def unknown_token(family: Family, access_key: str) -> ServiceError:
    """The session token was not issued here, or for another key."""
    if family is Family.S3:
        return InvalidToken("The provided token is malformed or otherwise invalid.")
    return unknown_key(family, access_key)


def expired_token(family: Family) -> ServiceError:
    """The session has ended."""
    match family:
        case Family.S3:
            return ExpiredS3Token("The provided token has expired.")
        case Family.EC2:
            return RequestExpired("Request has expired.")
        case Family.QUERY:
            return ExpiredToken(_EXPIRED)
        case Family.JSON:
            return ExpiredTokenException(_EXPIRED)


def mismatch(family: Family, access_key: str = "", signature: str = "", string_to_sign: str = "") -> ServiceError:
    """The signature is not the one that the secret key makes."""
    match family:
        case Family.S3:
            members = {"AWSAccessKeyId": access_key, "StringToSign": string_to_sign, "SignatureProvided": signature}
            return SignatureDoesNotMatch(_MISMATCH_S3, **members)
        case Family.EC2:
            return AuthFailure(_NOT_VALIDATED)
        case _:
            return _not_signed(family, _MISMATCH_OTHER)


def wrong_service(family: Family, given: str, wanted: str) -> ServiceError:
    """The credential scope names another service."""
    if family is Family.S3:
        return AuthorizationHeaderMalformed(
            f'The authorization header is malformed; incorrect service "{given}". This endpoint belongs to "{wanted}".'
        )
    return _not_signed(family, f"Credential should be scoped to correct service: '{wanted}'. ")


def skewed(family: Family, signed: datetime, now: datetime) -> ServiceError:
    """The request was signed too long ago, or in the future."""
    match family:
        case Family.S3:
            return RequestTimeTooSkewed(
                "The difference between the request time and the current time is too large.",
                RequestTime=stamp(signed),
                ServerTime=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
                MaxAllowedSkewMilliseconds=str(int(MAX_SKEW.total_seconds() * 1000)),
            )
        case Family.EC2:
            return RequestExpired("Request has expired.")
        case _:
            return _not_signed(family, _skew_message(signed, now))


def _skew_message(signed: datetime, now: datetime) -> str:
    if signed < now:
        limit = stamp(now - MAX_SKEW)
        return f"Signature expired: {stamp(signed)} is now earlier than {limit} ({stamp(now)} - 15 min.)"
    limit = stamp(now + MAX_SKEW)
    return f"Signature not yet current: {stamp(signed)} is still later than {limit} ({stamp(now)} + 15 min.)"


def malformed(family: Family, what: str) -> ServiceError:
    """The Authorization header cannot be read."""
    match family:
        case Family.S3:
            return AuthorizationHeaderMalformed(f"The authorization header is malformed; {what}")
        case Family.EC2 | Family.QUERY:
            return IncompleteSignature(f"Authorization header is malformed; {what}")
        case Family.JSON:
            return IncompleteSignatureException(f"Authorization header is malformed; {what}")


def presigned_expired(expires: datetime, now: datetime, **members: str) -> ServiceError:
    """The time of a presigned URL is over."""
    return AccessDenied("Request has expired", **members, Expires=_iso(expires), ServerTime=_iso(now))


def stamp(moment: datetime) -> str:
    """A time as signatures write it."""
    return moment.strftime("%Y%m%dT%H%M%SZ")


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _not_signed(family: Family, message: str) -> ServiceError:
    if family is Family.JSON:
        return InvalidSignatureException(message)
    return AuthFailure(_NOT_VALIDATED) if family is Family.EC2 else SignatureDoesNotMatch(message)
