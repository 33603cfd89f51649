"""Opens the objects where the settings say that they are."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from clary.store.objects.bucket import Bucket
from clary.store.objects.folder import Folder
from clary.store.objects.objects import Objects
from clary.store.objects.sealing import Seals

if TYPE_CHECKING:
    from pathlib import Path

    from clary.settings import Settings
    from clary.store.database import Database
    from clary.store.keyring import Keyring
    from clary.store.objects.files import Files

PARAMETERS = ("endpoint", "region", "profile", "access_key_id", "secret_access_key")
"""What may stand behind the question mark; without keys or a profile, those of the environment are used."""


def open_objects(settings: Settings, database: Database, keyring: Keyring) -> Objects:
    """The objects of a platform.

    Raises:
        ValueError: the setting `objects` names no place, or one that cannot be used.
    """
    folder = settings.home / "objects"
    files: Files
    if settings.objects:
        files = bucket_at(settings.objects)
        files.check()
        _refuse_stranded(folder / "contents")
    else:
        files = Folder(folder, durable=settings.durability == "disk")
    return Objects(database, files, Seals(keyring, encrypt=settings.encrypt), folder)


def _refuse_stranded(contents: Path) -> None:
    """Accepts a folder that holds no content: objects do not move by themselves."""
    if any(path.is_file() for path in contents.rglob("*")):
        raise ValueError(
            f"CLARY_OBJECTS: {contents} still holds contents of objects; move its files into the bucket first, each "
            "right below the prefix"
        )


def bucket_at(address: str) -> Bucket:
    """The bucket of an address like `s3://bucket/prefix?endpoint=http://host:port&region=us-east-1`.

    Raises:
        ValueError: it is no such address; the text does not repeat it, as keys may stand in it.
    """
    parts = urlsplit(address)
    options = dict(parse_qsl(parts.query))
    unknown = options.keys() - set(PARAMETERS)
    if parts.scheme != "s3" or not parts.netloc or unknown:
        hint = f"; there is no parameter {', '.join(sorted(unknown))}" if unknown else ""
        raise ValueError(f"CLARY_OBJECTS: expected s3://BUCKET/PREFIX?endpoint=URL&region=NAME{hint}")
    prefix = parts.path.strip("/")
    return Bucket(_client(options), parts.netloc, f"{prefix}/" if prefix else "")


def _client(options: dict[str, str]) -> object:
    endpoint = options.get("endpoint")
    config = Config(
        connect_timeout=5,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 4},
        max_pool_connections=64,
        # Servers that are not AWS seldom have a name for each bucket, nor checksums behind bodies.
        s3={"addressing_style": "path"} if endpoint else {},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # The variable points to Clary itself where its clients run.
        ignore_configured_endpoint_urls=True,
    )
    try:
        session = botocore.session.Session(profile=options.get("profile"))
        return session.create_client(
            "s3",
            region_name=options.get("region"),
            endpoint_url=endpoint,
            aws_access_key_id=options.get("access_key_id"),
            aws_secret_access_key=options.get("secret_access_key"),
            config=config,
        )
    except (BotoCoreError, ValueError) as error:
        raise ValueError(f"CLARY_OBJECTS: {error}") from error
