"""Objects: the bytes that S3 keeps, and the index that tells which are there."""

from clary.store.objects.checksums import Checksum
from clary.store.objects.index import NewObject
from clary.store.objects.listing import Page, PageQuery
from clary.store.objects.objects import Objects, chunks
from clary.store.objects.version import NULL_VERSION, Content, Meta, Part, Protection, Upload, Version, Versioning

__all__ = [
    "NULL_VERSION",
    "Checksum",
    "Content",
    "Meta",
    "NewObject",
    "Objects",
    "Page",
    "PageQuery",
    "Part",
    "Protection",
    "Upload",
    "Version",
    "Versioning",
    "chunks",
]
