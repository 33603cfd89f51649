"""The parts of the running platform, built in `app` and passed by argument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clary.auth.authorize import Authorizer
    from clary.auth.credentials import Credentials
    from clary.clock import Clock
    from clary.invoke import Invoker
    from clary.protocol.model import Models
    from clary.proxy import Proxy
    from clary.settings import Settings
    from clary.store.audit import Index
    from clary.store.keyring import Keyring
    from clary.store.logs import Logs
    from clary.store.metrics import Metrics
    from clary.store.objects import Objects
    from clary.store.records import Records
    from clary.store.spool import Spool


@dataclass(slots=True)
class Platform:
    """Everything a service or controller may use; tests build one with a temporary folder and a clock of their own."""

    settings: Settings
    clock: Clock
    records: Records
    objects: Objects
    logs: Logs
    metrics: Metrics
    spool: Spool
    proxy: Proxy
    invoke: Invoker
    models: Models
    credentials: Credentials
    authorizer: Authorizer
    audit: Index
    keyring: Keyring
    sandboxes: bool = True
    """Whether this machine gives workloads a view of the disk of their own; instances cannot do without."""
    engine: str = ""
    """Socket of the container engine that runs images of one's own; empty where sandboxes do, or nothing does."""
