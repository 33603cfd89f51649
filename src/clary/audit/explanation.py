"""Why a recorded call was allowed or refused, and the smallest statements that would have let it pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clary.audit import remedies
from clary.audit.evidence import Document, Element, Evidence, evidence, holder
from clary.audit.misses import Miss, misses
from clary.auth import entities
from clary.auth.decision import PolicyKind
from clary.auth.policy import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clary.audit.remedies import Remedy
    from clary.store.audit import Event
    from clary.store.records import Records


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A statement that decided; `text` is None when it is not to be found any more."""

    title: str
    """Which policy it is in, e.g. `inline policy "read" of user ada`."""
    number: int
    """Its place in the policy, counted from one."""
    sid: str
    text: Element | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided about one permission that the call needed."""

    action: str
    resource: str
    allowed: bool
    why: str
    excerpt: Excerpt | None = None
    asked: tuple[str, ...] = ()
    """The policies that were asked and did not allow it."""
    misses: tuple[Miss, ...] = ()
    remedies: tuple[Remedy, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """What there is to tell about one call."""

    event: Event
    verdicts: tuple[Verdict, ...] = field(default_factory=tuple)
    note: str = ""


def explain(event: Event, records: Records) -> Explanation:
    """The explanation of a recorded call, with the help of the policies as they are now."""
    verdicts, note = [], ""
    first = next((check for check in event.checks if check.get("refused")), None)
    for check in event.checks:
        if not check.get("refused"):
            verdicts.append(_allowed(event, check, records))
        elif check is first and event.refusal:
            seen = evidence(event, check, records)
            verdicts.append(_refused(event, check, seen))
            note = _CHANGED if seen.decide().allowed else ""
        else:
            verdicts.append(
                Verdict(check["action"], check["resource"], False, "The policies did not allow this either.")
            )
    return Explanation(event, tuple(verdicts), note or _note(event))


_CHANGED = "The policies have changed since: they would allow the same call now."
_HIDDEN = "There is no such object; S3 says AccessDenied instead to those who may not list the bucket."
_LIFE = "The session has ended, or its role or user is gone; ask for new credentials."
_SECRET = "The request was signed with another secret access key than the one that belongs to the access key."  # noqa: S105  # a sentence
_UNKNOWN = "There is no such access key here, or it is inactive; it may belong to another account or platform."
_HINTS: Mapping[str, str] = {
    "SignatureDoesNotMatch": _SECRET,
    "InvalidSignatureException": _SECRET,
    "InvalidAccessKeyId": _UNKNOWN,
    "InvalidClientTokenId": _UNKNOWN,
    "UnrecognizedClientException": _UNKNOWN,
    "AuthFailure": "The access key is unknown, or the request was signed with another secret.",
    "ExpiredToken": _LIFE,
    "ExpiredTokenException": _LIFE,
    "RequestExpired": _LIFE,
    "RequestTimeTooSkewed": "The clock of the caller is more than 15 minutes off.",
    "MissingAuthenticationToken": "The request was not signed at all.",
}


def _note(event: Event) -> str:
    """What there is to say where no policy decided."""
    if not event.code:
        return ""
    if not event.who.arn and event.who.kind != "anonymous":
        return _HINTS.get(event.code, "The caller could not be identified, so no policy was asked.")
    if event.checks and event.checks[-1].get("refused"):
        hidden = event.checks[-1]["action"] == "s3:ListBucket" and event.request.get("key")
        return _HIDDEN if hidden else ""
    return f"No policy refused this call: the service itself answered {event.code}."


def _allowed(event: Event, check: Mapping[str, Any], records: Records) -> Verdict:
    given = check.get("statement")
    if given is None:
        why = "This needs no permission." if event.who.kind != "service" else "A service of AWS acts for itself."
        return Verdict(check["action"], check["resource"], True, why)
    source, index, sid = Source(*given[:4]), int(given[4]), str(given[5])
    if source.name == "root user":
        why = "The root user may do everything that no policy of the resource denies."
        return Verdict(check["action"], check["resource"], True, why)
    excerpt = Excerpt(_title(source, check), index + 1, sid, _stored(event, check, source, index, records))
    return Verdict(check["action"], check["resource"], True, f"Allowed by {told(excerpt)}.", excerpt)


def _refused(event: Event, check: Mapping[str, Any], seen: Evidence) -> Verdict:
    kind = PolicyKind(check["kind"])
    action, resource = check["action"], check["resource"]
    given = check.get("statement")
    if given is not None:
        source, index, sid = Source(*given[:4]), int(given[4]), str(given[5])
        text = _denying(seen, kind, source, index)
        excerpt = Excerpt(_title(source, check), index + 1, sid, text)
        why = f"Denied by {told(excerpt)}. A Deny wins over every Allow."
        return Verdict(action, resource, False, why, excerpt, remedies=remedies.of(seen, event))
    asked = tuple(dict.fromkeys(_title(document.source, check) for document in seen.of(kind)))
    why = _missing(event, kind) if asked else f"{_missing(event, kind)} {_none(event, kind, resource)}"
    return Verdict(
        action, resource, False, why, asked=asked,
        misses=misses(seen, kind, lambda source: _title(source, check)), remedies=remedies.of(seen, event),
    )  # fmt: skip


def told(excerpt: Excerpt) -> str:
    """A statement as a sentence names it."""
    sid = f' ("{excerpt.sid}")' if excerpt.sid else ""
    return f"statement {excerpt.number}{sid} of the {excerpt.title}"


def _missing(event: Event, kind: PolicyKind) -> str:
    match kind:
        case PolicyKind.BOUNDARY:
            return (
                "The identity-based policies allow it, but the permissions boundary does not. A boundary grants "
                "nothing; it limits what the other policies may grant."
            )
        case PolicyKind.SESSION:
            return (
                "The identity-based policies allow it, but the policy that was passed when the session was started "
                "does not. A session has what both allow."
            )
        case PolicyKind.TRUST:
            return "The trust policy of the role does not let this caller take the role on."
        case PolicyKind.RESOURCE if event.who.kind == "anonymous":
            return "The request was not signed, and the resource has no policy that lets everybody do this."
        case PolicyKind.RESOURCE:
            return "The resource belongs to another account, and its policy does not let this caller in."
    return "No identity-based policy allows it, and what no policy allows is refused."


def _none(event: Event, kind: PolicyKind, resource: str) -> str:
    """What to say where there is no policy of the kind that should have allowed it."""
    if kind is PolicyKind.IDENTITY:
        return f"{'Role' if event.who.role else 'User'} {event.who.name} has no policy at all."
    if kind is PolicyKind.RESOURCE and resource.startswith("arn:aws:s3:::"):
        return "The bucket has no policy."
    return ""


def _denying(seen: Evidence, kind: PolicyKind, source: Source, index: int) -> Element | None:
    """The text of a statement that denied, among the documents as they are now."""
    for document in seen.of(kind):
        elements = document.elements()
        if _same(document.source, source, kind) and index < len(elements) and elements[index].get("Effect") == "Deny":
            statement = document.alone(elements[index])
            if statement is not None and statement.holds(seen.question.resource, seen.question.lookup):
                return elements[index]
    return None


def _same(one: Source, other: Source, kind: PolicyKind) -> bool:
    return kind in (PolicyKind.RESOURCE, PolicyKind.TRUST) or one == other


def _stored(event: Event, check: Mapping[str, Any], source: Source, index: int, records: Records) -> Element | None:
    """The text of a statement that allowed, as it is stored now."""
    text = None
    if source.kind == "resource":
        text = _of_resource(check, records)
    elif source.arn:
        text = entities.managed_document(records, source.arn)
    else:
        entity = records.by_arn(source.holder) or holder(records, event.who)
        text = entity.spec.get(entities.INLINE, {}).get(source.name) if entity else None
    elements = Document(PolicyKind.IDENTITY, source, text).elements() if text else []
    return elements[index] if index < len(elements) else None


def _of_resource(check: Mapping[str, Any], records: Records) -> str | None:
    arn = str(check["resource"])
    if arn.startswith("arn:aws:s3:::"):
        arn = arn.partition("/")[0]
    record = records.by_arn(arn)
    if record is None:
        return None
    member = "AssumeRolePolicyDocument" if record.kind == entities.ROLE else "Policy"
    found = record.spec.get(member)
    return str(found) if found else None


def _title(source: Source, check: Mapping[str, Any]) -> str:
    """A policy as sentences name it."""
    return " ".join(_titles(source, check))


def _titles(source: Source, check: Mapping[str, Any]) -> Iterator[str]:
    match source.kind:
        case "user" | "group" | "role":
            yield f'inline policy "{source.name}"'
        case "aws-managed":
            yield f"AWS managed policy {source.name}"
        case "user-managed":
            yield f"managed policy {source.name}"
        case "resource":
            yield _resource_policy(check)
            return
        case _:
            yield source.name or "session policy"
            return
    kind, _, name = source.holder.split(":", 5)[-1].partition("/")
    yield f"of {kind} {name.rpartition('/')[2]}"


def _resource_policy(check: Mapping[str, Any]) -> str:
    resource = str(check["resource"])
    if resource.startswith("arn:aws:s3:::"):
        return f"bucket policy of {resource.removeprefix('arn:aws:s3:::').partition('/')[0]}"
    return f"trust policy of role {resource.rpartition('/')[2]}" if ":role/" in resource else "policy of the resource"
