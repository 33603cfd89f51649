"""From an HTTP request to the operation that it calls."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from clary.errors import RequestEntityTooLarge
from clary.protocol import s3_routes
from clary.protocol.codec import Codec, Codecs
from clary.protocol.errors import (
    InvalidAction,
    InvalidURI,
    MethodNotAllowed,
    MissingAction,
    RequestTooLarge,
    RoutingError,
    UnknownOperationException,
    UnknownService,
)
from clary.protocol.parse import BODY_LIMIT_BYTES, read_body
from clary.protocol.rest import parse_query
from clary.protocol.s3_routes import S3Routes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.model import OperationModel

    from clary.http import Request
    from clary.protocol.model import Models

__all__ = ["Call", "Router", "RoutingError", "signing_name"]

CBOR = "smithy-rpc-v2-cbor"
_CREDENTIAL = re.compile(r"Credential=[^/]+/[^/]+/[^/]+/([^/]+)/aws4_request")
_PRESIGNED = re.compile(r"(?:^|&)X-Amz-Credential=([^&]+)", re.IGNORECASE)
_CBOR_PATH = re.compile(r"/service/([^/]+)/operation/([^/]+)")
_FORM = "application/x-www-form-urlencoded"
_QUERY = frozenset({"query", "ec2"})
_NONE: Mapping[str, str] = MappingProxyType({})


class Call(NamedTuple):
    """One operation as a request calls it.

    `protocol` is the name that botocore gives it; `parameters` are the decoded labels of a REST path, or the fields of
    a form.
    """

    service: str
    operation: str
    protocol: str
    model: OperationModel
    parameters: Mapping[str, str]
    codec: Codec


class Router:
    """Finds the operation of each request to the one port that serves all services.

    `s3_domain` is the domain below which buckets are host names; `strict` makes response members that the model does
    not know an error, for tests.
    """

    def __init__(self, models: Models, s3_domain: str, *, strict: bool = False) -> None:
        self._models = models
        self._s3_domain = s3_domain.lower()
        self.codecs = Codecs(models, strict=strict)
        self._by_target: dict[str, str] = {}
        self._by_signing_name: dict[str, list[str]] = {}
        self._by_version: dict[str, str] = {}
        for service in models.services:
            self._register(service)
        self._paths: dict[str, _PathRoutes] = {}
        self._known: dict[tuple[str, str, str], tuple[OperationModel, Codec]] = {}
        self._s3: S3Routes | None = None

    def _register(self, service: str) -> None:
        metadata = self._models.metadata(service)
        self._by_signing_name.setdefault(self._models.signing_name(service), []).append(service)
        if "targetPrefix" in metadata:
            self._by_target[metadata["targetPrefix"]] = service
        if _QUERY.intersection(self._models.protocols(service)):
            self._by_version[metadata["apiVersion"]] = service

    async def route(self, http: Request) -> Call:
        """The operation that a request calls.

        Raises:
            RoutingError: there is none; the error tells service and protocol.
        """
        target = http.headers.get("x-amz-target")
        if target is not None:
            return self._target_call(target)
        signed_for = signing_name(http)
        if "smithy-protocol" in http.headers:
            return self._cbor_call(http.path)
        if signed_for == "s3" or (signed_for is None and not _is_form_call(http)):
            return self._s3_call(http)
        if signed_for is None:
            return await self._form_call(http, None)
        services = self._by_signing_name.get(signed_for)
        if services is None:
            message = f"The service {signed_for} is not available."
            raise UnknownService(message, service=signed_for, protocol=_likely_protocol(http))
        if _QUERY.intersection(self._models.protocols(services[0])):
            return await self._form_call(http, services[0])
        return self._path_call(http, services)

    def _target_call(self, target: str) -> Call:
        prefix, _, operation = target.rpartition(".")
        service = self._by_target.get(prefix)
        if service is None:
            raise UnknownOperationException(f"Unknown target {target}", service="", protocol="json")
        return self._call(service, operation, "json")

    def _cbor_call(self, path: str) -> Call:
        match = _CBOR_PATH.fullmatch(path)
        service = self._by_target.get(match[1]) if match else None
        if match is None or service is None:
            raise UnknownOperationException(f"Unknown path {path}", service="", protocol=CBOR)
        return self._call(service, match[2], CBOR)

    def _call(self, service: str, operation: str, protocol: str, parameters: Mapping[str, str] = _NONE) -> Call:
        known = self._known.get((service, operation, protocol))
        if known is None:
            known = self._known[service, operation, protocol] = self._find(service, operation, protocol)
        return Call(service, operation, protocol, known[0], parameters, known[1])

    def _find(self, service: str, operation: str, protocol: str) -> tuple[OperationModel, Codec]:
        if protocol not in self._models.protocols(service):
            raise _unknown_operation(service, operation, protocol)
        try:
            model = self._models.operation(service, operation)
        except KeyError:
            raise _unknown_operation(service, operation, protocol) from None
        return model, self.codecs.codec(service, operation, protocol)

    async def _form_call(self, http: Request, service: str | None) -> Call:
        try:
            text = (await read_body(http, BODY_LIMIT_BYTES)).decode("utf-8", "replace")
        except RequestEntityTooLarge as error:
            raise RequestTooLarge(error.message, service=service or "sts", protocol="query") from None
        read = {**parse_query(http.query), **parse_query(text)}
        fields = {name: values[-1] for name, values in read.items()}
        if service is None:
            # Calls that need no signature (AssumeRoleWithWebIdentity) tell their service by its version alone.
            service = self._by_version.get(fields.get("Version", ""), "sts")
        protocol = "ec2" if service == "ec2" else "query"
        if "Action" not in fields:
            raise MissingAction("Could not find operation", service=service, protocol=protocol)
        return self._call(service, fields["Action"], protocol, fields)

    def _path_call(self, http: Request, services: list[str]) -> Call:
        for service in services:
            if self._models.protocols(service)[0] != "rest-json":
                continue
            routes = self._paths.get(service)
            if routes is None:
                routes = self._paths[service] = _PathRoutes(self._models, service)
            found = routes.find(http.method, http.path)
            if found is not None:
                return self._call(service, found[0], "rest-json", found[1])
        raise UnknownOperationException(
            f"Unable to determine service/operation name of {http.method} {http.path}",
            service=services[0],
            protocol="rest-json",
        )

    def _s3_call(self, http: Request) -> Call:
        if self._s3 is None:
            self._s3 = S3Routes(self._models.service("s3"))
        try:
            address = s3_routes.address(http.path, http.headers.get("host", ""), self._s3_domain)
        except ValueError:
            raise InvalidURI("Couldn't parse the specified URI.", service="s3", protocol="rest-xml") from None
        operation = self._s3.operation(http.method, address, parse_query(http.query), http.headers)
        if operation is None:
            raise MethodNotAllowed(
                "The specified method is not allowed against this resource.", service="s3", protocol="rest-xml"
            )
        labels = {"Bucket": address.bucket, "Key": address.key} if address.key else {"Bucket": address.bucket}
        return self._call("s3", operation, "rest-xml", labels)


class _PathRoutes:
    """The path templates of one REST service."""

    def __init__(self, models: Models, service: str) -> None:
        self._templates: list[tuple[str, list[str], str]] = []
        for name in models.service(service).operation_names:
            http = models.operation(service, name).http
            self._templates.append((http["method"], http["requestUri"].partition("?")[0].split("/"), name))

    def find(self, method: str, path: str) -> tuple[str, dict[str, str]] | None:
        """The operation and its decoded labels."""
        parts = path.split("/")
        for expected, template, name in self._templates:
            if expected == method and len(template) == len(parts):
                labels = _match(template, parts)
                if labels is not None:
                    return name, labels
        return None


def _match(template: list[str], parts: list[str]) -> dict[str, str] | None:
    labels = {}
    for expected, part in zip(template, parts, strict=True):
        if expected.startswith("{"):
            if not part:
                return None
            labels[expected.strip("{}+")] = unquote(part)
        elif expected != part:
            return None
    return labels


def signing_name(http: Request) -> str | None:
    """The service that a request says it is signed for; None when it says nothing."""
    authorization = http.headers.get("authorization")
    if authorization is not None:
        match = _CREDENTIAL.search(authorization)
        return match[1] if match else None
    presigned = _PRESIGNED.search(http.query) if http.query else None
    if presigned is None:
        return None
    scope = unquote(presigned[1]).split("/")
    return scope[3] if len(scope) == 5 else None


def _is_form_call(http: Request) -> bool:
    content_type = http.headers.get("content-type", "")
    return http.method == "POST" and http.path == "/" and content_type.startswith(_FORM)


def _likely_protocol(http: Request) -> str:
    content_type = http.headers.get("content-type", "")
    return "query" if content_type.startswith(_FORM) else "rest-json"


def _unknown_operation(service: str, operation: str, protocol: str) -> RoutingError:
    if protocol in _QUERY:
        message = f"The action {operation} is not valid for this web service."
        return InvalidAction(message, service=service, protocol=protocol)
    return UnknownOperationException(f"Unknown operation {operation}", service=service, protocol=protocol)
