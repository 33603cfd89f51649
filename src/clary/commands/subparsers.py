"""What a command adds itself to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # it has no other name


def subparser(
    commands: Subparsers, name: str, command: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    """A command with the argument that all of them have."""
    sub = commands.add_parser(name, help=text, description=text)
    sub.add_argument("--home", type=Path, help="the folder that holds everything (CLARY_HOME, else ~/.clary)")
    sub.set_defaults(command=command)
    return sub
