"""Host names of S3: a bucket, the service itself, or a website.

Source: "Virtual hosting of general purpose buckets" and "Website endpoints", Amazon S3 user guide.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

AWS_DOMAIN = "amazonaws.com"
WEBSITE_PREFIX = "/_website/"
"""Where websites are also found, for clients without names for their hosts: the bucket and the path follow."""
MOST_HOSTS = 64
"""How many host names are remembered together with what they tell: few, since strangers may send long ones."""

_REGION = r"[a-z]{2}(?:-[a-z]+)+-\d"
_SERVICE = re.compile(rf"(?:(.+)\.)?s3(?:\.dualstack)?(?:[.-]{_REGION})?")
_WEBSITE = re.compile(rf"(.+)\.s3-website(?:[.-]{_REGION})?")


class BucketHost(NamedTuple):
    """What a host name tells; `bucket` is empty for the service itself."""

    bucket: str = ""
    website: bool = False


@lru_cache(MOST_HOSTS)
def bucket_host(host: str, domain: str) -> BucketHost:
    """What a Host header tells below `domain` (empty: none) or below that of AWS.

    Below a domain of our own a bucket may also stand directly, as in `BUCKET.DOMAIN`.
    """
    name = host.partition(":")[0].lower()
    if domain and name.endswith(f".{domain}"):
        label, direct = name[: -len(domain) - 1], True
    elif name.endswith(f".{AWS_DOMAIN}"):
        label, direct = name[: -len(AWS_DOMAIN) - 1], False
    else:
        return _NONE
    if website := _WEBSITE.fullmatch(label):
        return BucketHost(website[1], website=True)
    if service := _SERVICE.fullmatch(label):
        return BucketHost(service[1] or "")
    return BucketHost(label) if direct else _NONE


_NONE = BucketHost()
