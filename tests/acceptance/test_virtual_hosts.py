"""Buckets as host names, through real sockets: what boto3 sends when nobody tells it to use paths."""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from tests.conftest import short_home
from tests.server import ClaryServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.awsrequest import AWSPreparedRequest

DOMAIN = "s3.clary.test"
KEY = "a b/ü+.txt"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClaryServer]:
    server = ClaryServer(short_home(tmp_path_factory), settings={"CLARY_S3_DOMAIN": DOMAIN})
    server.start()
    yield server
    server.stop()


def client(server: ClaryServer, host: str, signature: str) -> Any:
    """A client of a host that no name server knows: its requests go to this machine."""
    keys = server.client("s3")._request_signer._credentials
    made = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{server.port}",
        region_name="us-east-1",
        aws_access_key_id=keys.access_key,
        aws_secret_access_key=keys.secret_key,
        config=Config(signature_version=signature, s3={"addressing_style": "virtual"}),
    )

    def send_here(request: AWSPreparedRequest, **_: object) -> None:
        parts = urlsplit(request.url)
        request.headers["Host"] = parts.netloc
        request.url = parts._replace(netloc=f"127.0.0.1:{server.port}").geturl()

    made.meta.events.register("before-send", send_here)
    return made


@pytest.mark.parametrize("signature", ["s3v4", "s3"])
@pytest.mark.parametrize("host", [DOMAIN, f"s3.us-east-1.{DOMAIN}"])
def test_objects(running: ClaryServer, host: str, signature: str) -> None:
    s3 = client(running, host, signature)
    bucket = f"{signature}-{len(host)}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key=KEY, Body=b"hello")
    assert s3.get_object(Bucket=bucket, Key=KEY)["Body"].read() == b"hello"
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["Key"] == KEY
    link = urlsplit(s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": KEY}))
    assert link.netloc.startswith(bucket)
    here = link._replace(netloc=f"127.0.0.1:{running.port}").geturl()
    with urllib.request.urlopen(urllib.request.Request(here, headers={"Host": link.netloc})) as response:
        assert response.read() == b"hello"
