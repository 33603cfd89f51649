from __future__ import annotations

import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import botocore.session
import jwt
import orjson
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import RSAAlgorithm

from tests.services.sts.conftest import ACCOUNT, People, document, refusal, trust

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cloud import Cloud

WEB = "sts:AssumeRoleWithWebIdentity"
DAY = 86400


class Issuer:
    """An OpenID Connect provider on this machine."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {}
        self.pages: dict[str, Any] = {}
        self.asked: list[str] = []
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                page = issuer.pages.get(self.path)
                self.send_response(200 if page is not None else 404)
                self.end_headers()
                self.wfile.write(orjson.dumps(page) if page is not None else b"")

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.name = self.url.partition("://")[2]
        self.pages["/.well-known/openid-configuration"] = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        self.add_key("first")
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def add_key(self, key_id: str) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.keys[key_id] = key
        public = {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": key_id, "use": "sig", "alg": "RS256"}
        self.pages.setdefault("/keys", {"keys": []})["keys"].append(public)

    def token(self, now: float, key_id: str = "first", **claims: Any) -> str:
        told = {"iss": self.url, "sub": "repo:ada", "aud": "clary", "iat": int(now), "exp": int(now) + 600, **claims}
        told = {name: value for name, value in told.items() if value is not None}
        return jwt.encode(told, self.keys[key_id], "RS256", headers={"kid": key_id})


@pytest.fixture(scope="module")
def shared_issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    yield issuer
    issuer.server.shutdown()
    issuer.server.server_close()


class World:
    """A provider that the account knows, a role that trusts it, and a client without keys."""

    def __init__(self, cloud: Cloud, people: People, issuer: Issuer) -> None:
        self.cloud = cloud
        self.people = people
        self.issuer = issuer
        self.provider = people.iam.create_open_id_connect_provider(Url=issuer.url, ClientIDList=["clary"])[
            "OpenIDConnectProviderArn"
        ]
        condition = {"StringEquals": {f"{issuer.name}:aud": "clary"}, "StringLike": {f"{issuer.name}:sub": "repo:*"}}
        trusted = trust({"Federated": self.provider}, [WEB, "sts:TagSession"], Condition=condition)
        self.role = people.role("worker", trusted, document(Action="iam:ListRoles", Resource="*"))
        self.sts = botocore.session.Session().create_client(
            "sts", "eu-west-1", endpoint_url="http://127.0.0.1:4100", config=Config(signature_version=UNSIGNED)
        )
        self.sts.meta.events.register("before-send", cloud._send)

    def token(self, **claims: Any) -> str:
        return self.issuer.token(self.cloud.clock.now().timestamp(), **claims)

    def assume(self, token: str, **more: Any) -> Any:
        return self.sts.assume_role_with_web_identity(
            RoleArn=self.role, RoleSessionName="web", WebIdentityToken=token, **more
        )

    def refused(self, token: str) -> tuple[str, str]:
        return refusal(self.assume, token=token)


@pytest.fixture
def world(cloud: Cloud, people: People, shared_issuer: Issuer) -> World:
    return World(cloud, people, shared_issuer)


def test_token_opens_a_session(world: World) -> None:
    answer = world.assume(world.token())
    assert answer["SubjectFromWebIdentityToken"] == "repo:ada"
    assert (answer["Audience"], answer["Provider"]) == ("clary", world.provider)
    session = world.cloud.client("iam", answer["Credentials"])
    assert session.list_roles()["Roles"][0]["RoleName"] == "worker"
    assert refusal(session.list_users)[0] == "AccessDenied"
    issued = answer["Credentials"]
    found = world.cloud.parts.platform.credentials.find(issued["AccessKeyId"], issued["SessionToken"])
    assert found
    assert found.principal.session_keys[f"{world.issuer.name}:sub"] == "repo:ada"
    assert found.principal.session_keys["aws:federatedprovider"] == world.provider


def test_session_tags_of_a_token(world: World) -> None:
    told = {"principal_tags": {"team": ["blue"]}, "transitive_tag_keys": ["team"]}
    answer = world.assume(world.token(**{"https://aws.amazon.com/tags": told}))
    issued = answer["Credentials"]
    found = world.cloud.parts.platform.credentials.find(issued["AccessKeyId"], issued["SessionToken"])
    assert found
    assert (found.principal.session_tags, found.principal.transitive_tags) == ({"team": "blue"}, ("team",))


@pytest.mark.parametrize("told", [[], "x", {"principal_tags": []}, {"principal_tags": {"a": "b"}}])
def test_session_tags_without_form_are_none(world: World, told: Any) -> None:
    assert "PackedPolicySize" not in world.assume(world.token(**{"https://aws.amazon.com/tags": told}))


def test_conditions_on_the_token(world: World) -> None:
    refused = ("AccessDenied", f"Not authorized to perform {WEB}")
    assert world.refused(world.token(sub="user:eve")) == refused
    world.role = f"arn:aws:iam::{ACCOUNT}:role/nobody"
    assert world.refused(world.token()) == refused


def test_role_that_trusts_another_provider(world: World) -> None:
    other = world.people.iam.create_open_id_connect_provider(Url="https://idp.example/x", ClientIDList=["clary"])
    world.role = world.people.role("other", trust({"Federated": other["OpenIDConnectProviderArn"]}, WEB))
    assert world.refused(world.token())[0] == "AccessDenied"


def test_expired_token(world: World) -> None:
    now = int(world.cloud.clock.now().timestamp())
    code, message = world.refused(world.token(exp=now - 1, iat=now - 700))
    assert code == "ExpiredTokenException"
    assert message.endswith(f" must be before the expiration date/time {now - 1}")


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"aud": "somebody else"}, "Incorrect token audience"),
        ({"aud": []}, "Incorrect token audience"),
        ({"exp": None}, "Missing a required claim: exp"),
        ({"sub": None}, "Missing a required claim: sub"),
        ({"iss": "https://idp.example"}, "No OpenIDConnect provider found in your account for https://idp.example"),
    ],
)
def test_tokens_that_are_not_for_us(world: World, claims: dict[str, Any], message: str) -> None:
    assert world.refused(world.token(**claims)) == ("InvalidIdentityToken", message)


def test_token_of_the_future(world: World) -> None:
    soon = int(world.cloud.clock.now().timestamp()) + DAY
    assert world.refused(world.token(nbf=soon, exp=soon + 600))[0] == "InvalidIdentityToken"


def test_forged_tokens(world: World) -> None:
    token = world.token()
    head, body, signature = token.split(".")
    changed = jwt.encode(jwt.decode(token, options={"verify_signature": False}) | {"sub": "repo:root"}, "x" * 32)
    unsigned = jwt.encode(jwt.decode(token, options={"verify_signature": False}), "", "none")
    elliptic = jwt.encode(
        jwt.decode(token, options={"verify_signature": False}),
        ec.generate_private_key(ec.SECP256R1()),
        "ES256",
        headers={"kid": "first"},
    )
    for forged in (
        f"{head}.{changed.split('.')[1]}.{signature}",
        f"{head}.{body}.{signature[:-4]}AAAA",
        changed,
        unsigned,
        elliptic,
        "no.token.at all",
    ):
        assert world.refused(forged)[0] == "InvalidIdentityToken", forged


def test_new_key_of_a_provider_is_fetched(world: World) -> None:
    world.assume(world.token())
    world.issuer.asked.clear()
    world.assume(world.token())
    assert world.issuer.asked == []
    world.issuer.add_key("second")
    now = world.cloud.clock.now().timestamp()
    fresh = world.issuer.token(now, "second")
    code, _ = world.refused(fresh)
    assert code == "InvalidIdentityToken"  # asked a moment ago
    world.cloud.clock.shift += timedelta(minutes=1)
    later = world.issuer.token(world.cloud.clock.now().timestamp(), "second")
    assert world.assume(later)["Credentials"]


def test_provider_that_does_not_answer(world: World) -> None:
    gone = "http://127.0.0.1:1"
    world.people.iam.create_open_id_connect_provider(Url=gone, ClientIDList=["clary"])
    world.sts.meta.events.register("needs-retry.sts.AssumeRoleWithWebIdentity", lambda **_: None)
    code, message = world.refused(world.token(iss=gone))
    assert (code, gone in message) == ("IDPCommunicationError", True)


def test_unsigned_calls_reach_nothing_else(world: World) -> None:
    assert refusal(world.sts.get_caller_identity)[0] == "MissingAuthenticationToken"


def test_saml_is_refused_clearly(world: World) -> None:
    arguments = {"RoleArn": world.role, "PrincipalArn": world.role, "SAMLAssertion": "aaaa"}
    code, message = refusal(world.sts.assume_role_with_saml, **arguments)
    assert (code, "AssumeRoleWithSAML" in message) == ("NotImplemented", True)
