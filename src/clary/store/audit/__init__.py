"""The audit log: every call in files that only grow, and an index in which to search them."""

from __future__ import annotations

from clary.store.audit.event import Event, Who
from clary.store.audit.index import Index
from clary.store.audit.opening import FOLDER, IndexFile, open_index
from clary.store.audit.search import Page, Search
from clary.store.audit.segments import Segments
from clary.store.audit.verification import Damage, Verified, verify

__all__ = [
    "FOLDER",
    "Damage",
    "Event",
    "Index",
    "IndexFile",
    "Page",
    "Search",
    "Segments",
    "Verified",
    "Who",
    "open_index",
    "verify",
]
