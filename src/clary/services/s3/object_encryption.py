"""UpdateObjectEncryption: another key of KMS for an object that is there already."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from clary import arn
from clary.errors import AccessDenied
from clary.services.s3.bucket import bucket_of
from clary.services.s3.encryption import KMS
from clary.services.s3.errors import InvalidRequest
from clary.services.s3.reading import readable
from clary.store.objects.lock import refuse_locked

if TYPE_CHECKING:
    from clary.api import s3 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Members
    from clary.store.objects import Meta
    from clary.store.records import Record

_KEY_ARN = re.compile(r"arn:aws[a-zA-Z0-9-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[a-zA-Z0-9-]+")


class ObjectEncryption:
    """How a single object is encrypted."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def update_object_encryption(self, ctx: Context, request: api.UpdateObjectEncryptionRequest) -> None:
        """Puts an object under a key of KMS; bytes, ETag and times stay."""
        bucket = bucket_of(self._platform, request)
        version = readable(self._platform, ctx, bucket, request["Key"], request.get("VersionId"))
        wanted = _wanted(request, bucket)

        def change(meta: Meta) -> None:
            if meta.customer_key or meta.headers.get("ServerSideEncryption") == KMS[1]:
                raise InvalidRequest(
                    "The UpdateObjectEncryption operation doesn't support source objects with the encryption type "
                    "DSSE-KMS or SSE-C. Only source objects encrypted with SSE-S3 or SSE-KMS are supported."
                )
            meta.headers.pop("BucketKeyEnabled", None)
            meta.headers.update(wanted)

        refuse_locked(version.meta_text, ctx.now.timestamp())
        self._platform.objects.index.edit(version, change)


def _wanted(request: Members, bucket: Record) -> dict[str, object]:
    """What to keep of the new encryption.

    Raises:
        InvalidRequest: it names no key.
        AccessDenied: the key belongs to another account.
    """
    asked = (request.get("ObjectEncryption") or {}).get("SSEKMS")
    if not asked:
        raise InvalidRequest(
            "Requests that modify an object encryption configuration require a valid new encryption type. Valid values "
            "are SSEKMS. Modify the request to specify SSE-KMS for the updated encryption type, and then try again."
        )
    key = str(asked.get("KMSKeyArn") or "")
    if _KEY_ARN.fullmatch(key) is None:
        raise InvalidRequest(
            "Requests that modify an object's encryption type to SSE-KMS require a valid Amazon Web Services KMS key "
            "Amazon Resource Name (ARN). Confirm that you have a correctly formatted KMS key ARN in your request, and "
            "then try again."
        )
    if arn.split(key).account != bucket.account:
        raise AccessDenied(
            "The Amazon Web Services KMS key in the request must be owned by the same account as the bucket. Modify "
            "the request to specify a KMS key from the same account, and then try again."
        )
    bucket_key = {"BucketKeyEnabled": True} if asked.get("BucketKeyEnabled") else {}
    return {"ServerSideEncryption": KMS[0], "SSEKMSKeyId": key, **bucket_key}
