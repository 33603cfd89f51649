from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from clary.services.ec2 import filters
from clary.services.ec2.errors import InvalidNextToken, InvalidParameterValue

KNOWN = filters.table("Name", {"state": "State.Name", "group": "Groups.Id"})
WORDS = some.text("ab*?", max_size=4)


@given(text=some.text("ab", max_size=4), pattern=WORDS)
def test_wildcards_mean_what_they_mean_in_a_shell(text: str, pattern: str) -> None:
    found = filters.select([{"Name": text}], [{"Name": "name", "Values": [pattern]}], KNOWN)
    assert bool(found) == fnmatchcase(text, pattern)


def test_many_wildcards_do_not_hold_the_platform_up() -> None:
    wanted = [{"Name": "name", "Values": ["*a" * 20 + "*b"]}]
    assert not list(filters.select([{"Name": "a" * 255}], wanted, KNOWN))


@given(text=some.text(max_size=8))
def test_a_backslash_takes_the_meaning_away(text: str) -> None:
    quoted = text.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?")
    assert filters.select([{"Name": text}], [{"Name": "name", "Values": [quoted]}], KNOWN)


@given(count=some.integers(0, 30), limit=some.integers(1, 12))
def test_pages_join_to_the_whole(count: int, limit: int) -> None:
    items: list[dict[str, Any]] = [{"Name": str(number)} for number in range(count)]
    joined: list[dict[str, Any]] = []
    token = None
    while True:
        answer = filters.describe("Things", items, {"MaxResults": limit, "NextToken": token}, KNOWN)
        assert len(answer["Things"]) <= limit
        joined += answer["Things"]
        token = answer.get("NextToken")
        if token is None:
            break
    assert joined == items


def test_filters_reach_into_structures_and_lists() -> None:
    items = [
        {"Name": "a", "State": {"Name": "on"}, "Groups": [{"Id": "1"}, {"Id": "2"}]},
        {"Name": "b", "State": {"Name": "off"}, "Groups": [], "Tags": [{"Key": "k", "Value": "v"}]},
    ]

    def names(*asked: tuple[str, str]) -> list[str]:
        found = filters.select(items, [{"Name": name, "Values": [value]} for name, value in asked], KNOWN)
        return [str(item["Name"]) for item in found]

    assert names(("state", "on")) == ["a"]
    assert names(("group", "2")) == ["a"]
    assert names(("group", "2"), ("state", "off")) == []
    assert names(("tag:k", "v")) == ["b"]
    assert names(("tag-key", "k")) == ["b"]


def test_what_is_not_ours_is_refused() -> None:
    with pytest.raises(InvalidParameterValue):
        filters.select([], [{"Name": "colour", "Values": []}], KNOWN)
    with pytest.raises(InvalidParameterValue):
        filters.page("Things", [], {"MaxResults": 0})
    for token in ("x", "!!!!", "ZnJvbSB4", "ZnJvbQ=="):
        with pytest.raises(InvalidNextToken):
            filters.page("Things", [], {"NextToken": token})
