from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.json_path import InvalidPath, NoMatch, parse

DOCUMENT = {"id": "a", "features": [1, 2, 3], "deep": {"x": {"y": 4}}, "odd name": 5}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$", DOCUMENT),
        ("$.id", "a"),
        ("$.deep.x.y", 4),
        ("$['odd name']", 5),
        ('$["id"]', "a"),
        ("$['id','features']", {"id": "a", "features": [1, 2, 3]}),
        ("$.features[0]", 1),
        ("$.features[-1]", 3),
        ("$.features[0,-1]", [1, 3]),
        ("$.features[1:]", [2, 3]),
        ("$.features[:-1]", [1, 2]),
        ("$.features[ 0 : 2 ]", [1, 2]),
    ],
)
def test_what_lies_at_a_path(text: str, found: Any) -> None:
    assert parse(text).of(DOCUMENT) == found


@pytest.mark.parametrize("text", ["", "id", "$..id", "$.*", "$[?(@.x)]", "$[*]", "$[]", "$.", "$[::2]", "$['a'"])
def test_other_operators_are_refused(text: str) -> None:
    with pytest.raises(InvalidPath):
        parse(text)


@pytest.mark.parametrize("text", ["$.nothing", "$[0]", "$.features[9]", "$.features.id", "$.id[0]", "$.id[0:1]"])
def test_nothing_at_the_path(text: str) -> None:
    with pytest.raises(NoMatch):
        parse(text).of(DOCUMENT)


@given(st.lists(st.integers()), st.none() | st.integers(-9, 9), st.none() | st.integers(-9, 9))
def test_slices_are_those_of_python(values: list[int], start: int | None, end: int | None) -> None:
    text = f"$[{'' if start is None else start}:{'' if end is None else end}]"
    assert parse(text).of(values) == values[start:end]
