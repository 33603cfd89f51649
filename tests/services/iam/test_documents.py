from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clary.auth import policy
from clary.services.iam.documents import aws_principals, refuse_malformed, refuse_malformed_trust
from clary.services.iam.errors import LimitExceeded, MalformedPolicyDocument

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
