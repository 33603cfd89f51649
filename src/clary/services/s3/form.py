"""Read the form of a browser upload: its fields, then its file as a stream.

Source: RFC 7578; "POST Object" in the Amazon S3 API reference (fields behind the file are ignored).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from clary.services.s3.errors import InvalidArgument, MalformedPOSTRequest, MaxPostPreDataLengthExceeded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from clary.http import Body

MAX_FIELD_BYTES = 20_000
"""Most that a field of the form may hold."""

_BOUNDARY = re.compile(r'multipart/form-data\s*;.*?boundary=(?:"([^"]+)"|([^\s;]+))', re.IGNORECASE)
_PARAMETER = re.compile(r'\b(name|filename)="((?:[^"\\]|\\.)*)"')
_MALFORMED = "The body of your POST request is not well-formed multipart/form-data."


class Form(NamedTuple):
    """A form, its file not yet read; `fields` has lower-case names."""

    fields: dict[str, str]
    file: AsyncIterator[bytes]
    file_name: str


async def read_form(body: Body, content_type: str) -> Form:
    """The form in `body`, read up to the beginning of its file.

    Raises:
        MalformedPOSTRequest: it is no form.
        MaxPostPreDataLengthExceeded: a field is too large.
        InvalidArgument: it has no file.
    """
    match = _BOUNDARY.match(content_type)
    if match is None:
        raise MalformedPOSTRequest(_MALFORMED)
    delimiter = b"\r\n--" + (match[1] or match[2]).encode()
    source = _Source(aiter(body))
    await source.until(delimiter)
    fields: dict[str, str] = {}
    while await source.exactly(2) == b"\r\n":
        head = (await source.until(b"\r\n\r\n")).decode("utf-8", "replace")
        parameters = {name: re.sub(r"\\(.)", r"\1", value) for name, value in _PARAMETER.findall(head)}
        name = parameters.get("name", "").lower()
        if name == "file":
            return Form(fields, source.rest(delimiter), parameters.get("filename", ""))
        fields[name] = (await source.until(delimiter)).decode("utf-8", "replace")
    raise InvalidArgument("POST requires exactly one file upload per request.", "file", 0)


class _Source:
    """A stream that is read up to delimiters; it begins with a line end, as the first delimiter wants one."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = b"\r\n"

    async def until(self, delimiter: bytes) -> bytes:
        """What stands before the next delimiter, which is passed over."""
        while (end := self._buffer.find(delimiter)) < 0:
            if len(self._buffer) > MAX_FIELD_BYTES:
                raise MaxPostPreDataLengthExceeded
            await self._more()
        found, self._buffer = self._buffer[:end], self._buffer[end + len(delimiter) :]
        return found

    async def exactly(self, size: int) -> bytes:
        """The next bytes."""
        while len(self._buffer) < size:
            await self._more()
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    async def rest(self, delimiter: bytes) -> AsyncIterator[bytes]:
        """What stands before the next delimiter, in pieces; reads the stream to its end."""
        while (end := self._buffer.find(delimiter)) < 0:
            # The end of what is there may be the beginning of a delimiter.
            certain = len(self._buffer) - len(delimiter)
            if certain > 0:
                yield self._buffer[:certain]
                self._buffer = self._buffer[certain:]
            await self._more()
        if end:
            yield self._buffer[:end]
        async for _ in self._chunks:
            pass

    async def _more(self) -> None:
        chunk = await anext(self._chunks, None)
        if chunk is None:
            raise MalformedPOSTRequest(_MALFORMED)
        self._buffer += chunk
