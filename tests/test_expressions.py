from __future__ import annotations

import pytest

from clary.expressions import Expression


def test_the_first_group_of_the_first_match_is_found() -> None:
    assert Expression(r"loss=([0-9.]+)").group("é loss=0.5 loss=0.25") == "0.5"
    assert Expression(r"loss=([0-9.]+)").group("gain=1") is None


@pytest.mark.parametrize("text", ["loss", "(a)|loss"])
def test_without_a_group_nothing_is_caught(text: str) -> None:
    assert Expression(text).group("loss=1") is None
    assert Expression(text).occurs("loss=1")


@pytest.mark.parametrize("text", ["(", r"(?<=a)b", r"(a)\1", "((a{1000}){1000}){1000}"])
def test_what_cannot_be_matched_in_linear_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"missing|invalid"):
        Expression(text)


@pytest.mark.parametrize("text", ["(a+)+$", "^(a|a)*$", "(x+x+)+y", "(a?){1000}a{1000}$"])
def test_bombs_do_not_go_off(text: str) -> None:
    assert not Expression(text).occurs("a" * 4000 + "!")
