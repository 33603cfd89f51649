from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.auth import policy
from clary.services.iam.documents import aws_principals, refuse_malformed, refuse_malformed_trust
from clary.services.iam.errors import LimitExceeded, MalformedPolicyDocument

S3 = "arn:aws:s3:::bucket"


def statement(**members: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": S3, **members}


def without(member: str, **members: Any) -> dict[str, Any]:
    return {name: value for name, value in statement(**members).items() if name != member}


SYNTAX = "Syntax errors in policy."
LEGACY = "The policy failed legacy parsing"
VENDOR = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."


@pytest.mark.parametrize(
    ("element", "message"),
    [
        (statement(Extra="x"), SYNTAX),
        (statement(Effect="invalid"), SYNTAX),
        (statement(Effect="denY"), LEGACY),
        (without("Effect"), SYNTAX),
        (statement(Sid={}), SYNTAX),
        (statement(NotAction="s3:*"), SYNTAX),
        (statement(NotResource="*"), SYNTAX),
        (statement(Condition=[]), SYNTAX),
        (statement(Condition={"x": {"a": "1"}}), SYNTAX),
        (statement(Action=[[]]), SYNTAX),
        (statement(Resource=["adfdf", {}]), SYNTAX),
        (without("Action"), "Policy statement must contain actions."),
        (statement(Action=[]), "Policy statement must contain actions."),
        (without("Resource"), "Policy statement must contain resources."),
        (statement(Resource=[]), "Policy statement must contain resources."),
        (without("Resource", Action="invalid"), VENDOR),
        (statement(Action="a a:ListBucket"), "Vendor a a is not valid"),
        (statement(Action="s3:List:Bucket"), "Actions/Condition can contain only one colon."),
        (statement(Resource="invalid"), 'Resource invalid must be in ARN format or "*".'),
        (statement(Resource=""), 'Resource  must be in ARN format or "*".'),
        (statement(Resource="a:b"), 'Partition "b" is not valid for resource "arn:b:*:*:*:*".'),
        (statement(Resource="a:b:c"), 'Partition "b" is not valid for resource "arn:b:c:*:*:*".'),
        (statement(Resource="a:b:c:d:e:f:g:h"), 'Partition "b" is not valid for resource "arn:b:c:d:e:f:g:h".'),
        (statement(Resource="aws:s3:::b"), 'Partition "s3" is not valid for resource "arn:s3:::b:*".'),
        (statement(Resource="arn:aws"), "Resource vendor must be fully qualified and cannot contain regexes."),
        (statement(Resource="arn:aws:s3::bucket"), LEGACY),
        (without("Action", Resource="arn:aws:s3::bucket"), LEGACY),
        (statement(Resource="arn:aws::::bucket"), LEGACY),
        (statement(Resource="arn:aws:s3:r::b"), "Resource arn:aws:s3:r::b can not contain region information."),
        (statement(Resource="arn:aws:iam:r::b"), "IAM resource arn:aws:iam:r::b cannot contain region information."),
    ],
)
def test_what_aws_says(element: dict[str, Any], message: str) -> None:
    with pytest.raises(MalformedPolicyDocument) as caught:
        refuse_malformed(json.dumps({"Version": "2012-10-17", "Statement": element}))
    assert caught.value.message == message


def test_iam_resources_begin_with_their_kind() -> None:
    with pytest.raises(MalformedPolicyDocument, match=r'IAM resource path must either be "[*]" or start with user/'):
        refuse_malformed(json.dumps({"Version": "2012-10-17", "Statement": statement(Resource="arn:aws:iam:::b")}))


@pytest.mark.parametrize(
    "element",
    [
        statement(Resource=[S3, "*"]),
        statement(Resource="arn:aws:iam::*:user/${aws:username}"),
        statement(Resource="arn:aws:invalid-service:us-east-1::x"),
        statement(Resource="arn:aws:fdsasf"),
        statement(Action="*"),
        statement(Action="s3.s:ListBucket"),
        statement(Condition={}),
        statement(Condition={"DateGreaterThan": {}}),
    ],
)
def test_what_aws_takes(element: dict[str, Any]) -> None:
    refuse_malformed(json.dumps({"Version": "2012-10-17", "Statement": element}))


def test_managed_policies_are_of_the_current_version() -> None:
    for version in ({}, {"Version": "2008-10-17"}):
        document = json.dumps({**version, "Statement": statement()})
        refuse_malformed(document)
        with pytest.raises(MalformedPolicyDocument, match="must be version 2012-10-17 or greater"):
            refuse_malformed(document, current=True)


NAMES = ("Version", "Sid", "Effect", "Action", "NotAction", "Resource", "Principal", "AWS", "Condition", "Null")
TEXTS = ("*", "s3:*", "Allow", "Deny", "sts:AssumeRole", "arn:aws:s3:::b", "2012-10-17", "aws:username")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(("Statement", "Version")), JSON) | JSON)
def test_what_is_accepted_compiles(document: Any) -> None:
    text = json.dumps(document)
    try:
        refuse_malformed(text)
    except MalformedPolicyDocument:
        return
    assert policy.parse(text).statements


@given(JSON)
def test_accepted_trust_names_its_principals(statement: Any) -> None:
    text = json.dumps({"Version": "2012-10-17", "Statement": statement})
    try:
        refuse_malformed_trust(text)
    except (MalformedPolicyDocument, LimitExceeded):
        return
    assert all(isinstance(name, str) for name in aws_principals(text))
