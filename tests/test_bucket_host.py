from __future__ import annotations

import pytest

from clary.bucket_host import BucketHost, bucket_host


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:4100", BucketHost()),
        ("example.org", BucketHost()),
        ("photos.example.org:4100", BucketHost("photos")),
        ("Photos.Example.org", BucketHost("photos")),
        ("a.b.example.org", BucketHost("a.b")),
        ("s3.example.org", BucketHost()),
        ("s3.eu-west-1.example.org", BucketHost()),
        ("photos.s3.eu-west-1.example.org", BucketHost("photos")),
        ("photos.s3-eu-west-1.example.org", BucketHost("photos")),
        ("a.b.s3.example.org", BucketHost("a.b")),
        ("photos.s3-website.example.org", BucketHost("photos", website=True)),
        ("photos.s3-website-eu-west-1.example.org", BucketHost("photos", website=True)),
        ("photos.s3.us-east-1.amazonaws.com", BucketHost("photos")),
        ("s3.dualstack.us-east-1.amazonaws.com", BucketHost()),
        ("sts.amazonaws.com", BucketHost()),
    ],
)
def test_hosts(host: str, expected: BucketHost) -> None:
    assert bucket_host(host, "example.org") == expected


def test_without_a_domain() -> None:
    assert bucket_host("photos.example.org", "") == BucketHost()
