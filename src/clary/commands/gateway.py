"""`clary gateway`: serve S3, IAM and STS on another machine than that of `clary up`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from clary.commands.subparsers import subparser
from clary.settings import Settings, load

if TYPE_CHECKING:
    import argparse

    from clary.commands.subparsers import Subparsers


def add(commands: Subparsers) -> None:
    """Adds the command."""
    text = "Serve S3, IAM and STS on another machine, from the same PostgreSQL, bucket and key file."
    sub = subparser(commands, "gateway", gateway_command, text)
    sub.add_argument("--control", required=True, metavar="HOST:PORT", help="where `clary up` answers")
    sub.add_argument("--port", type=int, help="the port to serve (default 4100)")
    sub.add_argument("--host", help="the address to bind (default 127.0.0.1)")


def gateway_command(options: argparse.Namespace) -> int:
    """`clary gateway`: serve until stopped."""
    from clary.app import CannotListen, listen  # noqa: PLC0415  # half a second that the other commands need not pay
    from clary.gateway_process import run  # noqa: PLC0415
    from clary.gateways import Relay  # noqa: PLC0415

    settings = load(os.environ, home=options.home, port=options.port, host=options.host)
    _refuse_what_cannot_be_shared(settings)
    host, _, port = options.control.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"--control: {options.control!r} is not HOST:PORT")
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        listener = listen(settings)
    except CannotListen as error:
        raise ValueError(str(error)) from error
    run(settings, listener, lambda _: Relay(host.strip("[]"), int(port)))
    return 0


def _refuse_what_cannot_be_shared(settings: Settings) -> None:
    """Accepts settings that mean the same on several machines; raises ValueError."""
    for name, value in (("CLARY_DATABASE", settings.database), ("CLARY_OBJECTS", settings.objects)):
        if not value:
            raise ValueError(f"{name} must be set: files below the home folder are those of one machine only")
    if not settings.key_path.exists():
        raise ValueError(f"{settings.key_path} is not there: copy the key file of the control process")
