"""Which condition keys policies ask for, so that a simulation can be given values."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from clary.auth import entities, policy
from clary.services.iam.directory import Directory
from clary.services.iam.errors import InvalidInput, NoSuchEntity
from clary.services.service import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clary.api import iam as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document

_VARIABLE = re.compile(r"\$\{([^},]+)")
_LITERALS = frozenset("*?$")


class ContextKeys:
    """The keys in conditions and variables of policies."""

    def __init__(self, platform: Platform) -> None:
        self._directory = Directory(platform)

    @in_thread
    def get_context_keys_for_custom_policy(
        self,
        ctx: Context,  # noqa: ARG002  # as all handlers
        request: api.GetContextKeysForCustomPolicyRequest,
    ) -> Document:
        """The keys of the given policies."""
        return {"ContextKeyNames": _keys(request["PolicyInputList"])}

    @in_thread
    def get_context_keys_for_principal_policy(
        self,
        ctx: Context,  # noqa: ARG002  # as all handlers
        request: api.GetContextKeysForPrincipalPolicyRequest,
    ) -> Document:
        """The keys of the policies of a user, with those of its groups, of a group or role, and of the given ones."""
        records = self._directory.records
        source = records.by_arn(request["PolicySourceArn"])
        if source is None or source.kind not in (entities.USER, entities.GROUP, entities.ROLE):
            raise NoSuchEntity(f"The entity with ARN {request['PolicySourceArn']} cannot be found.")
        granted = [document for _, document in entities.granted(records, source)]
        return {"ContextKeyNames": _keys([*granted, *request.get("PolicyInputList", ())])}


def _keys(documents: Iterable[str]) -> list[str]:
    """In the order of their first use, each once, in capitals or not."""
    found: dict[str, str] = {}
    for document in documents:
        try:
            policy.parse(document)
        except policy.InvalidPolicy as error:
            raise InvalidInput(str(error)) from error
        for statement in policy.as_list(json.loads(document)["Statement"]):
            for key in _of_statement(statement):
                found.setdefault(key.lower(), key)
    return list(found.values())


def _of_statement(statement: Any) -> Iterator[str]:
    for operands in statement.get("Condition", {}).values():
        yield from operands
    for variable in _VARIABLE.findall(json.dumps(statement)):
        if variable.strip() not in _LITERALS:
            yield variable.strip()
