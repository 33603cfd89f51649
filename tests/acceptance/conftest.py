from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.acceptance.workbench import Workbench

if TYPE_CHECKING:
    from tests.server import ClaryServer


@pytest.fixture(scope="session")
def bench(server: ClaryServer) -> Workbench:
    return Workbench(server)
