"""A second evaluator of policies, written for plainness alone: it reads the documents anew for each question."""

from __future__ import annotations

import base64
import ipaddress
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

ROOT_KEEPS = ("s3:getbucketpolicy", "s3:putbucketpolicy", "s3:deletebucketpolicy")


@dataclass
class Asked:
    """A request, and the documents that count; None where there is no policy of a kind."""

    kind: str
    account: str
    arn: str
    user_id: str
    behind: list[str]
    name: str
    action: str
    resource: str
    owner: str
    trust: bool
    keys: dict[str, list[str]]
    identity: list[dict[str, Any]] = field(default_factory=list)
    resource_policies: list[dict[str, Any]] = field(default_factory=list)
    boundary: list[dict[str, Any]] | None = None
    session: list[dict[str, Any]] | None = None


def outcome(asked: Asked) -> str:
    """Allow, explicit or implicit."""
    attached = asked.resource_policies
    if asked.kind == "root" and asked.account == asked.owner and asked.action.lower() in ROOT_KEEPS:
        attached = []
    every = [asked.identity, attached, asked.boundary or [], asked.session or []]
    for statements in every:
        for statement in statements:
            if statement["Effect"] == "Deny" and _concerns(statement, asked) and _named(statement, asked):
                return "explicit"
    named = {
        _named(statement, asked)
        for statement in attached
        if statement["Effect"] == "Allow"
        and {"Principal", "NotPrincipal"} & set(statement)
        and _concerns(statement, asked)
    }
    limits = [_allows(limit, asked) for limit in (asked.boundary, asked.session) if limit is not None]
    if asked.kind == "anonymous":
        allowed = bool(named - {""})
    elif asked.owner != asked.account:
        allowed = bool(named - {""}) and _allows(asked.identity, asked) and all(limits)
    elif "direct" in named:
        allowed = True
    elif "limited" in named:
        allowed = all(limits)
    elif asked.trust and "account" not in named:
        allowed = False
    else:
        allowed = _allows(asked.identity, asked) and all(limits)
    return "allow" if allowed else "implicit"


def _allows(statements: list[dict[str, Any]], asked: Asked) -> bool:
    return any(each["Effect"] == "Allow" and _concerns(each, asked) for each in statements)


def _concerns(statement: dict[str, Any], asked: Asked) -> bool:
    old = statement.get("version") == "2008-10-17"
    if "Action" in statement:
        acts = any(_glob(each.lower(), asked.action.lower()) for each in _list(statement["Action"]))
    else:
        acts = not any(_glob(each.lower(), asked.action.lower()) for each in _list(statement["NotAction"]))
    if "NotResource" in statement:
        covers = not any(_resource(each, asked, old=old) for each in _list(statement["NotResource"]))
    else:
        covers = any(_resource(each, asked, old=old) for each in _list(statement.get("Resource", "*")))
    conditions = [
        (operator, key.lower(), [str(each).lower() if each in (True, False) else str(each) for each in _list(values)])
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    ]
    return acts and covers and all(_condition(*condition, asked) for condition in conditions)


def _named(statement: dict[str, Any], asked: Asked) -> str:
    """Direct, limited, account, or empty where the statement does not name the caller."""
    if "NotPrincipal" in statement:
        return "" if _spared(statement, asked) else "limited"
    if "Principal" not in statement:
        return "direct"
    return _by(_principals(statement["Principal"]), asked)


def _by(names: set[tuple[str, str]], asked: Asked) -> str:
    if names & _me(asked):
        return "direct"
    if names & ({("AWS", "*")} | {("AWS", each) for each in asked.behind}):
        return "limited"
    canonical = hex(int(asked.account or 0))[2:].rjust(64, "0")
    by_account = names & (_account(asked) | {("CanonicalUser", canonical)})
    return "account" if asked.account and asked.kind != "service" and by_account else ""


def _spared(statement: dict[str, Any], asked: Asked) -> bool:
    names = _principals(statement["NotPrincipal"])
    if statement["Effect"] == "Allow":
        return bool(_by(names, asked))
    if asked.boundary is not None:
        return False
    if ("AWS", "*") in names or (asked.kind == "service" and ("Service", asked.name) in names):
        return True
    if asked.kind == "root":
        return bool(names & _account(asked))
    role = {("AWS", each) for each in asked.behind}
    return bool(names & _me(asked) and names & _account(asked) and (not role or names & role))


def _me(asked: Asked) -> set[tuple[str, str]]:
    names = {("AWS", asked.arn), ("AWS", asked.user_id)}
    return names | {("Service", asked.name)} if asked.kind == "service" else names


def _account(asked: Asked) -> set[tuple[str, str]]:
    return {("AWS", asked.account), ("AWS", f"arn:aws:iam::{asked.account}:root")}


def _principals(element: Any) -> set[tuple[str, str]]:
    if element == "*":
        return {("AWS", "*")}
    return {(kind, name) for kind, names in element.items() for name in _list(names)}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _glob(pattern: str, text: str) -> bool:
    """By dynamic programming; `\\1` and `\\2` in the pattern are a literal star and question mark."""
    rows = [True] + [False] * len(text)
    for char in pattern:
        before = rows
        if char == "*":
            rows = [any(before[: end + 1]) for end in range(len(text) + 1)]
            continue
        literal = {"\1": "*", "\2": "?"}.get(char, char)
        rows = [False] + [before[end] and (char == "?" or literal == text[end]) for end in range(len(text))]
    return rows[-1]


def _filled(text: str, asked: Asked, *, old: bool = False) -> str | None:
    if old:
        return text
    missing = []

    def value(match: re.Match[str]) -> str:
        key, _, default = match[1].partition(",")
        values = [match[1]] if match[1] in ("*", "?", "$") else asked.keys.get(key.strip().lower(), [])
        quoted = re.fullmatch(r"\s*'(.*)'\s*", default)
        if len(values) != 1 and not quoted:
            missing.append(match[1])
            return ""
        found = values[0] if len(values) == 1 or not quoted else quoted[1]
        return found.replace("*", "\1").replace("?", "\2")

    filled = re.sub(r"\$\{([^}]*)\}", value, text)
    return None if missing else filled


def _resource(pattern: str, asked: Asked, *, old: bool) -> bool:
    filled = _filled(pattern, asked, old=old)
    if filled is None:
        return False
    head = filled.split(":")[:5] if filled.count(":") >= 5 else filled.split(":")[:-1]
    if any("?" in part or "*" in part[:-1] for part in head):
        return _arn(filled, asked.resource)
    return _glob(filled, asked.resource)


def _arn(pattern: str, text: str) -> bool:
    wanted = pattern.split(":", 5)
    given = text.split(":", len(wanted) - 1)
    return len(wanted) == len(given) and all(_glob(one, other) for one, other in zip(wanted, given, strict=True))


def _condition(operator: str, key: str, wanted: list[str], asked: Asked) -> bool:
    values = asked.keys.get(key)
    quantifier, _, name = operator.rpartition(":")
    if name == "Null":
        return str(not values).lower() in [each.lower() for each in wanted]
    optional, name = name.endswith("IfExists"), name.removesuffix("IfExists")
    negated = "Not" in name
    positive = name.replace("Not", "", 1)

    def fits(value: str) -> bool:
        return any(_compare(positive, value, each, asked) for each in wanted)

    if quantifier == "ForAllValues":
        return all(fits(value) != negated for value in values or [] if value)
    if quantifier == "ForAnyValue":
        return any(fits(value) != negated for value in values or [] if value) or (optional and values is None)
    if not values:
        return optional or negated
    return any(map(fits, values)) != negated


def _compare(operator: str, value: str, wanted: str, asked: Asked) -> bool:
    if operator.startswith(("String", "Arn")):
        filled = _filled(wanted, asked)
        return filled is not None and _texts(operator, value, filled)
    try:
        return _data(operator, value, wanted)
    except (ValueError, OverflowError):
        return False


def _texts(operator: str, value: str, filled: str) -> bool:
    plain = filled.replace("\1", "*").replace("\2", "?")
    match operator:
        case "StringEquals":
            return plain == value
        case "StringEqualsIgnoreCase":
            return plain.lower() == value.lower()
        case "StringLike":
            return _glob(filled, value)
        case _:
            return _arn(filled, value)


def _data(operator: str, value: str, wanted: str) -> bool:
    match operator:
        case "Bool":
            return value.lower() == wanted.lower()
        case "BinaryEquals":
            return base64.b64decode(value, validate=True) == base64.b64decode(wanted, validate=True)
        case "IpAddress":
            return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)
    read = _number if operator.startswith("Numeric") else _time
    one, other = read(value), read(wanted)
    results: dict[str, bool] = {
        "Equals": one == other,
        "LessThan": one < other,
        "LessThanEquals": one <= other,
        "GreaterThan": one > other,
        "GreaterThanEquals": one >= other,
    }
    return results[operator.removeprefix("Numeric").removeprefix("Date")]


def _number(text: str) -> Any:
    if not re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", text):
        raise ValueError(text)
    return Fraction(text)


def _time(text: str) -> Any:
    if re.fullmatch(r"[0-9]{4}", text):
        return datetime(int(text), 1, 1, tzinfo=UTC)
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}", text):
        return datetime(int(text[:4]), int(text[5:]), 1, tzinfo=UTC)
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return datetime.fromtimestamp(float(text), UTC)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
