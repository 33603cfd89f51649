from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Client


@pytest.fixture(scope="session")
def s3(client: Client) -> Any:
    return client("s3")


@pytest.fixture
def make_bucket(s3: Any) -> Iterator[Callable[..., str]]:
    """Makes buckets that are emptied and removed after the test."""
    made: list[str] = []

    def make(**options: Any) -> str:
        name = f"test-{uuid.uuid4().hex}"
        s3.create_bucket(Bucket=name, **options)
        made.append(name)
        return name

    yield make
    for name in made:
        empty(s3, name)


@pytest.fixture
def bucket(make_bucket: Callable[..., str]) -> str:
    return make_bucket()


def empty(s3: Any, name: str) -> None:
    """Removes a bucket with all that is in it, if it is still there."""
    try:
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
            for version in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                s3.delete_object(Bucket=name, Key=version["Key"], VersionId=version["VersionId"])
        s3.delete_bucket(Bucket=name)
    except s3.exceptions.NoSuchBucket:
        return


def error_of(call: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """The error that a call ends with: its code, message and status, and its further members."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return {**response["Error"], "Status": response["ResponseMetadata"]["HTTPStatusCode"]}
