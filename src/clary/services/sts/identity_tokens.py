"""Tokens of OpenID Connect providers: who issued them, for whom, and whether they are genuine and still valid.

Source: "OpenID Connect Core 1.0", section 3.1.3.7, and "OpenID Connect Discovery 1.0"; "AssumeRoleWithWebIdentity",
AWS STS API reference; "Available keys for AWS web identity federation", IAM user guide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt

from clary.auth import entities
from clary.services.sts.errors import ExpiredTokenException, InvalidIdentityToken

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from clary.services.sts.key_sets import KeySets
    from clary.store.records import Record, Records

_ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")
_LEEWAY_S = 300
"""By how much the clock of a provider may be ahead."""
_CONDITION_CLAIMS = (
    "sub", "email", "actor", "repository", "repository_owner", "ref", "environment", "job_workflow_ref", "workflow",
)  # fmt: skip
"""Claims that become condition keys, those of GitHub among them, when they are text."""
_AWS = "https://aws.amazon.com/"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a verified token tells."""

    provider: Record
    subject: str
    audience: str
    claims: Mapping[str, Any]

    @property
    def keys(self) -> dict[str, str]:
        """The condition keys, in lower case; those of the provider begin with its address without scheme."""
        told = {"aud": self.audience}
        told |= {claim: self.claims[claim] for claim in _CONDITION_CLAIMS if isinstance(self.claims.get(claim), str)}
        if "azp" in self.claims and isinstance(self.claims.get("aud"), str):
            told["oaud"] = self.claims["aud"]
        keys = {f"{self.provider.name}:{claim}".lower(): value for claim, value in told.items()}
        return {**keys, "aws:federatedprovider": self.provider.arn}

    @property
    def source_identity(self) -> str:
        """The source identity that the provider sets."""
        return str(self.claims.get(f"{_AWS}source_identity", ""))

    @property
    def tags(self) -> dict[str, Any]:
        """The session tags that the provider sets, as AssumeRole would be told them."""
        told = self.claims.get(f"{_AWS}tags")
        given = told.get("principal_tags") if isinstance(told, dict) else None
        if not isinstance(told, dict) or not isinstance(given, dict):
            return {}
        tags = [
            {"Key": key, "Value": str(values[0])}
            for key, values in given.items()
            if isinstance(values, list) and values
        ]
        transitive = told.get("transitive_tag_keys")
        return {"Tags": tags, "TransitiveTagKeys": list(map(str, transitive)) if isinstance(transitive, list) else []}


class IdentityTokens:
    """Verifies the tokens of the account's OpenID Connect providers."""

    def __init__(self, records: Records, key_sets: KeySets) -> None:
        self._records = records
        self._key_sets = key_sets

    def verify(self, account: str, token: str, now: datetime) -> Identity:
        """What a genuine token tells.

        Raises:
            InvalidIdentityToken: it is none, or of no provider of the account, or meant for somebody else.
            ExpiredTokenException: it is too old.
            IDPCommunicationError: the keys of the provider cannot be fetched.
        """
        header, unverified = _opened(token)
        provider = self._provider(account, str(unverified.get("iss", "")))
        key = self._key_sets.key(provider.spec["Url"], str(header.get("kid", "")))
        try:
            claims = jwt.decode(token, key, algorithms=_ALGORITHMS, options=_ONLY_SIGNATURE)
        except (jwt.PyJWTError, TypeError, ValueError) as error:
            raise InvalidIdentityToken("Token signature invalid") from error
        _refuse_expired(claims, now)
        if not isinstance(claims.get("sub"), str) or not claims["sub"]:
            raise InvalidIdentityToken("Missing a required claim: sub")
        return Identity(provider, claims["sub"], _audience(provider, claims), claims)

    def _provider(self, account: str, issuer: str) -> Record:
        name = issuer.partition("://")[2]
        provider = self._records.get(entities.OIDC_PROVIDER, account, "", name) if name else None
        if provider is None or provider.spec["Url"] != issuer:
            raise InvalidIdentityToken(f"No OpenIDConnect provider found in your account for {issuer}")
        return provider


_ONLY_SIGNATURE: Any = {
    "verify_signature": True, "verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False,
    "verify_iss": False, "verify_sub": False, "verify_jti": False,
}  # fmt: skip
"""The other claims are compared with the clock of the platform and the records of the account."""


def _opened(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    try:
        unverified = jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError) as error:
        raise InvalidIdentityToken(
            "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
        ) from error  # AWS's sentence
    return unverified["header"], unverified["payload"]


def _refuse_expired(claims: Mapping[str, Any], now: datetime) -> None:
    moment = int(now.timestamp())
    for claim in ("exp", "iat"):
        if not isinstance(claims.get(claim), int | float):
            raise InvalidIdentityToken(f"Missing a required claim: {claim}")
    if moment >= claims["exp"]:
        raise ExpiredTokenException(
            f"Token expired: current date/time {moment} must be before the expiration date/time {int(claims['exp'])}"
        )
    begin = claims.get("nbf", claims["iat"])
    if isinstance(begin, int | float) and begin > moment + _LEEWAY_S:
        raise InvalidIdentityToken(f"Token is not valid before {int(begin)}")


def _audience(provider: Record, claims: Mapping[str, Any]) -> str:
    """For whom the token was made: the authorized party, or else the audience."""
    listed = claims.get("aud", [])
    given = [listed] if isinstance(listed, str) else [each for each in listed if isinstance(each, str)]
    if isinstance(claims.get("azp"), str):
        given.insert(0, claims["azp"])
    for audience in given:
        if audience in provider.spec.get("ClientIDList", ()):
            return audience
    raise InvalidIdentityToken("Incorrect token audience")
