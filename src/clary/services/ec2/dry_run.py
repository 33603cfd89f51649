"""Calls that only ask whether they would be allowed."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from clary.services.service import Service

from .errors import DryRunOperation

if TYPE_CHECKING:
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Handler


class DryRunService(Service):
    """A service whose every operation takes `DryRun`; permission was checked before any handler is called."""

    def handlers(self, platform: Platform) -> dict[str, Handler]:
        """The handlers, each of which stops at a dry run."""
        return {name: _stops_at_dry_run(handler) for name, handler in super().handlers(platform).items()}


def _stops_at_dry_run(handler: Handler) -> Handler:
    @wraps(handler)
    def guarded(ctx: Context, request: Document) -> Any:
        if request.get("DryRun"):
            raise DryRunOperation("Request would have succeeded, but DryRun flag is set.")
        return handler(ctx, request)

    return guarded
