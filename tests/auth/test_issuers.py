from __future__ import annotations

import pytest

from clary.auth.issuers import is_trustworthy


@pytest.mark.parametrize(
    ("url", "trustworthy"),
    [
        ("https://idp.example", True),
        ("http://idp.example", False),
        ("http://127.0.0.1:80/x", True),
        ("http://localhost", True),
        ("http://[::1]:1", True),
        ("http://127.0.0.1.example", False),
        ("file:///etc/passwd", False),
        ("https://[bad", False),
        ("", False),
    ],
)
def test_where_keys_may_come_from(url: str, trustworthy: bool) -> None:
    assert is_trustworthy(url) is trustworthy
