"""Addresses of identity providers: which may be believed."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_trustworthy(url: str) -> bool:
    """Whether what is found at an address is what its owner wrote: by HTTPS, or without it on this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and is_local(url)))


def is_local(url: str) -> bool:
    """Whether an address is on this machine."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
