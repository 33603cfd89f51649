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


class InvalidParameterValue(ServiceError):
    """A parameter means something else than what is asked for."""


class UnmodifiableEntity(ServiceError):
    """It belongs to AWS, not to the account."""


class ValidationError(ServiceError):
    """A parameter has the wrong form."""


class InvalidAuthenticationCode(ServiceError):
    """The codes are not two of the MFA device that follow each other."""

    status = 403


class PasswordPolicyViolation(ServiceError):
    """The account asks more of a password."""


class InvalidUserType(ServiceError):
    """Only a user with a password may do this."""


class ReportNotPresent(ServiceError):
    """No credential report has been made."""

    status = 410


class ReportExpired(ServiceError):
    """The credential report is too old."""

    status = 410


class MalformedCertificate(ServiceError):
    """It cannot be read as a certificate or key."""


class KeyPairMismatch(ServiceError):
    """The private key is not that of the certificate."""


class DuplicateCertificate(ServiceError):
    """The certificate is there already."""

    status = 409


class InvalidPublicKey(ServiceError):
    """It cannot be read as an SSH public key."""


class DuplicateSSHPublicKey(ServiceError):
    """The user has this key already."""
