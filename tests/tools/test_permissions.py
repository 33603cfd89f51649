from __future__ import annotations

from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "permissions.md"


@pytest.mark.parametrize(
    ("operation", "needed"),
    [
        ("GetObject", "`s3:GetObject` on `arn:aws:s3:::${Bucket}/${Key}`"),
        ("CopyObject", "`s3:GetObject` on `arn:aws:s3:::${SourceBucket}/${SourceKey}`"),
        ("ListObjectsV2", "`s3:ListBucket` on `arn:aws:s3:::${Bucket}`"),
        ("CreateTrainingJob", "`iam:PassRole` on `"),
        ("GetUser", "`iam:GetUser` on `arn:aws:iam::${Account}:user/${UserName}`"),
        ("AssumeRole", "`sts:AssumeRole` on `"),
        ("GetCallerIdentity", "none"),
        ("RunInstances", "`ec2:RunInstances` on `arn:aws:ec2:${Region}::image/${ImageId}`"),
    ],
)
def test_page_tells_what_operations_need(operation: str, needed: str) -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(f"| {operation} |")]
    assert any(needed in row for row in rows)
