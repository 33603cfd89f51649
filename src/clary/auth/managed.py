"""The managed policies of AWS that people attach most: documents of our own that grant what theirs grant here."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

CREATED = datetime(2015, 2, 6, 18, 40, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ManagedPolicy:
    """A policy that AWS keeps for everybody."""

    name: str
    path: str
    description: str
    document: str

    @property
    def arn(self) -> str:
        """Its ARN, in the account `aws`."""
        return f"arn:aws:iam::aws:policy{self.path}{self.name}"

    @property
    def policy_id(self) -> str:
        """Its unique id: the same in every installation."""
        digest = base64.b32encode(hashlib.sha256(self.name.encode()).digest()).decode()
        return f"ANPA{digest[:17]}"


def _load() -> dict[str, ManagedPolicy]:
    text = files("clary.auth").joinpath("managed_policies.json").read_text("utf-8")
    policies = [_policy(name, members) for name, members in json.loads(text).items()]
    return {policy.arn: policy for policy in policies}


def _policy(name: str, members: Mapping[str, Any]) -> ManagedPolicy:
    document = json.dumps({"Version": "2012-10-17", "Statement": members["Statement"]})
    return ManagedPolicy(name, members["Path"], members["Description"], document)


AWS_MANAGED: Mapping[str, ManagedPolicy] = _load()
"""By ARN."""
