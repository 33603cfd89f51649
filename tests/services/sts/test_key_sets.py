from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from clary.errors import ServiceError
from clary.services.sts.key_sets import KeySets

if TYPE_CHECKING:
    from collections.abc import Iterator

DISCOVERY = "/.well-known/openid-configuration"


class HandClock:
    def __init__(self) -> None:
        self.time = datetime(2026, 3, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time


class Site:
    """A web server whose pages a test writes: a document, or an address to which it sends on."""

    def __init__(self) -> None:
        self.pages: dict[str, Any] = {}
        self.asked: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                page = site.pages.get(self.path)
                is_address = isinstance(page, str)
                self.send_response(404 if page is None else 302 if is_address else 200)
                if isinstance(page, str):
                    self.send_header("location", page)
                self.end_headers()
                if page is not None and not is_address:
                    self.wfile.write(page if isinstance(page, bytes) else orjson.dumps(page))

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def offer(self, *keys: dict[str, Any]) -> None:
        self.pages = {DISCOVERY: {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}, "/keys": {"keys": list(keys)}}


def public(key_id: str) -> dict[str, Any]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    return {**RSAAlgorithm.to_jwk(key, as_dict=True), "kid": key_id}


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def sets(clock: HandClock) -> KeySets:
    return KeySets(clock)


def refused(sets: KeySets, site: Site, key_id: str = "one") -> str:
    with pytest.raises(ServiceError) as caught:
        sets.key(site.url, key_id)
    return caught.value.code


def test_keys_are_remembered(sets: KeySets, site: Site, clock: HandClock) -> None:
    site.offer(public("one"), public("two"))
    assert sets.key(site.url, "one") is not sets.key(site.url, "two")
    assert len(site.asked) == 2
    clock.time += timedelta(hours=2)
    assert sets.key(site.url, "one")
    assert len(site.asked) == 4


def test_key_without_a_name(sets: KeySets, site: Site, clock: HandClock) -> None:
    site.offer(public("one"))
    assert sets.key(site.url, "")
    site.offer(public("one"), public("two"))
    clock.time += timedelta(hours=2)
    assert refused(sets, site, "") == "InvalidIdentityToken"


def test_unknown_keys_and_failures_are_asked_for_now_and_then(sets: KeySets, site: Site, clock: HandClock) -> None:
    for _ in range(3):
        assert refused(sets, site) == "InvalidIdentityToken"
    assert len(site.asked) == 1
    site.offer(public("one"))
    clock.time += timedelta(seconds=31)
    assert sets.key(site.url, "one")
    asked = len(site.asked)
    for _ in range(3):
        assert refused(sets, site, "guess") == "InvalidIdentityToken"
    assert len(site.asked) == asked


def test_shared_secrets_are_no_keys(sets: KeySets, site: Site) -> None:
    site.offer({"kty": "oct", "kid": "one", "k": "c2VjcmV0"})
    assert refused(sets, site) == "InvalidIdentityToken"


@pytest.mark.parametrize(
    "page", [b"no json", [], {}, {"issuer": "https://other.example", "jwks_uri": "https://other.example"}]
)
def test_discovery_that_cannot_be_used(sets: KeySets, site: Site, page: Any) -> None:
    site.pages[DISCOVERY] = page
    assert refused(sets, site) == "InvalidIdentityToken"


def test_keys_elsewhere(sets: KeySets, site: Site) -> None:
    site.offer(public("one"))
    site.pages[DISCOVERY]["jwks_uri"] = "http://keys.example/keys"
    assert refused(sets, site) == "InvalidIdentityToken"
    site.pages["/moved"] = site.pages["/keys"]
    site.offer(public("one"))
    site.pages["/keys"] = f"{site.url}/moved"
    assert refused(KeySets(HandClock()), site) == "InvalidIdentityToken"
    assert "/moved" not in site.asked
