from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.services.s3.conftest import error_of

if TYPE_CHECKING:
    from tests.cloud import Cloud

TAG = {"Key": "k", "Value": "v"}


class Pair:
    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.s3 = cloud.client("s3")
        trust = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        role = cloud.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=document)
        self.role = role["Role"]["Arn"]
        self.source, self.target = self.bucket(), self.bucket()

    def bucket(self, *, versioned: bool = True) -> str:
        name = f"pair-{uuid.uuid4().hex}"
        location = {"LocationConstraint": self.s3.meta.region_name}
        self.s3.create_bucket(Bucket=name, CreateBucketConfiguration=location)
        if versioned:
            self.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def rule(self, **members: Any) -> dict[str, Any]:
        whole = {
            "ID": "r", "Status": "Enabled", "Priority": 1, "Filter": {"Prefix": "a"},
            "DeleteMarkerReplication": {"Status": "Disabled"},
            "Destination": {"Bucket": f"arn:aws:s3:::{self.target}"}, **members,
        }  # fmt: skip
        return {name: value for name, value in whole.items() if value is not None}

    def refused(self, *rules: dict[str, Any], role: str = "", source: str = "") -> tuple[str, str]:
        configuration = {"Role": role or self.role, "Rules": list(rules)}
        error = error_of(
            self.s3.put_bucket_replication, Bucket=source or self.source, ReplicationConfiguration=configuration
        )
        return error["Code"], error["Message"]


@pytest.fixture
def pair(cloud: Cloud) -> Pair:
    return Pair(cloud)


def test_a_configuration_is_told_until_it_is_deleted(pair: Pair) -> None:
    configuration = {"Role": pair.role, "Rules": [pair.rule(), pair.rule(ID="s", Priority=2, Filter={"Tag": TAG})]}
    pair.s3.put_bucket_replication(Bucket=pair.source, ReplicationConfiguration=configuration)
    told = pair.s3.get_bucket_replication(Bucket=pair.source)
    assert told["ReplicationConfiguration"] == configuration
    pair.s3.delete_bucket_replication(Bucket=pair.source)
    error = error_of(pair.s3.get_bucket_replication, Bucket=pair.source)
    assert (error["Code"], error["Status"]) == ("ReplicationConfigurationNotFoundError", 404)


def test_rules_of_the_first_form_are_taken(pair: Pair) -> None:
    old = pair.rule(Filter=None, Priority=None, DeleteMarkerReplication=None, Prefix="a", ID=None)
    configuration = {"Role": pair.role, "Rules": [old]}
    pair.s3.put_bucket_replication(Bucket=pair.source, ReplicationConfiguration=configuration)
    told = pair.s3.get_bucket_replication(Bucket=pair.source)["ReplicationConfiguration"]["Rules"][0]
    assert len(told.pop("ID")) == 48
    assert told == old


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"Priority": None}, "InvalidRequest", "Priority must be specified for this version"),
        ({"DeleteMarkerReplication": None}, "InvalidRequest", "DeleteMarkerReplication must be specified for this"),
        (
            {"Filter": {"Tag": TAG}, "DeleteMarkerReplication": {"Status": "Enabled"}},
            "InvalidRequest",
            "Delete marker replication is not supported if any Tag filter is specified.",
        ),
        ({"Filter": None}, "MalformedXML", ""),
        ({"Filter": {"And": {"Prefix": "a"}}}, "MalformedXML", ""),
        ({"ID": "x" * 256}, "InvalidArgument", "Rule Id cannot be greater than 255"),
        ({"ExistingObjectReplication": {"Status": "Enabled"}}, "NotImplemented", "Clary does not support Existing"),
        (
            {"SourceSelectionCriteria": {"SseKmsEncryptedObjects": {"Status": "Enabled"}}},
            "NotImplemented",
            "Clary does not support SseKmsEncryptedObjects in replication rules.",
        ),
        ({"Destination": {"Bucket": "arn:aws:s3:::nowhere"}}, "InvalidRequest", "Destination bucket must exist."),
    ],
)
def test_a_rule_that_breaks_the_rules_is_refused(pair: Pair, changes: dict[str, Any], code: str, message: str) -> None:
    told = pair.refused(pair.rule(**changes))
    assert told[0] == code
    assert told[1].startswith(message or "The XML you provided was not well-formed")


def test_buckets_and_rules_must_fit_together(pair: Pair) -> None:
    itself = pair.rule(Destination={"Bucket": f"arn:aws:s3:::{pair.source}"})
    assert pair.refused(itself)[1] == "Destination bucket cannot be the same as the source bucket."
    plain = pair.bucket(versioned=False)
    assert pair.refused(pair.rule(), source=plain) == (
        "InvalidRequest",
        "Versioning must be 'Enabled' on the bucket to apply a replication configuration",
    )
    to_plain = pair.rule(Destination={"Bucket": f"arn:aws:s3:::{plain}"})
    assert pair.refused(to_plain)[1] == "Destination bucket must have versioning enabled."
    assert pair.refused(pair.rule(), pair.rule(Priority=2)) == ("InvalidRequest", "Rule Id must be unique")
    assert pair.refused(pair.rule(), pair.rule(ID="s"))[0] == "InvalidRequest"
    old = pair.rule(Filter=None, Priority=None, DeleteMarkerReplication=None, Prefix="a")
    assert pair.refused(old, {**old, "ID": "s", "Prefix": "ab"})[1] == "Found overlapping prefixes 'a' and 'ab'"
    assert pair.refused(old, pair.rule(ID="s"))[0] == "InvalidRequest"
    assert pair.refused()[0] == "MalformedXML"


def test_the_role_must_be_one_that_the_caller_may_hand_over(pair: Pair) -> None:
    assert pair.refused(pair.rule(), role="arn:aws:iam::123456789012:role/none")[0] == "InvalidArgument"
    iam = pair.cloud.client("iam")
    iam.create_user(UserName="u")
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=json.dumps(policy))
    user = pair.cloud.client("s3", iam.create_access_key(UserName="u")["AccessKey"])
    configuration = {"Role": pair.role, "Rules": [pair.rule()]}
    error = error_of(user.put_bucket_replication, Bucket=pair.source, ReplicationConfiguration=configuration)
    assert error["Code"] == "AccessDenied"
    assert "iam:PassRole" in error["Message"]
