from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from clary.http import BytesBody, Request, Response
from clary.services.s3.grants import SWITCHES

if TYPE_CHECKING:
    from tests.cloud import Cloud

SITE = "my.site"
DOMAIN_HOST = "my.site.s3-website.amazonaws.com"

Visit = Callable[..., Response]


@pytest.fixture
def s3(cloud: Cloud) -> Any:
    """A client, and a bucket that everybody may read."""
    client = cloud.client("s3")
    client.create_bucket(Bucket=SITE, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    client.put_public_access_block(Bucket=SITE, PublicAccessBlockConfiguration=dict.fromkeys(SWITCHES, False))
    allow = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{SITE}", f"arn:aws:s3:::{SITE}/*"],
    }
    client.put_bucket_policy(Bucket=SITE, Policy=json.dumps({"Version": "2012-10-17", "Statement": allow}))
    for key in ("index.html", "docs/index.html", "lost.html", "a b.txt"):
        client.put_object(Bucket=SITE, Key=key, Body=key.encode(), ContentType="text/html")
    return client


@pytest.fixture
def visit(cloud: Cloud) -> Visit:
    """Fetches a page, by the host of the website or by the path for websites."""

    def fetch(path: str, *, host: str = DOMAIN_HOST, method: str = "GET", **headers: str) -> Response:
        request = Request(method, path, "", {"host": host, **headers}, BytesBody(b""))
        return asyncio.run(cloud.parts.gateway.handle(request))

    return fetch


def configure(s3: Any, **configuration: Any) -> None:
    s3.put_bucket_website(Bucket=SITE, WebsiteConfiguration=configuration)


def test_pages(s3: Any, visit: Visit) -> None:
    configure(s3, IndexDocument={"Suffix": "index.html"})
    for path, body in (("/", b"index.html"), ("/docs/", b"docs/index.html"), ("/a%20b.txt", b"a b.txt")):
        response = visit(path)
        assert (response.status, response.body) == (200, body)
        assert visit(f"/_website/{SITE}{path}", host="127.0.0.1").body == body
    assert response.headers["Content-Type"] == "text/html"
    assert "content-security-policy" not in response.headers
    assert visit(f"/_website/{SITE}/", host="x").headers["content-security-policy"].startswith("sandbox ")
    assert visit("/index.html", range="bytes=0-4").body == b"index"
    folder = visit("/docs")
    assert (folder.status, folder.headers["location"]) == (302, "/docs/")
    assert visit(f"/_website/{SITE}/docs", host="x").headers["location"] == f"/_website/{SITE}/docs/"


def test_errors(s3: Any, visit: Visit) -> None:
    configure(s3, IndexDocument={"Suffix": "index.html"})
    lost = visit("/<none>")
    assert (lost.status, lost.headers["x-amz-error-code"]) == (404, "NoSuchKey")
    assert isinstance(lost.body, bytes)
    assert b"<li>Key: &lt;none&gt;</li>" in lost.body
    configure(s3, IndexDocument={"Suffix": "index.html"}, ErrorDocument={"Key": "lost.html"})
    lost = visit("/none")
    assert (lost.status, lost.body) == (404, b"lost.html")
    assert visit("/", method="POST").status == 405
    assert visit("/", host="nothing.s3-website.amazonaws.com").headers["x-amz-error-code"] == "NoSuchBucket"
    s3.delete_bucket_website(Bucket=SITE)
    assert visit("/").headers["x-amz-error-code"] == "NoSuchWebsiteConfiguration"


def test_nobody_sees_what_is_closed(s3: Any, visit: Visit) -> None:
    configure(s3, IndexDocument={"Suffix": "index.html"}, ErrorDocument={"Key": "lost.html"})
    s3.delete_bucket_policy(Bucket=SITE)
    closed = visit("/")
    assert (closed.status, closed.headers["x-amz-error-code"]) == (403, "AccessDenied")
    assert isinstance(closed.body, bytes)
    assert b"Custom Error Document" in closed.body


def test_redirects(s3: Any, visit: Visit) -> None:
    rules = [
        {"Condition": {"KeyPrefixEquals": "old/"}, "Redirect": {"ReplaceKeyPrefixWith": "docs/"}},
        {
            "Condition": {"HttpErrorCodeReturnedEquals": "404", "KeyPrefixEquals": "gone/"},
            "Redirect": {"HostName": "example.org", "Protocol": "https", "HttpRedirectCode": "302"},
        },
    ]
    configure(s3, IndexDocument={"Suffix": "index.html"}, RoutingRules=rules)
    moved = visit("/old/x")
    assert (moved.status, moved.headers["location"]) == (301, "/docs/x")
    gone = visit("/gone/x")
    assert (gone.status, gone.headers["location"]) == (302, "https://example.org/gone/x")
    s3.put_object(Bucket=SITE, Key="there", WebsiteRedirectLocation="/index.html")
    there = visit("/there")
    assert (there.status, there.headers["location"]) == (301, "/index.html")
    configure(s3, RedirectAllRequestsTo={"HostName": "example.org"})
    assert visit("/a/b").headers["location"] == "http://example.org/a/b"


@pytest.mark.parametrize(
    "configuration",
    [
        {"ErrorDocument": {"Key": "e"}},
        {"IndexDocument": {"Suffix": "a/b"}},
        {"RedirectAllRequestsTo": {"HostName": "h"}, "IndexDocument": {"Suffix": "i"}},
        {"RedirectAllRequestsTo": {"HostName": "h", "Protocol": "ftp"}},
        {
            "IndexDocument": {"Suffix": "i"},
            "RoutingRules": [{"Redirect": {"ReplaceKeyWith": "a", "ReplaceKeyPrefixWith": "b"}}],
        },
        {
            "IndexDocument": {"Suffix": "i"},
            "RoutingRules": [{"Redirect": {"HttpRedirectCode": "200", "HostName": "h"}}],
        },
    ],
)
def test_configurations_that_are_refused(s3: Any, configuration: dict[str, Any]) -> None:
    with pytest.raises(s3.exceptions.ClientError) as caught:
        configure(s3, **configuration)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
