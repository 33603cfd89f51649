"""Buckets as websites: the configuration, and where it sends a request.

Source: "Hosting a static website using Amazon S3" and "Syntax for redirection rules", Amazon S3 user guide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from clary.services.s3.bucket import bucket_of, edit
from clary.services.s3.errors import InvalidArgument, InvalidRequest, MalformedXML, NoSuchWebsiteConfiguration

if TYPE_CHECKING:
    from clary.api import s3 as api
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Members

CONFIGURATION = "WebsiteConfiguration"
MAX_RULES = 50

_MEMBERS = ("RedirectAllRequestsTo", "IndexDocument", "ErrorDocument", "RoutingRules")
_PROTOCOLS = (None, "http", "https")


class Website:
    """What a bucket shows to browsers."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def put_bucket_website(self, ctx: Context, request: api.PutBucketWebsiteRequest) -> None:
        """Makes a bucket a website."""
        bucket = bucket_of(self._platform, request)
        asked: Members = request.get("WebsiteConfiguration") or {}
        configuration = {name: asked[name] for name in _MEMBERS if asked.get(name)}
        _refuse_configuration(configuration)
        edit(self._platform, bucket, ctx, lambda spec: spec.update({CONFIGURATION: configuration}))

    def get_bucket_website(self, _: Context, request: api.GetBucketWebsiteRequest) -> Document:
        """What the website is."""
        configuration = bucket_of(self._platform, request).spec.get(CONFIGURATION)
        if configuration is None:
            raise NoSuchWebsiteConfiguration(
                "The specified bucket does not have a website configuration", BucketName=request["Bucket"]
            )
        return dict(configuration)

    def delete_bucket_website(self, ctx: Context, request: api.DeleteBucketWebsiteRequest) -> None:
        """Ends the website; the objects stay."""
        edit(self._platform, bucket_of(self._platform, request), ctx, lambda spec: spec.pop(CONFIGURATION, None))


class Redirect(NamedTuple):
    """Where a request is sent instead; protocol and host are empty when they stay."""

    status: int
    protocol: str
    host: str
    key: str


def redirect_of(configuration: Members, key: str, status: int = 0) -> Redirect | None:
    """Where the website sends a request for `key`, before it is tried or after it ended with the error `status`."""
    everything = configuration.get("RedirectAllRequestsTo")
    if everything:
        return Redirect(301, everything.get("Protocol", ""), everything["HostName"], key)
    for rule in configuration.get("RoutingRules", ()):
        condition = rule.get("Condition") or {}
        code = int(condition.get("HttpErrorCodeReturnedEquals") or 0)
        prefix = condition.get("KeyPrefixEquals", "")
        if code == status and key.startswith(prefix):
            return _redirect(rule["Redirect"], key, prefix)
    return None


def _redirect(target: Members, key: str, prefix: str) -> Redirect:
    if "ReplaceKeyWith" in target:
        key = target["ReplaceKeyWith"]
    elif "ReplaceKeyPrefixWith" in target:
        key = target["ReplaceKeyPrefixWith"] + key[len(prefix) :]
    status = int(target.get("HttpRedirectCode") or 301)
    return Redirect(status, target.get("Protocol", ""), target.get("HostName", ""), key)


def _refuse_configuration(configuration: Members) -> None:
    everything, index = configuration.get("RedirectAllRequestsTo"), configuration.get("IndexDocument")
    if everything:
        if len(configuration) > 1:
            raise InvalidArgument("RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.")
        if not everything.get("HostName"):
            raise MalformedXML
        _refuse_protocol(everything)
        return
    if not index:
        raise InvalidArgument(
            "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty",
            "IndexDocument",
            "null",
        )
    suffix = index.get("Suffix")
    if not suffix or "/" in suffix:
        raise InvalidArgument("The IndexDocument Suffix is not well formed", "IndexDocument", suffix)
    rules = configuration.get("RoutingRules", ())
    if len(rules) > MAX_RULES:
        raise InvalidArgument(f"Too many routing rules: the limit is {MAX_RULES}", "RoutingRules", len(rules))
    for rule in rules:
        _refuse_rule(rule)


def _refuse_rule(rule: Members) -> None:
    target, condition = rule.get("Redirect"), rule.get("Condition")
    if not target:
        raise MalformedXML
    _refuse_protocol(target)
    if "ReplaceKeyWith" in target and "ReplaceKeyPrefixWith" in target:
        raise InvalidRequest("You can only define ReplaceKeyPrefix or ReplaceKey but not both.")
    if condition is not None and not condition:
        raise InvalidRequest(
            "Condition cannot be empty. To redirect all requests without a condition, "
            "the condition element shouldn't be present."
        )
    redirect_code, error_code = target.get("HttpRedirectCode"), (condition or {}).get("HttpErrorCodeReturnedEquals")
    if redirect_code and not _is_code(redirect_code, 301, 399):
        raise InvalidRequest(
            f"The provided HTTP redirect code ({redirect_code}) is not valid. Valid codes are 3XX except 300."
        )
    if error_code and not _is_code(error_code, 400, 599):
        raise InvalidRequest(f"The provided HTTP error code ({error_code}) is not valid. Valid codes are 4XX or 5XX.")


def _refuse_protocol(target: Members) -> None:
    if target.get("Protocol") not in _PROTOCOLS:
        raise InvalidRequest(
            "Invalid protocol, protocol can be http or https. "
            "If not defined the protocol will be selected automatically."
        )


def _is_code(text: str, low: int, high: int) -> bool:
    return text.isdigit() and low <= int(text) <= high
