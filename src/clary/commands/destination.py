"""`clary destination`: where the ARNs of topics, queues, functions and buckets elsewhere lead."""

from __future__ import annotations

import argparse
import getpass
import os
import secrets
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clary import arn as arns
from clary.clock import SystemClock
from clary.commands.subparsers import subparser
from clary.destinations import Destinations
from clary.settings import load
from clary.store.engines import open_database
from clary.store.keyring import Keyring
from clary.store.records import Records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.commands.subparsers import Subparsers

WEBHOOKS = ("lambda", "sns", "sqs")


def add(commands: Subparsers) -> None:
    """Adds the command."""
    sub = subparser(
        commands, "destination", list_command, "Say where ARNs lead: to webhooks, or to buckets at another endpoint."
    )
    verbs = sub.add_subparsers(metavar="VERB")
    put = verbs.add_parser("put", help="register a destination, or replace it")
    put.add_argument("arn", help="of a topic, queue or function for a webhook; of a bucket for one elsewhere")
    put.add_argument("url", help="the webhook, or the endpoint of S3 that has the bucket")
    put.add_argument("--access-key-id", help="for a bucket; its secret is asked for, or read from standard input")
    put.add_argument("--region", default="us-east-1", help="for a bucket: its region there (default us-east-1)")
    put.set_defaults(command=put_command)
    remove = verbs.add_parser("remove", help="forget a destination")
    remove.add_argument("arn", help="as it was registered")
    remove.set_defaults(command=remove_command)
    for verb in (put, remove):
        # Where it is not given, what stands before the verb counts.
        verb.add_argument("--home", type=Path, default=argparse.SUPPRESS, help="the folder that holds everything")


def list_command(options: argparse.Namespace) -> int:
    """`clary destination`: all of them."""
    with _opened(options) as destinations:
        for arn, url in destinations.all():
            print(f"{arn}  {url}")
    return 0


def put_command(options: argparse.Namespace) -> int:
    """`clary destination put ARN URL`: register one; the secret of a webhook is made, and shown this once."""
    service = arns.split(options.arn).service
    if service == "s3":
        if not options.access_key_id:
            raise ValueError("a bucket elsewhere needs --access-key-id")
        held = {"AccessKeyId": options.access_key_id, "SecretAccessKey": _secret(), "Region": options.region}
    elif service in WEBHOOKS:
        held = {"Secret": secrets.token_urlsafe(32)}
    else:
        raise ValueError(f"nothing is sent to {options.arn}; name a topic, queue, function or bucket")
    with _opened(options) as destinations:
        destinations.put(options.arn, options.url, held, SystemClock().now())
    if "Secret" in held:
        print(f"The secret that signs the messages, shown this once: {held['Secret']}")
    return 0


def remove_command(options: argparse.Namespace) -> int:
    """`clary destination remove ARN`: forget one."""
    with _opened(options) as destinations:
        if not destinations.remove(options.arn):
            raise ValueError(f"there is no destination {options.arn}")
    return 0


@contextmanager
def _opened(options: argparse.Namespace) -> Iterator[Destinations]:
    settings = load(os.environ, home=options.home)
    database = open_database(settings)
    try:
        yield Destinations(Records(database), Keyring.at(settings.key_path), settings.account)
    finally:
        database.close()


def _secret() -> str:
    return getpass.getpass("Secret access key: ") if sys.stdin.isatty() else sys.stdin.readline().strip()
