"""The models' regular expressions, which are Java's, as Python's `re` takes them."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_POSIX: Mapping[str, str] = {"ASCII": r"\x00-\x7f", "Alnum": "0-9A-Za-z", "Print": " -~"}
_PROPERTY = re.compile(r"\\p\{(\w+)\}")
_REPLACEMENTS: Mapping[str, str] = {
    r"\uD800\uDC00-\uDBFF\uDFFF": r"\U00010000-\U0010FFFF",  # pairs of surrogates: all planes but the first
    r"\z": r"\Z",
    r"[\w-_]": r"[\w\-_]",
}
_ASSIGNED = (range(0x40000), range(0xE0000, 0xE0200))
"""Where characters may be; the rest of Unicode is empty or private, and takes long to look through."""

_REPEATED_END = re.compile(r"\$\{\d+,\d+\}$")


class Patterns:
    """Compiles patterns; classes of Unicode characters are computed when one first needs them."""

    def matcher(self, pattern: str) -> Callable[[str], object]:
        """A function that is true for text which `pattern` matches as a whole."""
        if _PROPERTY.search(pattern):
            return re.compile(self._translate(pattern)).fullmatch
        # Java's \d, \s and \w are ASCII.
        return re.compile(self._translate(pattern), re.ASCII).fullmatch

    def _translate(self, pattern: str) -> str:
        for java, python in _REPLACEMENTS.items():
            pattern = pattern.replace(java, python)
        pattern = _REPEATED_END.sub("", pattern)
        translated = []
        at = 0
        for match in _PROPERTY.finditer(pattern):
            ranges = _POSIX.get(match[1]) or self._categories[match[1]]
            inside = pattern.count("[", 0, match.start()) > pattern.count("]", 0, match.start())
            translated += [pattern[at : match.start()], ranges if inside else f"[{ranges}]"]
            at = match.end()
        return "".join(translated) + pattern[at:]

    @cached_property
    def _categories(self) -> Mapping[str, str]:
        """Ranges of characters by general category (`Zs`) and by its first letter (`Z`)."""
        ranges: dict[str, list[str]] = defaultdict(list)
        for block in _ASSIGNED:
            start = block.start
            for category, run in groupby(map(unicodedata.category, map(chr, block))):
                end = start + sum(1 for _ in run)
                text = f"\\U{start:08x}-\\U{end - 1:08x}"
                ranges[category].append(text)
                ranges[category[0]].append(text)
                start = end
        return {name: "".join(texts) for name, texts in ranges.items()}
