"""Whatever was answered before a kill is in the audit log after it, once."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from clary.store.audit import Event, Index, IndexFile, Search, segments, verify
from tests.conftest import short_home
from tests.server import ClaryServer

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 3
CALLERS = 4
CALLS = 60
"""After so many answers of a round the server is killed."""


@pytest.fixture(params=["0", "2"], ids=["one process", "gateways"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClaryServer]:
    own = ClaryServer(short_home(tmp_path_factory), settings={"CLARY_GATEWAYS": request.param})
    own.start()
    yield own
    own.stop()


class Callers:
    """Threads that call without a pause until the server is gone, and remember what was answered."""

    def __init__(self, server: ClaryServer) -> None:
        self.answered: list[str] = []
        self.enough = threading.Event()
        self._server = server
        self._threads = [threading.Thread(target=self._call, args=(number,)) for number in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _call(self, number: int) -> None:
        s3, iam = self._server.client("s3"), self._server.client("iam")
        try:
            for count in range(100_000):
                self._remember(s3.put_object(Bucket="burst", Key=f"{number}/{count}", Body=b"x"))
                try:
                    iam.get_user(UserName="nobody")
                except ClientError as error:
                    self._remember(error.response)
        except (BotoCoreError, HTTPClientError):
            return

    def _remember(self, response: Any) -> None:
        self.answered.append(response["ResponseMetadata"]["RequestId"])
        if len(self.answered) >= CALLS:
            self.enough.set()


def test_every_answered_call_is_in_the_log_once(server: ClaryServer) -> None:
    server.client("s3").create_bucket(Bucket="burst")
    answered: list[str] = []
    for _ in range(ROUNDS):
        callers = Callers(server)
        assert callers.enough.wait(60)
        server.kill()
        callers.join()
        answered += callers.answered
        server.start()
    folder = server.home / "audit"
    lines = Counter(Event.of(line.body).id for name in segments.names(folder) for line in segments.lines(folder / name))
    assert [identifier for identifier in answered if lines[identifier] != 1] == []
    file = IndexFile(folder / "index.db")
    index = Index(file, folder)
    found = Counter(event.id for event in index.all(Search()))
    assert [identifier for identifier in answered if found[identifier] != 1] == []
    assert verify(folder, index.known()).damages == ()
    file.close()
