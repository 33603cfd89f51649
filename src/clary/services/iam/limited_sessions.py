"""Sessions that may not call IAM at all.

Source: "Compare AWS STS credentials", IAM user guide: federated users never, users and root with the credentials of
GetSessionToken only when these tell of a second factor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.auth.errors import Family, unknown_key
from clary.context import PrincipalKind

if TYPE_CHECKING:
    from clary.context import Context


def refuse_limited_session(ctx: Context) -> None:
    """Accepts the credentials of users, roles and services that may call IAM.

    Raises:
        InvalidClientTokenId: they are of a session that may not, as AWS says it.
    """
    principal = ctx.principal
    is_own = principal.kind in (PrincipalKind.USER, PrincipalKind.ROOT) and principal.access_key.startswith("ASIA")
    if principal.kind is PrincipalKind.FEDERATED_USER or (is_own and principal.mfa_at is None):
        raise unknown_key(Family.QUERY, principal.access_key)
