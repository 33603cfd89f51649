from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from clary.http import BytesBody, Request, Response
from tests.services.s3.conftest import error_of

if TYPE_CHECKING:
    from tests.cloud import Cloud

PAGE = "https://page.example.org"


@pytest.fixture
def s3(cloud: Cloud) -> Any:
    client = cloud.client("s3")
    client.create_bucket(Bucket="shared", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    rule = {"AllowedMethods": ["GET"], "AllowedOrigins": ["https://*.example.org"], "ExposeHeaders": ["ETag"]}
    client.put_bucket_cors(Bucket="shared", CORSConfiguration={"CORSRules": [rule]})
    return client


def fetch(cloud: Cloud, method: str = "GET", **headers: str) -> Response:
    request = Request(method, "/shared/k", "", {"host": "127.0.0.1", **headers}, BytesBody(b""))
    return asyncio.run(cloud.parts.gateway.handle(request))


@pytest.mark.usefixtures("s3")
def test_answers_tell_pages_whether_they_may_read_them(cloud: Cloud) -> None:
    told = fetch(cloud, origin=PAGE)
    assert told.status == 403  # refusals too
    assert told.headers["Access-Control-Allow-Origin"] == PAGE
    assert told.headers["Access-Control-Expose-Headers"] == "ETag"
    assert told.headers["Vary"] == "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize(
    ("method", "headers"), [("GET", {}), ("GET", {"origin": "https://e.com"}), ("PUT", {"origin": PAGE})]
)
def test_nothing_is_told_where_no_rule_fits(cloud: Cloud, method: str, headers: dict[str, str]) -> None:
    assert "Access-Control-Allow-Origin" not in fetch(cloud, method, **headers).headers


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"AllowedMethods": ["PATCH"]}, "Found unsupported HTTP method in CORS config. Unsupported method is PATCH"),
        ({"AllowedOrigins": ["*.*"]}, 'AllowedOrigin "*.*" can not have more than one wildcard.'),
        ({"ExposeHeaders": ["x-*"]}, 'ExposeHeader "x-*" contains wildcard.'),
    ],
)
def test_rules_that_are_refused(s3: Any, change: dict[str, Any], message: str) -> None:
    rule = {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"], **change}
    error = error_of(s3.put_bucket_cors, Bucket="shared", CORSConfiguration={"CORSRules": [rule]})
    assert error["Code"] == "InvalidRequest"
    assert error["Message"].startswith(message)
