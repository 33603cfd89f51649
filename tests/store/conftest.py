from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from clary.store.postgres import PostgresDatabase
from clary.store.sqlite import SqliteDatabase
from tests.postgres import PostgresServer, programs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.store.database import Database

ENGINES = ("sqlite", "postgres")
NAMES = itertools.count(1)

Open = Callable[[], "Database"]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL for all tests of a session."""
    found = programs()
    if found is None:
        # Where everything must be checked, nothing is left out silently.
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse("there is no PostgreSQL on this machine; Debian's package is postgresql")
    with running(found) as server:
        yield server


@pytest.fixture
def own(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """A PostgreSQL that a test may stop."""
    with running(postgres.programs) as server:
        yield server


@contextmanager
def running(programs: Path) -> Iterator[PostgresServer]:
    # Sockets need a short path, and another user must be able to get there.
    with TemporaryDirectory(prefix="clary-pg-") as folder:
        Path(folder).chmod(0o711)
        server = PostgresServer(programs, Path(folder) / "s")
        server.make()
        server.start()
        yield server
        server.stop()


@contextmanager
def opening(request: pytest.FixtureRequest, folder: Path) -> Iterator[Open]:
    opened: list[Database] = []
    if request.param == "sqlite":

        def make() -> Database:
            return SqliteDatabase(folder / "clary.db", shared=True)
    else:
        url = request.getfixturevalue("postgres").schema(f"test_{next(NAMES)}")

        def make() -> Database:
            return PostgresDatabase(url)

    def open_it() -> Database:
        opened.append(make())
        return opened[-1]

    yield open_it
    for database in opened:
        database.close()


@pytest.fixture(params=ENGINES)
def open_same(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens one and the same database each time, as several processes would."""
    with opening(request, tmp_path) as open_it:
        yield open_it


@pytest.fixture(scope="module", params=ENGINES)
def shared_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One for all examples of a property."""
    with opening(request, tmp_path_factory.mktemp("shared")) as open_it:
        yield open_it()


@pytest.fixture
def database(open_same: Open) -> Database:
    """A database of each engine."""
    return open_same()
