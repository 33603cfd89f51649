"""The public keys of OpenID Connect providers, fetched from where the providers publish them."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import jwt
import orjson

from clary.auth.issuers import is_local, is_trustworthy
from clary.errors import ServiceError
from clary.services.sts.errors import IDPCommunicationError, InvalidIdentityToken

if TYPE_CHECKING:
    from clary.clock import Clock

_FRESH = timedelta(hours=1)
_RETRY = timedelta(seconds=30)
"""How soon an issuer is asked again because a token names a key that is not there."""
_TIMEOUT_S = 5
_LIMIT_BYTES = 1 << 20
_NOT_RETRIEVED = (
    "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity "
    "documentation for requirements"
)


@dataclass(slots=True)
class _KeySet:
    """What is known of one issuer; `failure` is why the last attempt brought nothing."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    asked: datetime | None = None
    keys: dict[str, Any] = field(default_factory=dict)
    failure: ServiceError | None = None


class KeySets:
    """Keys by issuer and id, remembered for a while, as are failures: anybody may send tokens, so they cost little."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sets: dict[str, _KeySet] = {}

    def key(self, issuer: str, key_id: str) -> Any:
        """The public key with which the issuer signs; without an id, its only key.

        Raises:
            InvalidIdentityToken: there is none, or what the issuer publishes cannot be read.
            IDPCommunicationError: the issuer does not answer.
        """
        with self._lock:
            known = self._sets.setdefault(issuer, _KeySet())
        with known.lock:
            self._refresh(issuer, known, key_id)
            keys, failure = known.keys, known.failure
        if key_id in keys:
            return keys[key_id]
        if not key_id and len(keys) == 1:
            return next(iter(keys.values()))
        raise failure or InvalidIdentityToken(_NOT_RETRIEVED)

    def _refresh(self, issuer: str, known: _KeySet, key_id: str) -> None:
        now = self._clock.now()
        age = now - known.asked if known.asked else None
        if age is not None and age < (_FRESH if key_id in known.keys else _RETRY):
            return
        known.asked = now
        try:
            known.keys, known.failure = _published(issuer), None
        except ServiceError as error:
            known.failure = error


def _published(issuer: str) -> dict[str, Any]:
    discovery = _fetch(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    address = str(discovery.get("jwks_uri", ""))
    if discovery.get("issuer") != issuer or (is_local(address) and not is_local(issuer)):
        raise InvalidIdentityToken(_NOT_RETRIEVED)
    published = _fetch(address).get("keys")
    try:
        keys = jwt.PyJWKSet(published if isinstance(published, list) else []).keys
    except jwt.PyJWTError as error:
        raise InvalidIdentityToken(_NOT_RETRIEVED) from error
    # A shared secret is no public key: whoever knows it could sign.
    return {key.key_id or "": key.key for key in keys if key.key_type in ("RSA", "EC")}


def _fetch(url: str) -> dict[str, Any]:
    if not is_trustworthy(url):
        raise InvalidIdentityToken(_NOT_RETRIEVED)
    proxies = [urllib.request.ProxyHandler({})] if is_local(url) else []
    opener = urllib.request.build_opener(_NoRedirect, *proxies)
    try:
        with opener.open(url, timeout=_TIMEOUT_S) as answer:
            document = orjson.loads(answer.read(_LIMIT_BYTES))
    except urllib.error.HTTPError as error:
        error.close()
        raise InvalidIdentityToken(_NOT_RETRIEVED) from error
    except OSError as error:
        raise IDPCommunicationError(f"The identity provider at {url} could not be reached.") from error
    except ValueError as error:
        raise InvalidIdentityToken(_NOT_RETRIEVED) from error
    if not isinstance(document, dict):
        raise InvalidIdentityToken(_NOT_RETRIEVED)
    return document


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A provider that sends elsewhere could send anywhere, so its redirections are errors."""

    def redirect_request(self, *_: Any) -> None:
        return None
