"""What must hold of every policy, and that both evaluators decide alike."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.auth import naive
from tests.auth.test_cases import ACCOUNT, CALLERS, ROLE, SESSION, asked_of, evaluate, outcome

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
"""Documents are large as inputs go, and a busy machine slow to make them."""

ACTIONS = ["*", "s3:*", "s3:Get*", "S3:getobject", "s3:PutObject", "s3:?etObject", "iam:*", "s3:PutBucketPolicy"]
RESOURCES = [
    "*",
    "arn:aws:s3:::b/*",
    "arn:aws:s3:::b/k",
    "arn:aws:s3:::${aws:username}/*",
    "arn:aws:s3:::b/${k, 'k'}",
    "arn:aws:s?:::b/k",
    "arn:aws:*:k",
]
OPERATORS = [
    *("StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase", "Null", "Bool"),
    *("NumericLessThan", "NumericNotEquals", "DateGreaterThan", "IpAddress", "NotIpAddress", "ArnLike", "ArnNotEquals"),
]
VALUES = ["ada", "A*", "*", "true", "10", "9.5", "2026-03-01", "10.0.0.0/8", "10.0.0.1", "${aws:username}", "${no}", ""]
ARNS = ["arn:aws:iam::123456789012:user/ada", "arn:aws:iam::*:role/*"]
NAMES = [
    *("*", ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ROLE, SESSION, "AROAWORKER", "AIDAADA"),
    *(CALLERS[name].arn for name in ("ada", "bob", "guest", "eve")),
]
ASKED = ["s3:GetObject", "s3:PutObject", "iam:ListUsers", "s3:PutBucketPolicy"]
ON = ["arn:aws:s3:::b/k", "arn:aws:s3:::ada/x", "*"]


def some(values: list[str]) -> st.SearchStrategy[Any]:
    return st.sampled_from(values) | st.lists(st.sampled_from(values), min_size=1, max_size=3)


def one_of(name: str, values: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(st.sampled_from([name, name, f"Not{name}"]), some(values)).map(lambda pair: {pair[0]: pair[1]})


QUALIFIED = st.tuples(
    st.sampled_from(["", "", "ForAllValues:", "ForAnyValue:"]),
    st.sampled_from(OPERATORS),
    st.sampled_from(["", "", "IfExists"]),
).map(lambda parts: "Null" if parts[1] == "Null" else "".join(parts))
CONDITIONS = st.dictionaries(
    QUALIFIED,
    st.dictionaries(
        st.sampled_from(["aws:username", "K", "aws:PrincipalArn", "absent"]),
        some(VALUES + ARNS),
        min_size=1,
        max_size=2,
    ),
    max_size=2,
)
STATEMENTS = st.tuples(
    st.sampled_from(["Allow", "Allow", "Deny"]), one_of("Action", ACTIONS), one_of("Resource", RESOURCES), CONDITIONS
).map(lambda parts: {"Effect": parts[0], **parts[1], **parts[2], "Condition": parts[3]})
ATTACHED = st.tuples(
    STATEMENTS,
    one_of("Principal", NAMES).map(
        lambda element: {name: names if names == "*" else {"AWS": names} for name, names in element.items()}
    ),
).map(lambda parts: {**parts[0], **parts[1]})
GRANTS = st.lists(STATEMENTS, max_size=3)
LIMITS = st.none() | st.lists(STATEMENTS, max_size=2)
CASES = st.fixed_dictionaries(
    {
        "identity": GRANTS,
        "boundary": LIMITS,
        "session": LIMITS,
        "resource": st.lists(ATTACHED, max_size=2),
        "keys": st.dictionaries(
            st.just("k"), st.sampled_from(["ada", "10", "2026-03-02", "10.0.0.1", "k", "true", ""])
        ),
        "owner": st.sampled_from([ACCOUNT, ACCOUNT, "999999999999"]),
        "trust": st.sampled_from([False, False, True]),
        "version": st.sampled_from(["2012-10-17", "2012-10-17", "2008-10-17"]),
    }
).map(lambda case: {name: value for name, value in case.items() if value is not None})
LINES = st.tuples(st.sampled_from(sorted(CALLERS)), st.sampled_from(ASKED), st.sampled_from(ON))


def allowed(case: dict[str, Any], line: tuple[str, str, str]) -> bool:
    return evaluate(case, *line).allowed


@given(CASES, LINES)
@settings(UNHURRIED, max_examples=150)
def test_both_evaluators_agree(case: dict[str, Any], line: tuple[str, str, str]) -> None:
    if case["version"] == "2008-10-17":  # the naive one knows no conditions without variables
        case = {**case, "version": "2012-10-17"}
    assert outcome(evaluate(case, *line)) == naive.outcome(asked_of(case, *line))


@given(CASES, LINES, ATTACHED, st.sampled_from(["identity", "resource", "boundary", "session"]))
@settings(UNHURRIED, max_examples=40)
def test_adding_a_deny_never_allows(
    case: dict[str, Any], line: tuple[str, str, str], statement: dict[str, Any], kind: str
) -> None:
    denial = {**statement, "Effect": "Deny"}
    if kind != "resource":
        denial = {name: value for name, value in denial.items() if not name.endswith("Principal")}
    if kind in case:
        more = {**case, kind: [*case[kind], denial]}
        assert allowed(case, line) or not allowed(more, line)


@given(CASES, LINES, st.sampled_from(["identity", "resource", "boundary", "session"]), st.integers(0, 3))
@settings(UNHURRIED, max_examples=40)
def test_removing_an_allow_never_allows(
    case: dict[str, Any], line: tuple[str, str, str], kind: str, number: int
) -> None:
    allows = [each for each in case.get(kind, []) if each["Effect"] == "Allow"]
    if allows:
        gone = allows[number % len(allows)]
        less = {**case, kind: [each for each in case[kind] if each is not gone]}
        assert allowed(case, line) or not allowed(less, line)


@given(CASES, LINES)
@settings(UNHURRIED, max_examples=40)
def test_order_does_not_matter(case: dict[str, Any], line: tuple[str, str, str]) -> None:
    turned = {name: value[::-1] if isinstance(value, list) else value for name, value in case.items()}
    assert outcome(evaluate(case, *line)) == outcome(evaluate(turned, *line))


@given(CASES, LINES, st.sampled_from(["boundary", "session"]))
@settings(UNHURRIED, max_examples=40)
def test_limits_never_widen(case: dict[str, Any], line: tuple[str, str, str], kind: str) -> None:
    free = {name: value for name, value in case.items() if name != kind}
    if line[0] != "guest":  # whose session without a policy is another thing than one with an empty policy
        assert allowed(free, line) or not allowed(case, line)


@given(CASES, LINES)
@settings(UNHURRIED, max_examples=40)
def test_a_decision_tells_its_statement(case: dict[str, Any], line: tuple[str, str, str]) -> None:
    decision = evaluate(case, *line)
    if decision.allowed or decision.explicit:
        assert decision.statement
        assert decision.statement.allow is decision.allowed
