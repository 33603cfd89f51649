"""Brings the data of a job to one of its hosts, without copying them where that can be avoided.

An object that lies on this machine as one file is linked; the pieces of one that lies in several, and small ones that
lie in rows, become files of a catalogue that the agent serves. Content files never change and a link keeps its own
alive, so it does no harm when an object is deleted or written anew meanwhile. A handful of small objects is written
out as files, which is quicker than anything else.
"""

from __future__ import annotations

import errno
import gzip
import itertools
import sqlite3
import zlib
from contextlib import closing, contextmanager
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from clary.agent.workload import ML_ROOT, Input, Pipe
from clary.controllers.contract import NO_ROOM
from clary.controllers.inputs import listing
from clary.controllers.inputs.folder import Folder
from clary.controllers.inputs.listing import Item
from clary.controllers.inputs.shelf import Shelf
from clary.controllers.staging import StagingError, gunzip
from clary.http import Damaged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from clary.agent.catalogue import Extent
    from clary.controllers.inputs.channel import Channel
    from clary.controllers.staging import Content, Stager

TOLD_BYTES = 64 << 20
"""Copies of more than this are told in the log of the job."""

_ATTEMPTS = 3
"""An object may be written anew between the look at it and the link to what it was."""

_T = TypeVar("_T")


class Brought(NamedTuple):
    """What the workload of a host is to be told."""

    inputs: tuple[Input, ...]
    pipes: tuple[Pipe, ...]
    notes: tuple[str, ...]
    """Lines for its log."""


class Bringer:
    """Brings channels into one bundle.

    Args:
        stager: reads as the role of the job.
        folder: the bundle.
        shard: the place of the host in its cluster, and how many there are.
        refusal: why nothing can be shown here without a copy; empty when it can.
        as_root: whether the workload runs as root, who alone can read links to content files.
        sent: whether the bundle is sent to another machine, so that nobody can change what links lead to.
    """

    def __init__(
        self,
        stager: Stager,
        folder: Path,
        shard: tuple[int, int],
        refusal: str,
        *,
        as_root: bool = True,
        sent: bool = False,
    ) -> None:
        self._stager = stager
        self._ml = folder / "ml"
        self._shard = shard
        self._refusal = refusal
        self._as_root = as_root
        self._sent = sent
        self._shelf = Shelf(folder)
        self._notes: list[str] = []

    def bring(self, channels: Sequence[Channel], outputs: Sequence[str] = ()) -> Brought:
        """Brings all of them; what is in the folders `outputs` will be read from the bundle after the end.

        Raises:
            StagingError: the data are not there, not allowed, not what the request says, or have no room.
        """
        inputs, pipes = [], []
        with _told(), closing(self._shelf):
            for number, channel in enumerate(channels):
                if channel.mode == "Pipe":
                    pipes.append(self._stream(str(number), channel))
                    continue
                others = [*outputs, *(each.target for each in channels if each is not channel)]
                shown = self._bring_one(str(number), channel, self._why_not(channel, others))
                inputs += [shown] if shown else []
            self._shelf.complete()
        return Brought(tuple(inputs), tuple(pipes), tuple(self._notes))

    def _why_not(self, channel: Channel, others: Sequence[str]) -> str:
        """Why a channel cannot be shown without a copy."""
        if any(_overlap(channel.target, other) for other in others):
            return "its folder is that of another input or output, or lies in it"
        return self._refusal

    def _bring_one(self, name: str, channel: Channel, refusal: str) -> Input | None:
        target = self._ml / PurePosixPath(channel.target).relative_to(ML_ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        if channel.data_type == "ManifestFile" and target.parent == self._ml / "input" / "data":
            target.with_name(f"{target.name}-manifest").write_bytes(self._stager.read(channel.uri))
        copied = self._shelf.copied
        tree = target if refusal else self._shelf.tree(name)
        showable = not refusal and not channel.gunzip
        links = self._sent or (showable and self._as_root)
        folder = Folder(self._shelf, name, tree, showable=showable, links=links)
        items = listing.files(self._stager, channel, self._shard)
        for item, content in self._contents(items):
            self._use(item, content, partial(folder.add, item.name))
        folder.finish()
        if channel.gunzip:
            _gunzip_all(tree, items)
        self._note(channel, refusal, self._shelf.copied - copied)
        if refusal:
            return None
        if folder.is_shown or channel.mode == "FastFile":
            writable = channel.mode == "File"
            linked = not folder.served or any(tree.iterdir())
            return Input(target=channel.target, name=name, linked=linked, served=folder.served > 0, writable=writable)
        tree.replace(target)
        return None

    def _stream(self, name: str, channel: Channel) -> Pipe:
        catalogue = self._shelf.catalogue
        units = list(listing.records(self._stager, channel, self._shard))
        contents = self._contents(record for unit in units for record in unit if isinstance(record, Item))
        for number, unit in enumerate(units):
            for record in unit:
                if isinstance(record, Item):
                    extents = self._use(*next(contents), self._extents)
                    catalogue.record(name, number, record.uri, extents)
                else:
                    catalogue.record(name, number, "", self._shelf.extents(record))
        whole = not (channel.shuffles_epochs and channel.sharded)
        index, count = (0, 1) if whole else self._shard
        return Pipe(
            target=channel.target,
            name=name,
            record_io=channel.record_io,
            gunzip=channel.gunzip,
            seed=channel.seed,
            shard=index,
            shards=count,
        )

    def _contents(self, items: Iterable[Item]) -> Iterator[tuple[Item, Content]]:
        wanted, keys = itertools.tee(items)
        return zip(wanted, self._stager.open_each((item.bucket, item.key) for item in keys), strict=True)

    def _extents(self, content: Content) -> list[Extent]:
        return self._shelf.extents(content.body)

    def _use(self, item: Item, content: Content, use: Callable[[Content], _T]) -> _T:
        for _ in range(_ATTEMPTS):
            try:
                return use(content)
            except Damaged as error:
                damage = error
            content = self._stager.open(item.bucket, item.key)
        raise StagingError(f"ClientError: Data download failed:Unable to download object {item.uri} ({damage})")

    def _note(self, channel: Channel, refusal: str, copied: int) -> None:
        why = refusal or "they are encrypted, or lie on another machine or file system"
        if refusal and channel.mode == "FastFile":
            self._notes.append(f"Channel {channel.name!r} was copied as in File mode: {refusal}")
        elif copied > TOLD_BYTES and not channel.gunzip:
            self._notes.append(f"Channel {channel.name!r}: {copied >> 20} MiB were copied, because {why}")


def _gunzip_all(tree: Path, items: Iterable[Item]) -> None:
    for item in items:
        try:
            gunzip(tree / item.name)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise StagingError(f"ClientError: Data download failed:{item.uri} is no gzip file: {error}") from error


def _overlap(one: str, other: str) -> bool:
    first, second = PurePosixPath(one), PurePosixPath(other)
    return first.is_relative_to(second) or second.is_relative_to(first)


@contextmanager
def _told() -> Iterator[None]:
    """Tells what cannot be written in the words of the failure reason."""
    try:
        yield
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise StagingError(
            f"ClientError: Data download failed:{error.filename or 'a name'} is both a file and a folder."
        ) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StagingError(NO_ROOM) from error
    except sqlite3.OperationalError as error:
        if "full" not in str(error):
            raise
        raise StagingError(NO_ROOM) from error
