"""The compiled parser and serializer of each operation, made when it is first called."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from clary.protocol.parse import Parse, Parsers
from clary.protocol.serialize import Serialize, Serializers

if TYPE_CHECKING:
    from botocore.model import OperationModel

    from clary.protocol.model import Models


class Codec:
    """What reads the requests of one operation in one protocol and writes its responses."""

    def __init__(self, model: OperationModel, parsers: Parsers, serializers: Serializers) -> None:
        self._model = model
        self._parsers = parsers
        self._serializers = serializers

    @cached_property
    def parse(self) -> Parse:
        """Reads a request."""
        return self._parsers.parser(self._model)

    @cached_property
    def serialize(self) -> Serialize:
        """Writes a response."""
        return self._serializers.serializer(self._model)


class Codecs:
    """The codecs of all operations; `strict` makes unknown response members an error, for tests."""

    def __init__(self, models: Models, *, strict: bool = False) -> None:
        self._models = models
        self._strict = strict
        self._makers: dict[tuple[str, str], tuple[Parsers, Serializers]] = {}
        self._codecs: dict[tuple[str, str, str], Codec] = {}

    def codec(self, service: str, operation: str, protocol: str) -> Codec:
        """The codec of one operation; raises KeyError when the service has none of this name."""
        codec = self._codecs.get((service, operation, protocol))
        if codec is None:
            model = self._models.operation(service, operation)
            codec = self._codecs[service, operation, protocol] = Codec(model, *self._makers_of(service, protocol))
        return codec

    def _makers_of(self, service: str, protocol: str) -> tuple[Parsers, Serializers]:
        makers = self._makers.get((service, protocol))
        if makers is None:
            metadata = self._models.metadata(service)
            makers = Parsers(protocol), Serializers(protocol, metadata, strict=self._strict)
            self._makers[service, protocol] = makers
        return makers
