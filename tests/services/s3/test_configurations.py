from __future__ import annotations

from typing import Any

import pytest

from tests.services.s3.conftest import error_of

DESTINATION = {"S3BucketDestination": {"Bucket": "arn:aws:s3:::there", "Format": "CSV"}}
KINDS: list[tuple[str, dict[str, Any]]] = [
    ("analytics", {"StorageClassAnalysis": {}}),
    ("metrics", {"Filter": {"Prefix": "a/"}}),
    ("intelligent_tiering", {"Status": "Enabled", "Tierings": [{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"}]}),
    (
        "inventory",
        {
            "Destination": DESTINATION,
            "IsEnabled": True,
            "IncludedObjectVersions": "All",
            "Schedule": {"Frequency": "Daily"},
        },
    ),
]


@pytest.mark.parametrize(("kind", "content"), KINDS)
def test_configurations(s3: Any, bucket: str, kind: str, content: dict[str, Any]) -> None:
    member = f"{kind.title().replace('_', '')}Configuration"
    put, get, delete = (getattr(s3, f"{verb}_bucket_{kind}_configuration") for verb in ("put", "get", "delete"))
    every = getattr(s3, f"list_bucket_{kind}_configurations")
    for name in ("b", "a"):
        put(Bucket=bucket, Id=name, **{member: {"Id": name, **content}})
    assert get(Bucket=bucket, Id="a")[member] == {"Id": "a", **content}
    assert [each["Id"] for each in every(Bucket=bucket)[f"{member}List"]] == ["a", "b"]
    assert error_of(put, Bucket=bucket, Id="x", **{member: {"Id": "y", **content}})["Code"] == "InvalidArgument"
    delete(Bucket=bucket, Id="a")
    missing = error_of(get, Bucket=bucket, Id="a")
    assert (missing["Code"], missing["Status"]) == ("NoSuchConfiguration", 404)
    assert error_of(delete, Bucket=bucket, Id="a")["Code"] == "NoSuchConfiguration"


def test_pages(s3: Any, bucket: str) -> None:
    names = [f"{number:03}" for number in range(101)]
    for name in names:
        s3.put_bucket_metrics_configuration(Bucket=bucket, Id=name, MetricsConfiguration={"Id": name})
    first = s3.list_bucket_metrics_configurations(Bucket=bucket)
    token = first["NextContinuationToken"]
    second = s3.list_bucket_metrics_configurations(Bucket=bucket, ContinuationToken=token)
    told = [each["Id"] for page in (first, second) for each in page["MetricsConfigurationList"]]
    assert (told, first["IsTruncated"], second["IsTruncated"]) == (names, True, False)
