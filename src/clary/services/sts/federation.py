"""Sessions of roles for people and programs that an identity provider knows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from clary.auth.check import Check
from clary.auth.credentials import role_session
from clary.context import ANONYMOUS
from clary.errors import AccessDenied
from clary.services.service import in_thread
from clary.services.sts.access import find_role, tag_keys
from clary.services.sts.identity_tokens import Identity, IdentityTokens
from clary.services.sts.key_sets import KeySets
from clary.services.sts.roles import answered, refuse_unsupported, role_duration
from clary.services.sts.session import packed_size, session_policies, session_tags

if TYPE_CHECKING:
    from clary.api import sts as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document
    from clary.store.records import Record

_ACTION = "sts:AssumeRoleWithWebIdentity"


class Federation:
    """Taking on roles by tokens of identity providers, which takes no signature."""

    def __init__(self, platform: Platform) -> None:
        self._records = platform.records
        self._credentials = platform.credentials
        self._authorizer = platform.authorizer
        self._tokens = IdentityTokens(platform.records, KeySets(platform.clock))

    @in_thread
    def assume_role_with_web_identity(self, ctx: Context, request: api.AssumeRoleWithWebIdentityRequest) -> Document:
        """Credentials of a role whose trust policy names the issuer of the token."""
        refuse_unsupported(request)
        identity = self._tokens.verify(ctx.account, request["WebIdentityToken"], ctx.now)
        role = find_role(self._records, request["RoleArn"])
        self._refuse_untrusted(ctx, role, identity, request["RoleSessionName"])
        assert role is not None  # noqa: S101  # one that is not there trusts nobody
        unsigned = replace(ctx, principal=ANONYMOUS)  # whoever signed it all the same passes nothing on
        duration = timedelta(seconds=role_duration(unsigned, role, request))
        policies = session_policies(self._records, request)
        tags, transitive = session_tags(unsigned, identity.tags)
        size = packed_size(policies, tags)
        principal = replace(
            role_session(role, request["RoleSessionName"], policies, tags),
            transitive_tags=transitive,
            source_identity=identity.source_identity,
            session_keys=identity.keys,
        )
        answer = {
            **answered(principal, self._credentials.issue(principal, duration)),
            "SubjectFromWebIdentityToken": identity.subject,
            "Audience": identity.audience,
            "Provider": identity.provider.arn,
        }
        return {**answer, "PackedPolicySize": size} if policies or tags else answer

    def _refuse_untrusted(self, ctx: Context, role: Record | None, identity: Identity, session_name: str) -> None:
        if role is None:
            raise AccessDenied(f"Not authorized to perform {_ACTION}")
        keys = {**identity.keys, **tag_keys(identity.tags), "sts:RoleSessionName": session_name}
        actions = [_ACTION]
        if identity.tags.get("Tags"):
            actions.append("sts:TagSession")
        if identity.source_identity:
            actions.append("sts:SetSourceIdentity")
            keys["sts:SourceIdentity"] = identity.source_identity
        trust = (str(role.spec["AssumeRolePolicyDocument"]),)
        checks = [Check(action, role.arn, keys, trust, role.account, trust=True) for action in actions]
        caller = replace(ANONYMOUS, user_id=identity.subject, session_keys=identity.keys)
        try:
            self._authorizer.authorize(replace(ctx, principal=caller), checks)
        except AccessDenied as error:
            raise AccessDenied(f"Not authorized to perform {_ACTION}") from error
