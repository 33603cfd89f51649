"""Request bodies that prove to be the ones that were signed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Callable

from clary.auth import errors
from clary.auth.errors import Family
from clary.auth.signing import Scope, SigningKey, same
from clary.http import Body, BytesBody, Request

Verify = Callable[[str, str], None]
"""Takes the SHA-256 of what was signed, in hexadecimal, and its signature; raises when they do not belong together."""

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SIGNED_CHUNKS = ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")

_EMPTY_SHA256 = hashlib.sha256().hexdigest()
_SHA256 = re.compile(r"[0-9a-f]{64}")


def verify_body(http: Request, declared: str) -> None:
    """Has the bytes of an S3 request checked against the digest that its signature covers."""
    if declared in (UNSIGNED_PAYLOAD, UNSIGNED_TRAILER) or declared in SIGNED_CHUNKS:
        return
    if not _SHA256.fullmatch(declared):
        raise errors.InvalidRequest(
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value."
        )
    if isinstance(http.body, BytesBody):
        _refuse_other_digest(declared, hashlib.sha256(http.body.content).hexdigest())
    else:
        http.body = VerifiedBody(http.body, declared)


class VerifiedBody:
    """A body that must have the digest that was signed."""

    def __init__(self, body: Body, sha256_hex: str) -> None:
        self._body = body
        self._sha256 = sha256_hex

    async def __aiter__(self) -> AsyncIterator[bytes]:
        digest = hashlib.sha256()
        async for chunk in self._body:
            digest.update(chunk)
            yield chunk
        _refuse_other_digest(self._sha256, digest.hexdigest())


class ChunkVerifier:
    """Checks the chain of signatures inside of a body; chunks must come in order."""

    def __init__(self, key: SigningKey, scope: Scope, moment: str, seed: str) -> None:
        self._key = key
        self._where = f"{moment}\n{scope.text()}"
        self._previous = seed

    def verify_chunk(self, sha256_hex: str, signature: str) -> None:
        """Accepts the next chunk, which has this digest.

        Raises:
            SignatureDoesNotMatch: it was not signed so.
        """
        self._verify(
            f"AWS4-HMAC-SHA256-PAYLOAD\n{self._where}\n{self._previous}\n{_EMPTY_SHA256}\n{sha256_hex}", signature
        )

    def verify_trailer(self, sha256_hex: str, signature: str) -> None:
        """Accepts the trailing headers, which have this digest in their canonical form.

        Raises:
            SignatureDoesNotMatch: they were not signed so.
        """
        self._verify(f"AWS4-HMAC-SHA256-TRAILER\n{self._where}\n{self._previous}\n{sha256_hex}", signature)

    def _verify(self, string_to_sign: str, signature: str) -> None:
        if not same(self._key.sign(string_to_sign), signature):
            raise errors.mismatch(Family.S3, signature=signature, string_to_sign=string_to_sign)
        self._previous = signature


def _refuse_other_digest(declared: str, computed: str) -> None:
    if declared != computed:
        raise errors.XAmzContentSHA256Mismatch(
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
            ClientComputedContentSHA256=declared,
            S3ComputedContentSHA256=computed,
        )
