"""SageMaker runtime: predictions from endpoints, and their capture."""

from __future__ import annotations

import base64
import json
import random
import time
import uuid
from typing import TYPE_CHECKING, Any

from clary import arn
from clary.errors import ServiceError
from clary.proxy import ReplicaGone
from clary.services.service import Check, Document, Members, Service

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clary.api import sagemaker_runtime as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.proxy import Answer, Route, Variant

TIMEOUT_S = 60.0


class ValidationError(ServiceError):
    """The endpoint or variant is not there, or not in service."""


class ModelError(ServiceError):
    """The model's container answered with an error, or not at all."""

    status = 424


class Runtime:
    """Calls models."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def invoke_endpoint(self, ctx: Context, request: api.InvokeEndpointInput) -> api.InvokeEndpointOutput:
        """Sends the body to a replica of the endpoint and returns its answer."""
        name = request["EndpointName"]
        route = self._route(ctx, name)
        variant = _variant(route, request.get("TargetVariant", ""), ctx, name)
        body = request.get("Body", b"")
        started = time.perf_counter()
        answer = await _send(variant, _head(request, len(body)), body, ctx, name)
        _count(variant, answer, (time.perf_counter() - started) * 1e6)
        if not 200 <= answer.status < 300:
            raise _model_error(answer.status, answer.body.decode("utf-8", "replace"), ctx, name)
        if route.capture is not None:
            self._capture(ctx, request, variant, route.capture, answer)
        reply: api.InvokeEndpointOutput = {
            "Body": answer.body,
            "ContentType": answer.headers.get("content-type", "application/octet-stream"),
            "InvokedProductionVariant": variant.name,
        }
        attributes = answer.headers.get("x-amzn-sagemaker-custom-attributes")
        if attributes:
            reply["CustomAttributes"] = attributes
        return reply

    def _route(self, ctx: Context, name: str) -> Route:
        route = self._platform.proxy.get((ctx.account, ctx.region, name))
        if route is not None:
            return route
        record = self._platform.records.get("endpoint", ctx.account, ctx.region, name)
        if record is None or record.status in {"Deleting", "Creating", "Failed"}:
            raise ValidationError(f"Endpoint {name} of account {ctx.account} not found.")
        raise ValidationError(f"Endpoint {name} of account {ctx.account} is {record.status} and has no instance.")

    def _capture(
        self,
        ctx: Context,
        request: api.InvokeEndpointInput,
        variant: Variant,
        capture: Mapping[str, Any],
        answer: Answer,
    ) -> None:
        if random.random() * 100 >= capture["InitialSamplingPercentage"]:  # noqa: S311  # a sample, not a secret
            return
        data = {}
        modes = {option["CaptureMode"] for option in capture["CaptureOptions"]}
        if modes & {"Input", "InputAndOutput"}:
            content_type = request.get("ContentType", "application/octet-stream")
            data["endpointInput"] = _captured(content_type, "INPUT", request.get("Body", b""), capture)
        if modes & {"Output", "InputAndOutput"}:
            content_type = answer.headers.get("content-type", "")
            data["endpointOutput"] = _captured(content_type, "OUTPUT", answer.body, capture)
        metadata: dict[str, Any] = {"eventId": str(uuid.uuid4()), "inferenceTime": f"{ctx.now:%Y-%m-%dT%H:%M:%SZ}"}
        if "InferenceId" in request:
            metadata["inferenceId"] = request["InferenceId"]
        if "CustomAttributes" in request:
            metadata["customAttributes"] = [request["CustomAttributes"]]
        line = {"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}
        endpoint = (ctx.account, ctx.region, request["EndpointName"])
        self._platform.spool.append(endpoint, variant.name, json.dumps(line, separators=(",", ":")).encode())


async def _send(variant: Variant, head: bytes, body: bytes, ctx: Context, name: str) -> Answer:
    try:
        return await variant.pick().send(head, body, TIMEOUT_S)
    except TimeoutError:
        variant.counters.errors_5xx += 1
        text = (
            "Your invocation timed out while waiting for a response from container primary. Review the latency metrics "
            "for each container in Amazon CloudWatch, resolve the issue, and try again."
        )
        raise _model_error(0, text, ctx, name) from None
    except ReplicaGone as error:
        variant.counters.errors_5xx += 1
        raise _model_error(502, f"The model server is not in service: {error}", ctx, name) from None


def _variant(route: Route, target: str, ctx: Context, name: str) -> Variant:
    try:
        return route.pick(target)
    except KeyError:
        raise ValidationError(f"Variant {target} not found for endpoint {name} of account {ctx.account}.") from None


_FORWARDED = (
    ("ContentType", "Content-Type"),
    ("Accept", "Accept"),
    ("CustomAttributes", "X-Amzn-SageMaker-Custom-Attributes"),
    ("TargetModel", "X-Amzn-SageMaker-Target-Model"),
    ("TargetVariant", "X-Amzn-SageMaker-Target-Variant"),
    ("InferenceId", "X-Amzn-SageMaker-Inference-Id"),
    ("SessionId", "X-Amzn-SageMaker-Session-Id"),
)


def _head(request: Members, length: int) -> bytes:
    lines = ["POST /invocations HTTP/1.1", "Host: model", f"Content-Length: {length}"]
    for member, header in _FORWARDED:
        value = request.get(member)
        if value:
            if "\r" in value or "\n" in value:
                raise ValidationError(f"{member} must be one line.")
            lines.append(f"{header}: {value}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")


def _count(variant: Variant, answer: Answer, latency_us: float) -> None:
    counters = variant.counters
    counters.invocations += 1
    counters.latencies.append(latency_us)
    if 400 <= answer.status < 500:
        counters.errors_4xx += 1
    elif answer.status >= 500:
        counters.errors_5xx += 1


def _model_error(status: int, text: str, ctx: Context, name: str) -> ModelError:
    side = "client" if 400 <= status < 500 else "server"
    group = f"/aws/sagemaker/Endpoints/{name}"
    where = (
        f"https://{ctx.region}.console.aws.amazon.com/cloudwatch/home?region={ctx.region}#logEventViewer:group={group}"
    )
    return ModelError(
        f'Received {side} error ({status}) from primary with message "{text[:1024]}". '
        f"See {where} in account {ctx.account} for more information.",
        OriginalStatusCode=status,
        OriginalMessage=text[:1024],
        LogStreamArn=arn.build("logs", ctx.region, ctx.account, f"log-group:{group}"),
    )


def _captured(content_type: str, mode: str, body: bytes, capture: Mapping[str, Any]) -> dict[str, str]:
    plain = content_type.partition(";")[0].strip().lower()
    headers = capture.get("CaptureContentTypeHeader", {})
    encoding = "BASE64"
    if plain in headers.get("CsvContentTypes", ()):
        encoding = "CSV"
    elif plain in headers.get("JsonContentTypes", ()):
        encoding = "JSON"
    data = base64.b64encode(body).decode() if encoding == "BASE64" else body.decode("utf-8", "replace")
    return {"observedContentType": content_type, "mode": mode, "data": data, "encoding": encoding}


def access(platform: Platform, ctx: Context, request: Document) -> Sequence[Check]:  # noqa: ARG001  # the contract's shape
    """InvokeEndpoint on the endpoint's ARN."""
    resource = arn.build("sagemaker", ctx.region, ctx.account, f"endpoint/{request.get('EndpointName', '*')}")
    return [Check(f"sagemaker:{ctx.operation}", resource)]


SERVICE = Service("sagemaker-runtime", Runtime, access=access)
