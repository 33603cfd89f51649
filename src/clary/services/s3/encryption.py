"""Server-side encryption: what a write asks for, what is kept of it and told, and the keys that customers bring.

All objects are told to be encrypted, as AWS does since 2023; whether their bytes are so on the disk is a setting of the
platform, except with keys of customers. Keys of KMS are names here. AWS takes keys of customers over HTTPS only; here
plain HTTP will do, since most clients are on the same machine.
Source: "Protecting data with encryption" and its sub-pages, Amazon S3 user guide.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid
from base64 import b64decode, b64encode
from binascii import Error
from typing import TYPE_CHECKING

import orjson

from clary import arn
from clary.errors import AccessDenied
from clary.services.s3.errors import InvalidArgument, InvalidEncryptionAlgorithmError, InvalidRequest
from clary.store.objects import Protection
from clary.store.objects.errors import CustomerKeyMissing, CustomerKeyWrong

if TYPE_CHECKING:
    from clary.context import Context
    from clary.services.service import Document, Members
    from clary.store.objects import Meta
    from clary.store.records import Record

S3_KEYS = "AES256"
KMS = ("aws:kms", "aws:kms:dsse")
"""Encryption with keys of KMS, in one layer or in two."""

MEMBERS = ("ServerSideEncryption", "SSEKMSKeyId", "SSEKMSEncryptionContext", "BucketKeyEnabled")
"""Members of requests that say how an object is encrypted; they are kept with it and told again."""

KEY_BYTES = 32
_HEADER = "x-amz-server-side-encryption"
_PROVIDED = "Requests specifying Server Side Encryption with Customer provided keys must provide"


def asked(ctx: Context, request: Members, bucket: Record) -> tuple[Document, str]:
    """How an object is to be encrypted that a request writes: what to tell of it, and what to know its key by.

    Raises:
        InvalidArgument: what is asked for does not fit together.
        AccessDenied: the bucket takes no keys of customers.
    """
    key = customer_key(request)
    method = request.get("ServerSideEncryption")
    if key is not None:
        if method:
            raise InvalidArgument(
                "Server Side Encryption with Customer provided key is incompatible with the encryption method "
                "specified",
                _HEADER,
                method,
            )
        _refuse_blocked(ctx, request, bucket)
        return {}, _fingerprint(key, secrets.token_bytes(16))
    if method and method not in (S3_KEYS, *KMS):
        raise InvalidArgument("The encryption method specified is not supported", _HEADER, method)
    if method not in KMS and (request.get("SSEKMSKeyId") or request.get("SSEKMSEncryptionContext")):
        raise InvalidArgument(
            f"Server Side Encryption with AWS KMS managed key requires HTTP header {_HEADER} : aws:kms",
            _HEADER,
            method,
        )
    told = {name: request[name] for name in MEMBERS if request.get(name) is not None} if method else _default(bucket)
    if told.get("ServerSideEncryption") not in KMS:
        return {}, ""
    _refuse_context(told.get("SSEKMSEncryptionContext"))
    if "BucketKeyEnabled" in request:
        told["BucketKeyEnabled"] = request["BucketKeyEnabled"]
    if not told.get("BucketKeyEnabled") or told["ServerSideEncryption"] != KMS[0]:
        told.pop("BucketKeyEnabled", None)
    return {**told, "SSEKMSKeyId": _key_arn(told.get("SSEKMSKeyId", ""), bucket)}, ""


def protection(meta: Meta, request: Members) -> Protection:
    """How to keep the bytes of an object that is being written."""
    return Protection(customer_key(request), opaque=meta.opaque)


def told(meta: Meta, request: Members) -> Document:
    """How an object is encrypted, as answers to a request tell it."""
    if meta.customer_key:
        key = customer_key(request)
        md5 = {"SSECustomerKeyMD5": _md5(key)} if key is not None else {}
        return {"SSECustomerAlgorithm": S3_KEYS, **md5}
    kept = {name: meta.headers[name] for name in MEMBERS if name in meta.headers}
    return {"ServerSideEncryption": S3_KEYS, **kept}


def customer_key(request: Members, prefix: str = "") -> bytes | None:
    """The customer's key that a request brings; `prefix` is `CopySource` for the key of the source of a copy.

    Raises:
        InvalidArgument: something is missing, or does not fit together.
        InvalidEncryptionAlgorithmError: it is for another algorithm than the only one there is.
    """
    algorithm = request.get(f"{prefix}SSECustomerAlgorithm")
    text, md5 = request.get(f"{prefix}SSECustomerKey"), request.get(f"{prefix}SSECustomerKeyMD5")
    if algorithm is None and text is None and md5 is None:
        return None
    if not algorithm:
        raise InvalidArgument(f"{_PROVIDED} a valid encryption algorithm.", _HEADER, "null")
    if algorithm != S3_KEYS:
        raise InvalidEncryptionAlgorithmError(_HEADER, algorithm)
    if not text:
        raise InvalidArgument(f"{_PROVIDED} an appropriate secret key.", _HEADER, "null")
    if not md5:
        raise InvalidArgument(f"{_PROVIDED} the client calculated MD5 of the secret key.", _HEADER, "null")
    key = _decoded(text)
    if _md5(key) != md5:
        message = "The calculated MD5 hash of the key did not match the hash that was provided."
        raise InvalidArgument(message, _HEADER, "null")
    if len(key) != KEY_BYTES:
        raise InvalidArgument("The secret key was invalid for the specified algorithm.", _HEADER, "null")
    return key


def unlocked(meta: Meta, request: Members, prefix: str = "") -> bytes | None:
    """The customer's key for an object that is read, None when it needs none.

    Raises:
        CustomerKeyMissing: it needs one.
        CustomerKeyWrong: it needs another one.
        InvalidRequest: there is a key that it does not need.
    """
    key = customer_key(request, prefix)
    if not meta.customer_key:
        if key is not None:
            raise InvalidRequest("The encryption parameters are not applicable to this object.")
        return None
    if key is None:
        raise CustomerKeyMissing
    if not _fits(key, meta):
        raise CustomerKeyWrong
    return key


def refuse_other_key(meta: Meta, request: Members) -> None:
    """Accepts a part whose key is that of its upload.

    Raises:
        InvalidRequest: it has none, another one, or one that the upload did not have.
    """
    key = customer_key(request)
    if (key is None) == bool(meta.customer_key):
        raise InvalidRequest(
            "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate "
            "encryption parameters."
        )
    if key is not None and not _fits(key, meta):
        raise InvalidRequest("The provided encryption parameters did not match the ones used originally.")


def default_rule(bucket: Record) -> Document:
    """The rule of the bucket about encryption; empty when it has none."""
    rules = bucket.spec.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
    return dict(rules[0]) if rules else {}


def _default(bucket: Record) -> Document:
    """What the bucket says about objects whose writers say nothing."""
    rule = default_rule(bucket)
    default = rule.get("ApplyServerSideEncryptionByDefault", {})
    told = {"ServerSideEncryption": default.get("SSEAlgorithm", S3_KEYS)}
    if default.get("KMSMasterKeyID"):
        told["SSEKMSKeyId"] = default["KMSMasterKeyID"]
    return {**told, "BucketKeyEnabled": bool(rule.get("BucketKeyEnabled"))}


def _refuse_blocked(ctx: Context, request: Members, bucket: Record) -> None:
    blocked = default_rule(bucket).get("BlockedEncryptionTypes", {}).get("EncryptionType", [])
    if "SSE-C" in blocked:
        raise AccessDenied(
            f"User: {ctx.principal.arn} is not authorized to perform: s3:PutObject on resource: "
            f'"{bucket.arn}/{request["Key"]}" because this bucket has blocked upload requests that specify Server Side '
            "Encryption with Customer provided keys (SSE-C). Please specify a different server-side encryption type"
        )


def _refuse_context(text: str | None) -> None:
    if text is None:
        return
    try:
        context = orjson.loads(b64decode(text, validate=True))
    except (Error, ValueError):
        context = None
    if not isinstance(context, dict) or not all(isinstance(value, str) for value in context.values()):
        raise InvalidArgument(
            f"The header '{_HEADER}-context' shall be Base64-encoded UTF-8 string holding JSON which represents a "
            "string-string map",
            f"{_HEADER}-context",
            text,
        )


def _key_arn(key: str, bucket: Record) -> str:
    """The ARN of a key of KMS; that of the account's own key for S3 when none is named."""
    if key.startswith("arn:"):
        return key
    region = bucket.spec.get("Region", "")
    if key in ("", "alias/aws/s3"):
        key = str(uuid.uuid5(uuid.NAMESPACE_URL, arn.build("kms", region, bucket.account, "alias/aws/s3")))
    return arn.build("kms", region, bucket.account, key if key.startswith("alias/") else f"key/{key}")


def _fingerprint(key: bytes, salt: bytes) -> str:
    """What tells a key from others and from which it cannot be found."""
    return f"{salt.hex()}:{hmac.new(salt, key, hashlib.sha256).hexdigest()}"


def _fits(key: bytes, meta: Meta) -> bool:
    salt = bytes.fromhex(meta.customer_key.partition(":")[0])
    return hmac.compare_digest(_fingerprint(key, salt), meta.customer_key)


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except Error:
        raise InvalidArgument("The secret key was invalid for the specified algorithm.", _HEADER, "null") from None


def _md5(key: bytes) -> str:
    return b64encode(hashlib.md5(key, usedforsecurity=False).digest()).decode()
