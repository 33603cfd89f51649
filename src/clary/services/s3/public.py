"""Whether a bucket policy opens the bucket to the public.

Source: "The meaning of 'public'", in "Blocking public access to your Amazon S3 storage", Amazon S3 user guide.
"""

from __future__ import annotations

import json
from functools import lru_cache
from ipaddress import IPv4Network, ip_network
from typing import TYPE_CHECKING, Any

from clary.auth.policy import as_list

if TYPE_CHECKING:
    from clary.services.service import Document, Members

_NARROWING = frozenset(
    {
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalorgid",
        "aws:principalorgpaths",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourceip",
        "aws:sourceorgid",
        "aws:sourceowner",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:userid",
        "s3:dataaccesspointaccount",
        "s3:dataaccesspointarn",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
    }
)
"""Keys that keep a statement for everybody from being public when a condition fixes their value."""

_FIXING = frozenset(
    (
        "StringEquals",
        "StringEqualsIgnoreCase",
        "StringLike",
        "ArnEquals",
        "ArnLike",
        "IpAddress",
        "ForAnyValue:StringLike",
    )
)
_WIDEST_IPV4, _WIDEST_IPV6 = 8, 32
"""Networks with shorter prefixes are as good as everybody."""

_REMEMBERED = 1000


@lru_cache(_REMEMBERED)
def is_public(text: str) -> bool:
    """Whether a policy allows something to everybody."""
    return any(_opens(statement) for statement in _statements(text))


@lru_cache(_REMEMBERED)
def denials(text: str) -> str:
    """The policy without what it allows."""
    denying = [each for each in _statements(text) if each.get("Effect") == "Deny"]
    return json.dumps({**json.loads(text), "Statement": denying})


def _statements(text: str) -> list[Document]:
    return as_list(json.loads(text).get("Statement", []))


def _opens(statement: Document) -> bool:
    if statement.get("Effect") != "Allow":
        return False
    if "NotPrincipal" not in statement:
        principal = statement.get("Principal")
        named = as_list(principal.get("AWS", [])) if isinstance(principal, dict) else [principal]
        if "*" not in named:
            return False
    conditions = statement.get("Condition") or {}
    return not any(_narrows(operator, block) for operator, block in conditions.items())


def _narrows(operator: str, block: Members) -> bool:
    if operator not in _FIXING:
        return False
    return any(
        key.lower() in _NARROWING and all(_is_fixed(key.lower(), value) for value in as_list(values))
        for key, values in block.items()
    )


def _is_fixed(key: str, value: Any) -> bool:
    """Whether a value leaves no room: no variable, no wildcard (save behind the id of a role), no wide network."""
    text = str(value)
    if key == "aws:sourceip":
        return _is_narrow(text)
    if key == "aws:userid":
        text = text.removesuffix(":*")
    return not any(mark in text for mark in ("*", "?", "${"))


def _is_narrow(text: str) -> bool:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return False
    return network.prefixlen >= (_WIDEST_IPV4 if isinstance(network, IPv4Network) else _WIDEST_IPV6)
