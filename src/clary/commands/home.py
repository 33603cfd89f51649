"""What commands read of a home folder, whether the platform runs or not."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clary.settings import Settings, load
from clary.store.audit import FOLDER, Index, open_index
from clary.store.database import DatabaseError
from clary.store.engines import open_database, place
from clary.store.records import Records

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Home:
    """The records and the audit log of a platform."""

    settings: Settings
    records: Records
    audit: Index


@contextmanager
def opened(options: argparse.Namespace) -> Iterator[Home]:
    """The home folder that the options name.

    Raises:
        ValueError: there is no platform in it, or it cannot be read.
    """
    settings = load(os.environ, home=options.home)
    if not (settings.home / FOLDER).is_dir():
        raise ValueError(f"nothing was ever asked of a platform in {settings.home}")
    with ExitStack() as stack:
        try:
            database = stack.enter_context(closing(open_database(settings)))
            index = stack.enter_context(closing(open_index(settings, database)))
        except (DatabaseError, OSError) as error:
            raise ValueError(f"{place(settings)} cannot be used: {error}") from error
        yield Home(settings, Records(database), index)
