"""Opens the objects where the settings say that they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.store.objects.folder import Folder
from clary.store.objects.objects import Objects
from clary.store.objects.sealing import Seals

if TYPE_CHECKING:
    from clary.settings import Settings
    from clary.store.database import Database
    from clary.store.keyring import Keyring


def open_objects(settings: Settings, database: Database, keyring: Keyring) -> Objects:
    """The objects of a platform.

    Raises:
        ValueError: the setting `objects` names no place, or one that cannot be used.
    """
    folder = settings.home / "objects"
    files = Folder(folder, durable=settings.durability == "disk")
    return Objects(database, files, Seals(keyring, encrypt=settings.encrypt), folder)
