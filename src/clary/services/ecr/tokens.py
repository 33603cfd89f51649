"""Passwords for container tools."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from clary.registry_access import USER, VALID, password

from .family import Family

if TYPE_CHECKING:
    from clary.api import ecr as api
    from clary.context import Context
    from clary.services.service import Document


class Tokens(Family):
    """Letting container tools in."""

    def get_authorization_token(self, ctx: Context, request: api.GetAuthorizationTokenRequest) -> Document:
        """A password for twelve hours, for one registry or, as nobody needs more, each that is named."""
        token = base64.b64encode(f"{USER}:{password(self._credentials, ctx.principal, ctx.region)}".encode()).decode()
        until = (ctx.now + VALID).replace(microsecond=0)
        data = {"authorizationToken": token, "expiresAt": until, "proxyEndpoint": ctx.endpoint}
        return {"authorizationData": [data for _ in request.get("registryIds") or (ctx.account,)]}
