"""The data of one batch transform on its way through the model server and back, object by object, in order."""

from __future__ import annotations

import gzip
import logging
import shutil
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from clary.controllers.data_processing import DataProcessing, ProcessingError
from clary.controllers.identity import RoleGone
from clary.controllers.model_client import Answer, InvocationError, Limits, ModelClient, limits
from clary.controllers.records_split import SplitError, pack, split
from clary.controllers.staging import Source, Stager, StagingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

SEE_LOGS = "{fault}: See job logs for more information"

log = logging.getLogger(__name__)


class _Failed(Exception):
    """The job fails with this reason; `lines` tell more in its log."""

    def __init__(self, reason: str, lines: list[str]) -> None:
        super().__init__(reason)
        self.lines = lines


class _Object(NamedTuple):
    """An object under way: where it comes from, what of it is done."""

    address: str
    name: str
    output: Path


class _Sent(NamedTuple):
    records: list[bytes]
    answer: Future[Answer]


class Transfer:
    """Sends all input of a transform job through its model server, in a thread of its own.

    Nothing of it is remembered: begun again, it writes the same objects again.
    """

    def __init__(
        self, spec: dict[str, Any], stager: Stager, socket: Path, folder: Path, ended: Callable[[], None]
    ) -> None:
        self._spec = spec
        self._stager = stager
        self._socket = socket
        self._folder = folder
        self._ended = ended
        self._stopping = threading.Event()
        self._lines: list[str] = []
        self._reason: str | None = None
        # A daemon, because the platform may end before its transform jobs do.
        self._thread = threading.Thread(target=self._run, name="transfer", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Sends nothing more."""
        self._stopping.set()

    @property
    def reason(self) -> str | None:
        """None while it goes on; then why it failed, or nothing."""
        return self._reason

    def take_lines(self) -> list[str]:
        """What is to be told in the log of the job, once."""
        lines, self._lines = self._lines, []
        return lines

    def _run(self) -> None:
        try:
            self._transfer()
            reason = ""
        except _Failed as error:
            self._lines.extend(error.lines)
            reason = str(error)
        except (StagingError, RoleGone) as error:
            reason = str(error)
        except Exception as error:
            log.exception("transform failed")
            reason = f"InternalServerError: We encountered an internal error. Please try again. ({error})"
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._reason = reason
        self._ended()

    def _transfer(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        allowed = limits(self._spec, self._socket)
        self._lines.append(str(allowed))
        client = ModelClient(self._spec, self._socket, allowed.concurrent)
        try:
            self._send(client, allowed)
        finally:
            client.close()

    def _send(self, client: ModelClient, allowed: Limits) -> None:
        """Keeps as many requests waiting as the client has threads, and stores the answers in order."""
        processing = DataProcessing.of(self._spec)
        waiting: deque[tuple[_Object, _Sent | None]] = deque()
        for item, batch in self._batches(allowed.payload_bytes, several=allowed.several):
            sent = None
            if batch is not None:
                sent = _Sent(batch, client.submit(_told(item, processing.payload, batch)))
            waiting.append((item, sent))
            while len(waiting) > 2 * allowed.concurrent:
                self._receive(*waiting.popleft(), processing)
            if self._stopping.is_set():
                return
        while waiting:
            self._receive(*waiting.popleft(), processing)

    def _batches(self, most_bytes: int, *, several: bool) -> Iterator[tuple[_Object, list[bytes] | None]]:
        """The requests to make; None after the last one of an object."""
        wanted = self._spec["TransformInput"]
        s3 = wanted["DataSource"]["S3DataSource"]
        for number, (bucket, key, name) in enumerate(self._stager.objects(Source(s3["S3Uri"], s3["S3DataType"]))):
            item = _Object(f"{bucket}/{key}", name, self._folder / f"{number}.out")
            path = self._folder / f"{number}.in"
            self._stager.fetch(f"s3://{bucket}/{key}", path)
            item.output.touch()
            try:
                with _opened(path, wanted.get("CompressionType", "None")) as file:
                    for batch in pack(split(file, wanted.get("SplitType", "None")), most_bytes, several=several):
                        yield item, batch
            except (SplitError, OSError, EOFError) as error:
                raise _failed(item, "ClientError", str(error)) from error
            path.unlink()
            yield item, None

    def _receive(self, item: _Object, sent: _Sent | None, processing: DataProcessing) -> None:
        target = self._spec["TransformOutput"]
        if sent is None:
            self._stager.upload(item.output, f"{target['S3OutputPath'].rstrip('/')}/{item.name}.out")
            item.output.unlink()
            return
        try:
            answer = sent.answer.result()
        except InvocationError as error:
            raise _failed(item, error.fault, str(error)) from error
        content = _told(item, processing.result, sent.records, *answer)
        with item.output.open("ab") as file:
            file.write(content)
            if target.get("AssembleWith") == "Line" and content and not content.endswith(b"\n"):
                file.write(b"\n")


def _opened(path: Path, compression: str) -> BinaryIO:
    return gzip.open(path) if compression == "Gzip" else path.open("rb")  # type: ignore[return-value]  # reads bytes


def _told(item: _Object, process: Callable[..., bytes], *arguments: object) -> bytes:
    try:
        return process(*arguments)
    except ProcessingError as error:
        raise _failed(item, "ClientError", str(error)) from error


def _failed(item: _Object, fault: str, text: str) -> _Failed:
    return _Failed(SEE_LOGS.format(fault=fault), [f"{item.address}: {line}" for line in text.split("\n")])
