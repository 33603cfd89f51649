from __future__ import annotations

from typing import Any

import pytest

from tests.services.s3.conftest import error_of

KEYS = ["a", "b/1", "b/2", "b/c/3", "d e&<>", "f+%", "ü/ä", "\u2028line"]


@pytest.fixture
def filled(s3: Any, bucket: str) -> str:
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return bucket


def test_keys_come_in_the_order_of_their_bytes(s3: Any, filled: str) -> None:
    wanted = sorted(KEYS, key=lambda key: key.encode())
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=filled)["Contents"]] == wanted
    assert [item["Key"] for item in s3.list_objects(Bucket=filled)["Contents"]] == wanted
    item = s3.list_objects_v2(Bucket=filled, FetchOwner=True)["Contents"][0]
    assert (item["Size"], item["StorageClass"], len(item["Owner"]["ID"])) == (1, "STANDARD", 64)
    assert item["LastModified"] == s3.head_object(Bucket=filled, Key="a")["LastModified"]


def test_delimiters_fold_keys(s3: Any, filled: str) -> None:
    page = s3.list_objects_v2(Bucket=filled, Delimiter="/")
    assert [each["Prefix"] for each in page["CommonPrefixes"]] == ["b/", "ü/"]
    assert page["KeyCount"] == 6
    below = s3.list_objects_v2(Bucket=filled, Delimiter="/", Prefix="b/")
    assert [each["Key"] for each in below["Contents"]] == ["b/1", "b/2"]
    assert [each["Prefix"] for each in below["CommonPrefixes"]] == ["b/c/"]


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2", "list_object_versions"])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_pages_make_up_the_whole(s3: Any, filled: str, operation: str, delimiter: str) -> None:
    pages = s3.get_paginator(operation).paginate(Bucket=filled, Delimiter=delimiter, PaginationConfig={"PageSize": 2})
    found = []
    for page in pages:
        lines = [*page.get("Contents", []), *page.get("Versions", []), *page.get("CommonPrefixes", [])]
        assert len(lines) <= 2
        found += [line.get("Key") or line.get("Prefix") for line in lines]
    folded = {key.split("/")[0] + "/" if "/" in key and delimiter else key for key in KEYS}
    assert sorted(found) == sorted(folded)


def test_listings_begin_where_they_are_told(s3: Any, filled: str) -> None:
    after = s3.list_objects_v2(Bucket=filled, StartAfter="b/1", Prefix="b/")
    assert [item["Key"] for item in after["Contents"]] == ["b/2", "b/c/3"]
    assert after["StartAfter"] == "b/1"
    marked = s3.list_objects(Bucket=filled, Marker="b/2", Prefix="b/")
    assert ([item["Key"] for item in marked["Contents"]], marked["Marker"]) == (["b/c/3"], "b/2")
    nothing = s3.list_objects_v2(Bucket=filled, MaxKeys=0)
    assert (nothing["KeyCount"], nothing["IsTruncated"]) == (0, False)


def test_arguments_that_cannot_be_are_refused(s3: Any, filled: str) -> None:
    assert error_of(s3.list_objects_v2, Bucket=filled, MaxKeys=-1)["Code"] == "InvalidArgument"
    assert error_of(s3.list_objects_v2, Bucket=filled, ContinuationToken="***")["Code"] == "InvalidArgument"
