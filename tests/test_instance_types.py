from __future__ import annotations

import pytest

from clary.instance_types import GIB, lookup, offered


@pytest.mark.parametrize(
    ("name", "vcpus", "gib", "gpus"),
    [
        ("ml.m5.large", 2, 8, 0),
        ("ml.m4.xlarge", 4, 16, 0),
        ("ml.c5.2xlarge", 8, 16, 0),
        ("r5.24xlarge", 96, 768, 0),
        ("t3.medium", 2, 4, 0),
        ("ml.p3.2xlarge", 8, 61, 1),
        ("m6g.medium", 1, 4, 0),
    ],
)
def test_sizes_are_those_that_aws_publishes(name: str, vcpus: int, gib: float, gpus: int) -> None:
    found = lookup(name)
    assert found is not None
    assert (found.vcpus, found.memory_bytes / GIB, found.gpus) == (vcpus, gib, gpus)


@pytest.mark.parametrize("name", ["my-box", "m5", "m5.huge", "local", ""])
def test_other_names_are_unknown(name: str) -> None:
    assert lookup(name) is None


def test_every_offered_type_is_known_once() -> None:
    names = [found.name for found in offered()]
    assert len(names) == len(set(names)) > 100
