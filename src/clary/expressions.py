"""Regular expressions of users, matched in time linear in the text whatever they say."""

from __future__ import annotations

import re2


class Expression:
    """One regular expression in RE2's syntax: no look-around, no back references.

    Raises:
        ValueError: it is none; the text says why.
    """

    def __init__(self, text: str) -> None:
        options = re2.Options()
        options.log_errors = False
        try:
            self._pattern = re2.compile(text, options)
        except re2.error as error:
            reason = error.args[0]
            raise ValueError(reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)) from None

    def occurs(self, text: str) -> bool:
        """Whether it fits some part of a text."""
        return self._pattern.search(text) is not None

    def group(self, text: str) -> str | None:
        """What the first group caught in the first place that fits; None where nothing does."""
        match = self._pattern.search(text)
        found: str | None = match[1] if match is not None and match.groups() else None
        return found
