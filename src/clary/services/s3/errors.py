"""The errors of S3, with the texts of the "Error responses" page of the Amazon S3 API reference.

ServiceError
├── 304  NotModified
├── 400  InvalidBucketName, InvalidArgument, InvalidRequest, BadDigest, InvalidPart, MalformedXML, ...
├── 404  NoSuchBucket, NoSuchKey, NoSuchVersion, NoSuchUpload, and one for each absent setting of a bucket
├── 405  MethodNotAllowed
├── 409  BucketAlreadyExists, BucketAlreadyOwnedByYou, BucketNotEmpty, OperationAborted
├── 412  PreconditionFailed
└── 416  InvalidRange
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.errors import ServiceError

if TYPE_CHECKING:
    from datetime import datetime


class NoSuchBucket(ServiceError):
    """The bucket does not exist."""

    status = 404

    def __init__(self, bucket: str) -> None:
        super().__init__("The specified bucket does not exist", BucketName=bucket)


class NoSuchKey(ServiceError):
    """The key does not exist, or its current version is a delete marker, whose id is told then."""

    status = 404

    def __init__(self, key: str, marker_id: str = "") -> None:
        super().__init__("The specified key does not exist.", Key=key)
        if marker_id:
            self.headers = {"x-amz-delete-marker": "true", "x-amz-version-id": marker_id}


class NoSuchVersion(ServiceError):
    """The key has no such version."""

    status = 404

    def __init__(self, key: str, version_id: str) -> None:
        super().__init__("The specified version does not exist.", Key=key, VersionId=version_id)


class NoSuchUpload(ServiceError):
    """The upload was never begun, or is over."""

    status = 404

    def __init__(self, upload_id: str) -> None:
        text = (
            "The specified upload does not exist. The upload ID may be invalid, "
            "or the upload may have been aborted or completed."
        )
        super().__init__(text, UploadId=upload_id)


class BucketAlreadyExists(ServiceError):
    """Another account has a bucket of this name."""

    status = 409

    def __init__(self, bucket: str) -> None:
        text = (
            "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
            "Please select a different name and try again."
        )
        super().__init__(text, BucketName=bucket)


class BucketAlreadyOwnedByYou(ServiceError):
    """The account has a bucket of this name already."""

    status = 409

    def __init__(self, bucket: str) -> None:
        text = "Your previous request to create the named bucket succeeded and you already own it."
        super().__init__(text, BucketName=bucket)


class BucketNotEmpty(ServiceError):
    """The bucket still holds objects, versions or delete markers."""

    status = 409

    def __init__(self, bucket: str, *, versions: bool) -> None:
        text = "The bucket you tried to delete is not empty"
        text += ". You must delete all versions in the bucket." if versions else ""
        super().__init__(text, BucketName=bucket)


class InvalidBucketName(ServiceError):
    """The name breaks the rules for names of buckets."""

    def __init__(self, bucket: str) -> None:
        super().__init__("The specified bucket is not valid.", BucketName=bucket)


class IllegalLocationConstraintException(ServiceError):
    """The bucket would lie in another region than the one that was asked to make it."""


class InvalidLocationConstraint(ServiceError):
    """There is no such region."""


class InvalidArgument(ServiceError):
    """A header, field or element has a value that is not possible."""

    def __init__(self, message: str, name: str = "", value: object = None) -> None:
        members = {"ArgumentName": name, "ArgumentValue": value} if name else {}
        super().__init__(message, **members)


class IllegalVersioningConfigurationException(ServiceError):
    """The versioning state is none that a bucket can have."""


class InvalidRequest(ServiceError):
    """The request does not fit together."""


class InvalidEncryptionAlgorithmError(ServiceError):
    """A customer's key is for an algorithm that S3 does not have."""

    def __init__(self, name: str, value: str) -> None:
        text = "The Encryption request you specified is not valid. Supported value: AES256."
        super().__init__(text, ArgumentName=name, ArgumentValue=value)


class InvalidTag(ServiceError):
    """A tag breaks the rules for tags."""


class MalformedXML(ServiceError):
    """The document breaks its schema."""

    def __init__(self) -> None:
        super().__init__("The XML you provided was not well-formed or did not validate against our published schema")


class MalformedPolicy(ServiceError):
    """The bucket policy is no policy."""


class KeyTooLongError(ServiceError):
    """The key has more than 1,024 bytes."""

    def __init__(self, size: int) -> None:
        super().__init__("Your key is too long", MaxSizeAllowed="1024", Size=str(size))


class MetadataTooLarge(ServiceError):
    """The user metadata has more than 2 KB."""

    def __init__(self, size: int) -> None:
        text = "Your metadata headers exceed the maximum allowed metadata size"
        super().__init__(text, MaxSizeAllowed="2048", Size=str(size))


class BadDigest(ServiceError):
    """The bytes that arrived are not those that were sent."""


class InvalidDigest(ServiceError):
    """The Content-MD5 is no MD5."""

    def __init__(self, value: str) -> None:
        super().__init__("The Content-MD5 you specified was invalid.", **{"Content-MD5": value})


class EntityTooSmall(ServiceError):
    """A part that is not the last one has less than 5 MB."""


class InvalidPart(ServiceError):
    """A part was not uploaded, or is another one than was named."""

    def __init__(self, upload_id: str, number: int, etag: str) -> None:
        text = (
            "One or more of the specified parts could not be found.  The part may not have been uploaded, "
            "or the specified entity tag may not match the part's entity tag."
        )
        super().__init__(text, UploadId=upload_id, PartNumber=str(number), ETag=etag)


class InvalidPartOrder(ServiceError):
    """The parts are not listed in order of their numbers."""

    def __init__(self, upload_id: str) -> None:
        text = "The list of parts was not in ascending order. Parts must be ordered by part number."
        super().__init__(text, UploadId=upload_id)


class InvalidPartNumber(ServiceError):
    """The object has fewer parts."""

    status = 416

    def __init__(self, asked: int, count: int) -> None:
        members = {"PartNumberRequested": str(asked), "ActualPartCount": str(count)}
        super().__init__("The requested partnumber is not satisfiable", **members)


class InvalidRange(ServiceError):
    """The range begins behind the end of the object."""

    status = 416

    def __init__(self, asked: str, size: int) -> None:
        members = {"RangeRequested": asked, "ActualObjectSize": str(size)}
        super().__init__("The requested range is not satisfiable", **members)


class PreconditionFailed(ServiceError):
    """A condition of the request does not hold."""

    status = 412

    def __init__(self, condition: str) -> None:
        super().__init__("At least one of the pre-conditions you specified did not hold", Condition=condition)


class MethodNotAllowed(ServiceError):
    """Delete markers cannot be read."""

    status = 405

    def __init__(self, marker_id: str, modified: datetime) -> None:
        text = "The specified method is not allowed against this resource."
        super().__init__(text, Method="GET", ResourceType="DeleteMarker")
        self.headers = {
            "Allow": "DELETE",
            "Last-Modified": modified.strftime("%a, %d %b %Y %H:%M:%S GMT"),
            "x-amz-delete-marker": "true",
            "x-amz-version-id": marker_id,
        }


class AccessControlListNotSupported(ServiceError):
    """The bucket's ownership setting turns access control lists off."""

    def __init__(self) -> None:
        super().__init__("The bucket does not allow ACLs")


class MalformedACLError(ServiceError):
    """The access control list breaks its schema."""

    def __init__(self) -> None:
        super().__init__("The XML you provided was not well-formed or did not validate against our published schema")


class EmailGranteesAreOver(ServiceError):
    """S3 takes no e-mail addresses as grantees since October 2025."""

    code = "MethodNotAllowed"
    status = 405

    def __init__(self) -> None:
        super().__init__("The specified method is not allowed against this resource.")


class MissingSecurityHeader(ServiceError):
    """The request brings no access control list."""

    def __init__(self) -> None:
        super().__init__("Your request was missing a required header", MissingHeaderName="x-amz-acl")


class UnexpectedContent(ServiceError):
    """The access control list comes in headers and in the body."""

    def __init__(self) -> None:
        super().__init__("This request does not support content")


class InvalidBucketAclWithObjectOwnership(ServiceError):
    """A bucket without access control lists cannot be made with one."""

    def __init__(self) -> None:
        super().__init__("Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting")


class NoSuchBucketPolicy(ServiceError):
    """The bucket has no policy."""

    status = 404


class NoSuchCORSConfiguration(ServiceError):
    """The bucket has no CORS configuration."""

    status = 404


class NoSuchLifecycleConfiguration(ServiceError):
    """The bucket has no lifecycle configuration."""

    status = 404


class NoSuchPublicAccessBlockConfiguration(ServiceError):
    """The bucket does not block public access."""

    status = 404


class NoSuchTagSet(ServiceError):
    """The bucket has no tags."""

    status = 404


class NoSuchWebsiteConfiguration(ServiceError):
    """The bucket is no website."""

    status = 404


class InvalidTargetBucketForLogging(ServiceError):
    """Logs cannot go to this bucket."""


class OwnershipControlsNotFoundError(ServiceError):
    """The bucket has no ownership controls."""

    status = 404


class ReplicationConfigurationNotFoundError(ServiceError):
    """The bucket is not replicated."""

    status = 404


class ObjectLockConfigurationNotFoundError(ServiceError):
    """The bucket does not lock its objects."""

    status = 404


class InvalidBucketState(ServiceError):
    """The bucket is not in a state that allows it."""

    status = 409


class InvalidObjectState(ServiceError):
    """The storage class of the object does not allow it."""

    status = 403


class ObjectNotInActiveTierError(ServiceError):
    """The source of a copy is archived."""

    status = 403

    def __init__(self) -> None:
        super().__init__(
            "The source object of the COPY action is not in the active tier and is only stored in Amazon S3 Glacier."
        )


class NoSuchConfiguration(ServiceError):
    """There is no configuration with this id."""

    status = 404

    def __init__(self) -> None:
        super().__init__("The specified configuration does not exist.")


class TooManyConfigurations(ServiceError):
    """The bucket has as many configurations of the kind as it may."""

    def __init__(self) -> None:
        super().__init__("You are attempting to create a new configuration but have already reached the limit.")


class NoSuchObjectLockConfiguration(ServiceError):
    """Nothing locks the version."""

    status = 404

    def __init__(self) -> None:
        super().__init__("The specified object does not have a ObjectLock configuration")


class BadRequest(ServiceError):
    """Something that is needed is missing."""


class AccessForbidden(ServiceError):
    """No CORS rule allows the request."""

    status = 403


class MalformedPOSTRequest(ServiceError):
    """The form cannot be read."""


class EntityTooLarge(ServiceError):
    """The object is larger than one request may bring."""

    def __init__(self, size: int, limit: int) -> None:
        members = {"ProposedSize": str(size), "MaxSizeAllowed": str(limit)}
        super().__init__("Your proposed upload exceeds the maximum allowed size", **members)


class MaxPostPreDataLengthExceeded(ServiceError):
    """The form holds too much beside the file."""

    code = "MaxPostPreDataLengthExceededError"

    def __init__(self) -> None:
        super().__init__("Your POST request fields preceding the upload file were too large.")
