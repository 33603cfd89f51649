"""Multipart uploads: parts that arrive in any order become one object."""

from __future__ import annotations

import itertools
from dataclasses import replace
from hashlib import md5
from typing import TYPE_CHECKING
from urllib.parse import quote

from clary.services.s3 import encryption, integrity, replication
from clary.services.s3.bucket import bucket_of, canonical_id, versioning_of
from clary.services.s3.conditions import write_condition
from clary.services.s3.errors import (
    BadDigest,
    EntityTooSmall,
    InvalidArgument,
    InvalidPart,
    InvalidPartOrder,
    InvalidRequest,
    MalformedXML,
    NoSuchUpload,
)
from clary.services.s3.events import changed
from clary.services.s3.lifecycle import abort_members
from clary.services.s3.listing import Encode, echo, encoder
from clary.services.s3.meta import meta_of, refuse_unsupported
from clary.services.s3.objects import limited, written
from clary.services.service import in_thread
from clary.store.objects import Checksum, NewObject, Part, Upload, Version
from clary.store.objects.checksums import COMPOSITE, DEFAULT, FULL_OBJECT, FULL_OBJECT_ALGORITHMS, of_parts
from clary.store.objects.uploads import UploadQuery, new_upload

if TYPE_CHECKING:
    from clary.api import s3 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members
    from clary.store.records import Record

MIN_PART_BYTES = 5 << 20
MAX_PARTS = 10_000
"""Source: "Amazon S3 multipart upload limits", Amazon S3 user guide."""


class Multipart:
    """The life of a multipart upload."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._objects = platform.objects
        self._uploads = platform.objects.uploads

    def create_multipart_upload(self, ctx: Context, request: api.CreateMultipartUploadRequest) -> Document:
        """Opens an upload."""
        bucket = bucket_of(self._platform, request)
        meta = meta_of(ctx, request, bucket)
        algorithm, checksum_type = _checksum_plan(request)
        upload = replace(
            new_upload(bucket.name, request["Key"], ctx.now.timestamp(), ctx.principal.arn, meta),
            algorithm=algorithm,
            checksum_type=checksum_type,
        )
        self._uploads.begin(upload)
        told = (
            {"ChecksumAlgorithm": algorithm, "ChecksumType": checksum_type} if request.get("ChecksumAlgorithm") else {}
        )
        names = {"Bucket": bucket.name, "Key": upload.key, "UploadId": upload.upload_id}
        return {**names, **told, **encryption.told(meta, request), **abort_members(bucket, upload)}

    async def upload_part(self, ctx: Context, request: api.UploadPartRequest) -> Document:
        """Takes one part in; it replaces an earlier one of its number."""
        refuse_unsupported(request)
        upload, number = self._upload(request), part_number(request)
        claims = integrity.claims(request, upload.algorithm)
        _refuse_other_algorithm(upload, claims)
        body = request["Body"]
        algorithms = {claims.algorithm, upload.algorithm}
        encryption.refuse_other_key(upload.meta, request)
        protection = encryption.protection(upload.meta, request)
        async with self._objects.received(limited(body), algorithms, protection, in_file=True) as content:
            checksum = await integrity.verified(self._objects, claims, content, body, protection.customer_key)
            kept = Checksum(upload.algorithm, FULL_OBJECT, content.checksums[upload.algorithm])
            if not self._uploads.put_part(upload, number, content, kept, ctx.now.timestamp()):
                raise NoSuchUpload(upload.upload_id)
        told = integrity.told(checksum)
        del told["ChecksumType"]
        return {"ETag": content.etag, **told, **encryption.told(upload.meta, request)}

    @in_thread
    def complete_multipart_upload(self, ctx: Context, request: api.CompleteMultipartUploadRequest) -> Document:
        """Makes the object."""
        bucket = bucket_of(self._platform, request)
        encryption.customer_key(request)  # one that does not fit together is refused before anything is done
        upload = self._uploads.get(bucket.name, request["Key"], request["UploadId"])
        if upload is None:
            return self._completed_before(ctx, bucket, request)
        parts = _chosen(request, upload, {part.number: part for part in self._uploads.parts(upload.upload_id)})
        checksum = _checksum(upload, parts)
        _refuse_mismatch(request, checksum, sum(part.size for part in parts))
        meta = upload.meta
        replication.mark(bucket, upload.key, meta)
        digest = md5(b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts), usedforsecurity=False)
        new = NewObject(
            bucket.name,
            upload.key,
            sum(part.size for part in parts),
            f'"{digest.hexdigest()}-{len(parts)}"',
            int(ctx.now.timestamp()),
            checksum,
            meta,
        )
        with self._objects.index.transaction():
            version = self._uploads.complete(upload, new, parts, versioning_of(bucket), write_condition(request))
            if version is None:
                raise NoSuchUpload(upload.upload_id)
            changed(self._platform, ctx, bucket, version)
        return _completed(ctx, bucket, version, request)

    def abort_multipart_upload(self, _: Context, request: api.AbortMultipartUploadRequest) -> None:
        """Ends an upload and drops its parts."""
        if not self._uploads.abort(self._upload(request)):
            raise NoSuchUpload(request["UploadId"])

    def list_parts(self, _: Context, request: api.ListPartsRequest) -> Document:
        """The parts that have arrived."""
        upload = self._upload(request)
        bucket = bucket_of(self._platform, request)
        after, limit = request.get("PartNumberMarker") or 0, _limit(request, "MaxParts")
        found = self._uploads.parts(upload.upload_id, after, limit + 1)
        page = found[:limit]
        told = {"ChecksumAlgorithm": upload.algorithm, "ChecksumType": upload.checksum_type}
        return {
            "Bucket": upload.bucket,
            "Key": upload.key,
            "UploadId": upload.upload_id,
            "PartNumberMarker": after,
            "NextPartNumberMarker": page[-1].number if page else 0,
            "MaxParts": limit,
            "IsTruncated": len(found) > limit,
            "Parts": [told_part(part) for part in page],
            "Initiator": {"ID": upload.initiator},
            "Owner": {"ID": canonical_id(bucket.account)},
            "StorageClass": upload.meta.headers.get("StorageClass", "STANDARD"),
            **told,
            **abort_members(bucket, upload),
        }

    def list_multipart_uploads(self, _: Context, request: api.ListMultipartUploadsRequest) -> Document:
        """The uploads that are under way in a bucket."""
        bucket = bucket_of(self._platform, request)
        prefix, limit = request.get("Prefix") or "", _limit(request, "MaxUploads")
        marker, encode = request.get("KeyMarker") or "", encoder(request)
        after = (marker, (request.get("UploadIdMarker") or "") if marker else "")
        query = UploadQuery(bucket.name, prefix, request.get("Delimiter") or "", after, limit)
        page = self._uploads.page(query)
        members: Document = {
            "Bucket": bucket.name,
            "KeyMarker": encode(marker),
            "UploadIdMarker": after[1],
            "Prefix": encode(prefix),
            "MaxUploads": limit,
            "IsTruncated": page.last is not None,
            "Uploads": [_told_upload(upload, bucket, encode) for upload in page.uploads],
            "CommonPrefixes": [{"Prefix": encode(each)} for each in page.common_prefixes],
            **echo(request, encode, "Delimiter"),
        }
        if page.last is not None:
            members.update(NextKeyMarker=encode(page.last[0]), NextUploadIdMarker=page.last[1])
        return members

    def _upload(self, request: Members) -> Upload:
        bucket = bucket_of(self._platform, request)
        upload = self._uploads.get(bucket.name, request["Key"], request["UploadId"])
        if upload is None:
            raise NoSuchUpload(request["UploadId"])
        return upload

    def _completed_before(self, ctx: Context, bucket: Record, request: Members) -> Document:
        """The same answer again for a client that did not hear it, as long as the object is the current one."""
        version = self._objects.index.get(bucket.name, request["Key"], content=True)
        if version is None or version.upload_id != request["UploadId"]:
            raise NoSuchUpload(request["UploadId"])
        return _completed(ctx, bucket, version, request)


def part_number(request: Members) -> int:
    """The number of the part that a request brings.

    Raises:
        InvalidArgument: it is out of range.
    """
    number = int(request["PartNumber"])
    if not 1 <= number <= MAX_PARTS:
        message = f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive"
        raise InvalidArgument(message, "partNumber", number)
    return number


def told_part(part: Part) -> Document:
    """A part as ListParts tells it."""
    told = integrity.told(part.checksum)
    told.pop("ChecksumType", None)
    return {"PartNumber": part.number, "LastModified": part.modified, "ETag": part.etag, "Size": part.size, **told}


def _checksum_plan(request: Members) -> tuple[str, str]:
    """The algorithm and type of the checksum that the object will have."""
    algorithm = integrity.algorithm_of(request)
    default = FULL_OBJECT if algorithm == DEFAULT else COMPOSITE
    checksum_type = request.get("ChecksumType") or default
    if checksum_type == FULL_OBJECT and algorithm not in FULL_OBJECT_ALGORITHMS:
        raise InvalidRequest(
            f"The FULL_OBJECT checksum type cannot be used with the {algorithm.lower()} checksum algorithm."
        )
    if checksum_type == COMPOSITE and algorithm == DEFAULT:
        raise InvalidRequest(
            f"The COMPOSITE checksum type cannot be used with the {algorithm.lower()} checksum algorithm."
        )
    return algorithm, checksum_type


def _refuse_other_algorithm(upload: Upload, claims: integrity.Claims) -> None:
    if claims.algorithm != upload.algorithm and upload.checksum_type == COMPOSITE:
        raise InvalidRequest(
            f"Checksum Type mismatch occurred, expected checksum Type: {upload.algorithm.lower()}, "
            f"actual checksum Type: {claims.algorithm.lower()}"
        )


def _chosen(request: Members, upload: Upload, there: dict[int, Part]) -> list[Part]:
    """The parts that the client lists, checked against those that arrived."""
    listed = (request.get("MultipartUpload") or {}).get("Parts") or []
    if not listed:
        raise MalformedXML
    numbers = [part.get("PartNumber", 0) for part in listed]
    if any(earlier >= later for earlier, later in itertools.pairwise(numbers)):
        raise InvalidPartOrder(upload.upload_id)
    return [_matching(upload, part, there.get(part.get("PartNumber", 0)), last=part is listed[-1]) for part in listed]


def _matching(upload: Upload, wanted: Document, part: Part | None, *, last: bool) -> Part:
    etag = str(wanted.get("ETag", ""))
    number = int(wanted.get("PartNumber", 0))
    if part is None or etag.strip('"') != part.etag.strip('"'):
        raise InvalidPart(upload.upload_id, number, etag.strip('"'))
    claimed = wanted.get(f"Checksum{upload.algorithm}")
    if claimed and part.checksum is not None and claimed != part.checksum.value:
        raise InvalidPart(upload.upload_id, number, etag.strip('"'))
    if not last and part.size < MIN_PART_BYTES:
        raise EntityTooSmall(
            "Your proposed upload is smaller than the minimum allowed size",
            ProposedSize=str(part.size),
            MinSizeAllowed=str(MIN_PART_BYTES),
            PartNumber=str(number),
            ETag=part.etag.strip('"'),
        )
    return part


def _checksum(upload: Upload, parts: list[Part]) -> Checksum:
    """The checksum of the object."""
    values = [(part.checksum.value, part.size) for part in parts if part.checksum is not None]
    return of_parts(upload.algorithm, upload.checksum_type, values)


def _refuse_mismatch(request: Members, checksum: Checksum, size: int) -> None:
    claimed = request.get(f"Checksum{checksum.algorithm}")
    if claimed and claimed != checksum.value:
        raise BadDigest(f"The {checksum.algorithm} you specified did not match the calculated checksum.")
    wanted = request.get("MpuObjectSize")
    if wanted is not None and wanted != size:
        raise InvalidRequest(
            f"The provided 'x-amz-mp-object-size' header value {wanted} does not match what was computed: {size}"
        )


def _completed(ctx: Context, bucket: Record, version: Version, request: Members) -> Document:
    return {
        "Location": f"{ctx.endpoint}/{bucket.name}/{quote(version.key)}",
        "Bucket": bucket.name,
        "Key": version.key,
        "ETag": version.etag,
        **written(bucket, version, request),
    }


def _told_upload(upload: Upload, bucket: Record, encode: Encode) -> Document:
    return {
        "UploadId": upload.upload_id,
        "Key": encode(upload.key),
        "Initiated": upload.initiated,
        "StorageClass": upload.meta.headers.get("StorageClass", "STANDARD"),
        "Owner": {"ID": canonical_id(bucket.account)},
        "Initiator": {"ID": upload.initiator},
        "ChecksumAlgorithm": upload.algorithm,
        "ChecksumType": upload.checksum_type,
    }


def _limit(request: Members, member: str) -> int:
    limit = request.get(member)
    if limit is not None and limit < 0:
        raise InvalidArgument(f"Argument {member} must be an integer between 0 and 2147483647", member, limit)
    return 1000 if limit is None else min(int(limit), 1000)
