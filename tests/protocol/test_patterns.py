from __future__ import annotations

import pytest

from clary.protocol.patterns import Patterns

TAG = r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$"
TEXT = r"[\u0009\u000A\u000D\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF]*"


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (TAG, ["", "a b", "Größe", "日本", "x=1/2@y", "Ⅷ"], ["a#b", "a\nb", "tab\t", "!"]),
        (r"\p{ASCII}*", ["abc\n"], ["é"]),
        (r"\p{Print}+", ["a b~"], ["\t", "", "é"]),
        (r"arn:[\p{Alnum}\-]+:x", ["arn:aws-cn:x"], ["arn:é:x"]),
        (r"[\w-_]*", ["a-b_c"], ["a b", "é"]),
        (r"\A\S[\p{Print}]*\z", ["a b"], [" a", "a\n"]),
        (TEXT, ["a\tb\n", "\U0001f600"], ["\x01", "\ufffe"]),
        (r"[a-z]+${1,128}", ["abc"], ["abc1"]),
        (r"\d+", ["12"], ["١٢"]),
        (r"^[a-z]+$", ["abc"], ["abc\n"]),
    ],
)
def test_java_patterns(pattern: str, good: list[str], bad: list[str]) -> None:
    matches = Patterns().matcher(pattern)
    assert [text for text in good if not matches(text)] == []
    assert [text for text in bad if matches(text)] == []
