"""Prove who signed a request: signature version 4, and version 2 for S3, in headers, URLs and forms."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from clary.auth import canonical, errors, presigned, sigv2
from clary.auth.canonical import SignedHeaders
from clary.auth.errors import Family
from clary.auth.payload import SIGNED_CHUNKS, UNSIGNED_PAYLOAD, ChunkVerifier, Verify, verify_body
from clary.auth.post_policy import signed_form
from clary.auth.signing import Scope, SigningKey, same
from clary.context import ANONYMOUS, Principal
from clary.errors import AccessDenied, ServiceError
from clary.http import BytesBody, Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clary.auth.credentials import Credential, Credentials
    from clary.auth.sigv2 import SignedV2
    from clary.clock import Clock

_MAX_SIGNING_KEYS = 4096
_MAX_CLAIMS = 128
"""Few, since strangers may send long ones."""
_STAMP = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_MILLISECOND = timedelta(milliseconds=1)
_CLAIM = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=([^/, ]+)/(\d{8})/([^/, ]*)/([^/, ]+)/aws4_request, *"
    r"SignedHeaders=([^, ]+), *Signature="
)
_SIGNATURE_DIGITS = 64
_SIGNATURE = re.compile(r"[0-9a-f]{64}")


_ONE_MECHANISM = (
    "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or "
    "the Authorization header should be specified"
)


class Signature(NamedTuple):
    """What a verified signature tells."""

    principal: Principal
    region: str = ""
    verifiers: tuple[Verify, Verify] | None = None
    """For the chunks and for the trailer of a body that is signed chunk by chunk."""
    keys: Mapping[str, str] = MappingProxyType({})
    """What conditions of policies may ask about it, by key in lower case."""


class _Claim(NamedTuple):
    """What a header of version 4 says before the signature itself; all calls of a client on one day say the same."""

    access_key: str
    scope: Scope
    signed_headers: SignedHeaders


UNSIGNED = Signature(ANONYMOUS)
"""Of calls that take none, because what they carry proves who asks."""


class Authenticator:
    """Verifies signatures; `s3_domain` is the domain below which buckets are host names."""

    def __init__(self, credentials: Credentials, clock: Clock, s3_domain: str = "") -> None:
        self._credentials = credentials
        self._clock = clock
        self._s3_domain = s3_domain
        self._signing_keys: dict[tuple[str, Scope], SigningKey] = {}

    def authenticate(self, http: Request, service: str, s3: bool) -> Signature:
        """The principal that signed `http` for the signing name `service`; replaces its body by a verifying one.

        Raises:
            ServiceError: the signature is absent (other services than S3), broken, too old, or of an unknown key.
        """
        signature = self._verified(http, service, Family.of(service, s3))
        if signature.principal is not ANONYMOUS:
            self._credentials.note_use(signature.principal, service, signature.region)
        return signature

    def authenticate_form(self, form: Mapping[str, str]) -> Signature:
        """The principal that signed the policy of a browser upload; `form` has lower-case field names.

        Raises:
            ServiceError: the signature is broken or of an unknown key.
        """
        signed = signed_form(form)
        if signed is None:
            return Signature(ANONYMOUS)
        credential = self._credential(Family.S3, signed.access_key, form.get("x-amz-security-token", ""))
        if signed.scope:
            date, region, service = signed.scope
            wanted = self._signing_key(credential.secret, Scope(date, region, service)).sign(signed.policy)
        else:
            region, wanted = "", sigv2.signature(credential.secret, signed.policy)
        if not same(wanted, signed.signature):
            raise errors.mismatch(Family.S3, signed.access_key, signed.signature, signed.policy)
        version = "AWS4-HMAC-SHA256" if signed.scope else "AWS"
        return Signature(credential.principal, region, keys={"s3:authtype": "POST", "s3:signatureversion": version})

    def _verified(self, http: Request, service: str, family: Family) -> Signature:
        authorization = http.headers.get("authorization")
        if authorization is not None:
            if family is Family.S3 and ("X-Amz-Algorithm=" in http.query or "X-Amz-Signature=" in http.query):
                raise errors.InvalidArgument(_ONE_MECHANISM)
            if family is Family.S3 and authorization.startswith("AWS "):
                signed = sigv2.of_header(http, authorization, self._s3_domain, self._clock.now())
                return self._version_2(signed, "REST-HEADER")
            return self._header(http, authorization, service, family)
        if "X-Amz-Signature=" in http.query or "X-Amz-Algorithm=" in http.query:
            return self._query(http, service, family)
        if family is not Family.S3:
            raise errors.MissingAuthenticationToken("Request is missing Authentication Token")
        if "Signature=" in http.query and "AWSAccessKeyId=" in http.query:
            signed = sigv2.of_query(http, self._s3_domain, self._clock.now())
            return self._version_2(signed, "REST-QUERY-STRING")
        return Signature(ANONYMOUS)

    def _header(self, http: Request, authorization: str, service: str, family: Family) -> Signature:
        claim, given = _claim(authorization[:-_SIGNATURE_DIGITS]), authorization[-_SIGNATURE_DIGITS:]
        if claim is None or _SIGNATURE.fullmatch(given) is None:
            raise _unreadable(authorization, family)
        access_key, scope, signed_headers = claim
        if scope.service != service:
            raise errors.wrong_service(family, scope.service, service)
        headers = http.headers
        credential = self._credential(family, access_key, headers.get("x-amz-security-token", ""))
        moment = headers.get("x-amz-date", "")
        age = self._refuse_skew(family, moment, scope.date)
        declared = headers.get("x-amz-content-sha256", "")
        payload = self._payload(http, declared, family)
        request = canonical.request(http, signed_headers, payload, http.query, s3=family is Family.S3)
        self._compare(family, credential, scope, moment, request, given)
        keys = _keys(family, "REST-HEADER", age, declared)
        if declared not in SIGNED_CHUNKS:
            return Signature(credential.principal, scope.region, keys=keys)
        chain = ChunkVerifier(self._signing_key(credential.secret, scope), scope, moment, given)
        return Signature(credential.principal, scope.region, (chain.verify_chunk, chain.verify_trailer), keys)

    def _query(self, http: Request, service: str, family: Family) -> Signature:
        signed = presigned.parse_v4(http.query, family)
        if signed.service != service:
            raise errors.wrong_service(family, signed.service, service)
        credential = self._credential(family, signed.access_key, signed.token)
        signed_at = _moment(signed.date_time, signed.date, family)
        now = self._clock.now()
        presigned.refuse_expired(signed, signed_at, now, family)
        declared = http.headers.get("x-amz-content-sha256", "")
        if family is Family.S3:
            payload = declared or UNSIGNED_PAYLOAD
            verify_body(http, payload)
        else:
            payload = self._payload(http, declared, family)
        names = SignedHeaders.of(signed.headers)
        request = canonical.request(http, names, payload, signed.query, s3=family is Family.S3)
        scope = Scope(signed.date, signed.region, service)
        self._compare(family, credential, scope, signed.date_time, request, signed.signature)
        keys = _keys(family, "REST-QUERY-STRING", now - signed_at, declared)
        return Signature(credential.principal, signed.region, keys=keys)

    def _version_2(self, signed: SignedV2, where: str) -> Signature:
        credential = self._credential(Family.S3, signed.access_key, signed.token)
        texts = signed.strings_to_sign
        if not any(same(sigv2.signature(credential.secret, text), signed.signature) for text in texts):
            raise errors.mismatch(Family.S3, signed.access_key, signed.signature, texts[0])
        keys = {"s3:authtype": where, "s3:signatureversion": "AWS"}
        if signed.moment is not None:
            keys["s3:signatureage"] = _milliseconds(self._clock.now() - signed.moment)
        return Signature(credential.principal, keys=keys)

    def _credential(self, family: Family, access_key: str, token: str) -> Credential:
        credential = self._credentials.find(access_key, token)
        if credential is None:
            raise errors.unknown_token(family, access_key) if token else errors.unknown_key(family, access_key)
        if credential.expires is not None and credential.expires <= self._clock.now():
            raise errors.expired_token(family)
        return credential

    def _refuse_skew(self, family: Family, moment: str, date: str) -> timedelta:
        """The age of a signature; negative where the clock of the caller is ahead."""
        signed, now = _moment(moment, date, family), self._clock.now()
        age = now - signed
        if abs(age) > errors.MAX_SKEW:
            raise errors.skewed(family, signed, now)
        return age

    def _payload(self, http: Request, declared: str, family: Family) -> str:
        if family is Family.S3:
            if not declared:
                raise errors.InvalidRequest("Missing required header for this request: x-amz-content-sha256")
            verify_body(http, declared)
            return declared
        if not isinstance(http.body, BytesBody):
            raise errors.InvalidRequest("The body of this request cannot be streamed")
        payload = hashlib.sha256(http.body.content).hexdigest()
        if declared and declared != payload:
            raise errors.mismatch(family)
        return payload

    def _compare(
        self, family: Family, credential: Credential, scope: Scope, moment: str, request: str, given: str
    ) -> None:
        # Header values are bytes on the wire, held as Latin-1 text.
        digest = hashlib.sha256(request.encode("latin-1", "replace")).hexdigest()
        string_to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope.text()}\n{digest}"
        if not same(self._signing_key(credential.secret, scope).sign(string_to_sign), given):
            raise errors.mismatch(family, credential.principal.access_key, given, string_to_sign)

    def _signing_key(self, secret: str, scope: Scope) -> SigningKey:
        name = (secret, scope)
        key = self._signing_keys.get(name)
        if key is None:
            if len(self._signing_keys) >= _MAX_SIGNING_KEYS:
                self._signing_keys.clear()
            key = self._signing_keys[name] = SigningKey(secret, scope)
        return key


@lru_cache(_MAX_CLAIMS)
def _claim(text: str) -> _Claim | None:
    """What a header says up to its signature; None when it is not of version 4, or not well formed."""
    match = _CLAIM.fullmatch(text)
    if match is None:
        return None
    access_key, date, region, service, names = match.groups()
    return _Claim(access_key, Scope(date, region, service), SignedHeaders.of(names))


def _keys(family: Family, where: str, age: timedelta, declared: str) -> dict[str, str]:
    """The condition keys of S3 that are about the signature."""
    if family is not Family.S3:
        return {}
    keys = {"s3:authtype": where, "s3:signatureversion": "AWS4-HMAC-SHA256", "s3:signatureage": _milliseconds(age)}
    if declared:
        keys["s3:x-amz-content-sha256"] = declared
    return keys


def _milliseconds(age: timedelta) -> str:
    return str(max(0, age // _MILLISECOND))


def _moment(stamp: str, date: str, family: Family) -> datetime:
    """The time of an `x-amz-date`, which must lie on the day of the credential scope."""
    try:
        signed = datetime.fromisoformat(stamp) if _STAMP.fullmatch(stamp) else None
    except ValueError:
        signed = None
    if signed is None:
        if family is Family.S3:
            raise AccessDenied("AWS authentication requires a valid Date or x-amz-date header")
        raise errors.malformed(family, "X-Amz-Date is missing or not a valid time.")
    if not stamp.startswith(date):
        raise errors.malformed(family, f"the credential date {date!r} is not the date of the request {stamp!r}.")
    return signed


def _unreadable(authorization: str, family: Family) -> ServiceError:
    if family is Family.S3 and not authorization.startswith("AWS4-HMAC-SHA256"):
        return errors.InvalidRequest(
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
        )
    for part in ("Credential", "SignedHeaders", "Signature"):
        if f"{part}=" not in authorization:
            return errors.malformed(family, f"Authorization header requires '{part}' parameter.")
    return errors.malformed(family, "the Credential, SignedHeaders or Signature is not well formed.")
