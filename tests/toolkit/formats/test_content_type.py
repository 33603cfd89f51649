from __future__ import annotations

import pytest

from clary.toolkit.formats.content_type import ContentType, UnsupportedTypeError, choose


def test_parameters_and_aliases() -> None:
    parsed = ContentType.parse("Text/CSV; label_size=0 ;charset=utf-8")
    assert parsed.name == "text/csv"
    assert parsed.parameters == {"label_size": "0", "charset": "utf-8"}
    assert ContentType.parse("text/x-libsvm").name == "text/libsvm"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("*/*", "text/csv"),
        ("", "text/csv"),
        ("application/json", "application/json"),
        ("image/png, application/json;q=0.5", "application/json"),
    ],
)
def test_accept_is_answered_with_what_is_on_offer(accept: str, chosen: str) -> None:
    assert choose(accept, ("text/csv", "application/json"), "text/csv") == chosen


def test_nothing_on_offer_is_an_error() -> None:
    with pytest.raises(UnsupportedTypeError, match="image/png"):
        choose("image/png", ("text/csv",), "text/csv")
