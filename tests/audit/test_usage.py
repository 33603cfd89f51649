from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.audit.usage import from_usage, grouped
from clary.auth.patterns import glob
from clary.store.audit import Search
from tests.audit.world import ACCOUNT, allow, bucket, refused, role, user

if TYPE_CHECKING:
    from tests.cloud import Cloud

BUCKET = "arn:aws:s3:::data"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"


def usage_of(cloud: Cloud, arn: str, since: datetime) -> Any:
    return from_usage(cloud.parts.platform.audit.all(Search(entity=arn, since=since)))


def limit_to(cloud: Cloud, name: str, policy: dict[str, Any]) -> None:
    """Takes every policy from a user but this one."""
    iam = cloud.client("iam")
    iam.delete_user_policy(UserName=name, PolicyName="own")
    arn = iam.create_policy(PolicyName="least", PolicyDocument=json.dumps(policy))["Policy"]["Arn"]
    iam.attach_user_policy(UserName=name, PolicyArn=arn)


def test_the_policy_suffices_for_the_usage_and_for_nothing_else(cloud: Cloud) -> None:
    since = datetime.now(UTC)
    bucket(cloud)
    runner = role(cloud, "runner", {"Service": "sagemaker.amazonaws.com"})
    keys = user(cloud, "ada", allow("*"))
    s3, sagemaker, sts = (cloud.client(name, keys) for name in ("s3", "sagemaker", "sts"))

    def work(name: str) -> None:
        s3.put_object(Bucket="data", Key="out/a.csv", Body=b"1")
        s3.get_object(Bucket="data", Key="a/x.csv")
        s3.list_objects_v2(Bucket="data")
        with pytest.raises(s3.exceptions.NoSuchKey):
            s3.get_object(Bucket="data", Key="a/missing.csv")
        sts.get_caller_identity()
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=runner, PrimaryContainer={"Image": IMAGE})

    work("model-2026-01-31-10-00-00-123")
    usage = usage_of(cloud, f"arn:aws:iam::{ACCOUNT}:user/ada", since)
    limit_to(cloud, "ada", usage.policy)
    work("model-2026-02-01-10-00-00-456")
    refused(cloud, lambda: s3.delete_object(Bucket="data", Key="a/x.csv"))
    refused(cloud, lambda: s3.get_object(Bucket="data", Key="out/a.csv"))
    refused(cloud, lambda: cloud.client("iam", keys).list_users())
    other = role(cloud, "other", {"Service": "sagemaker.amazonaws.com"})
    refused(
        cloud,
        lambda: sagemaker.create_model(ModelName="m", ExecutionRoleArn=other, PrimaryContainer={"Image": IMAGE}),
    )


def test_what_was_refused_is_not_in_it(cloud: Cloud) -> None:
    since = datetime.now(UTC)
    keys = user(cloud, "bob", allow("s3:ListAllMyBuckets"))
    cloud.client("s3", keys).list_buckets()
    refused(cloud, cloud.client("iam", keys).list_users)
    usage = usage_of(cloud, f"arn:aws:iam::{ACCOUNT}:user/bob", since)
    (statement,) = usage.policy["Statement"]
    assert (statement["Action"], statement["Resource"]) == ("s3:ListAllMyBuckets", "*")
    assert usage.calls == 2


def test_what_a_bucket_policy_allows_is_told_apart(cloud: Cloud) -> None:
    since = datetime.now(UTC)
    root = bucket(cloud)
    keys = user(cloud, "cy")
    arn = f"arn:aws:iam::{ACCOUNT}:user/cy"
    statement = allow("s3:GetObject", resource=f"{BUCKET}/*", Principal={"AWS": arn})
    root.put_bucket_policy(Bucket="data", Policy=json.dumps({"Version": "2012-10-17", "Statement": statement}))
    cloud.client("s3", keys).get_object(Bucket="data", Key="a/x.csv")
    usage = usage_of(cloud, arn, since)
    assert usage.policy["Statement"] == []
    assert usage.elsewhere == (f"s3:GetObject on {BUCKET}/a/x.csv",)


def test_many_keys_become_folders() -> None:
    keys = {f"{BUCKET}/train/part-{number}.csv" for number in range(20)} | {f"{BUCKET}/test/x.csv"}
    assert grouped(keys) == [f"{BUCKET}/test/*", f"{BUCKET}/train/*"]


def test_many_folders_become_what_they_begin_with() -> None:
    keys = {f"{BUCKET}/runs/day-{number}/x.csv" for number in range(10, 30)}
    assert grouped(keys) == [f"{BUCKET}/runs/day-*"]


def test_few_resources_stay_as_they_are() -> None:
    assert grouped({f"{BUCKET}/a", BUCKET}) == [BUCKET, f"{BUCKET}/a"]


def test_times_in_names_do_not_count() -> None:
    job = "arn:aws:sagemaker:eu-west-1:123456789012:training-job/xgboost-"
    assert grouped({f"{job}2026-01-31-10-00-00-123"}) == [f"{job}*"]
    key = f"{BUCKET}/xgboost-2026-01-31-10-00-00-123/output/model.tar.gz"
    assert grouped({key}) == [f"{BUCKET}/xgboost-*/output/model.tar.gz"]


@given(st.sets(st.text("ab/-1", min_size=1, max_size=6), min_size=1, max_size=20))
def test_every_resource_stays_covered(keys: set[str]) -> None:
    patterns = grouped({f"{BUCKET}/{key}" for key in keys})
    for key in keys:
        assert any(glob(pattern, f"{BUCKET}/{key}", lambda _: None) for pattern in patterns)
