"""Where ARNs lead that AWS would know: whoever owns the platform says it, so that no request can make it call others.

The ARN of a topic, queue or function leads to a webhook; that of a bucket elsewhere leads to the endpoint that has it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import orjson

from clary.store.records import Query, Record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from clary.store.keyring import Keyring
    from clary.store.records import Records

KIND = "destination"


class Destination(NamedTuple):
    """Where an ARN leads, and the secrets that are needed there."""

    arn: str
    url: str
    secrets: Mapping[str, str]


class Destinations:
    """The destinations that the owner of the platform has registered."""

    def __init__(self, records: Records, keyring: Keyring, account: str) -> None:
        self._records = records
        self._keyring = keyring
        self._account = account

    def put(self, arn: str, url: str, secrets: Mapping[str, str], now: datetime) -> None:
        """Registers a destination, or replaces it.

        Raises:
            ValueError: the URL is none that can be called.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise ValueError(f"{url!r} is no http or https address without a user name")
        sealed = b64encode(self._keyring.seal(orjson.dumps(secrets), _purpose(arn))).decode()
        spec = {"Url": url, "Sealed": sealed}
        record = self._records.get(KIND, self._account, "", arn)
        if record is None:
            self._records.create(Record(KIND, self._account, "", arn, "", spec, now, now))
        else:
            self._records.edit(record, lambda found: replace(found, spec=spec, modified=now))

    def find(self, arn: str) -> Destination | None:
        """The destination, None when nobody registered it."""
        record = self._records.get(KIND, self._account, "", arn)
        if record is None:
            return None
        secrets = orjson.loads(self._keyring.open(b64decode(record.spec["Sealed"]), _purpose(arn)))
        return Destination(arn, record.spec["Url"], secrets)

    def knows(self, arn: str) -> bool:
        """Whether somebody registered it."""
        return self._records.get(KIND, self._account, "", arn) is not None

    def all(self) -> list[tuple[str, str]]:
        """The ARNs with their URLs, by ARN."""
        found = self._records.all(Query(KIND, self._account, order_by="name"))
        return [(record.name, record.spec["Url"]) for record in found]

    def remove(self, arn: str) -> bool:
        """Forgets a destination; False: it was not there."""
        record = self._records.get(KIND, self._account, "", arn)
        if record is not None:
            self._records.delete(record)
        return record is not None


def _purpose(arn: str) -> str:
    return f"destination:{arn}"
