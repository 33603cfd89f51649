"""The audit log: every call in files that only grow, and an index in which to search them."""

from __future__ import annotations

from clary.store.audit.event import Event, Who
from clary.store.audit.index import Index, IndexFile
from clary.store.audit.search import Page, Search
from clary.store.audit.segments import Segments
from clary.store.audit.verification import Damage, Verified, verify

__all__ = ["Damage", "Event", "Index", "IndexFile", "Page", "Search", "Segments", "Verified", "Who", "verify"]
