"""Explanations as text for people, and as JSON for programs."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from clary.audit.record import record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.audit.explanation import Explanation, Verdict
    from clary.store.audit import Event

WIDTH = 100
_PARAMETER_CHARACTERS = 60
_PARAMETERS = 6
_ADD = "The smallest statement to add"


def as_json(explanation: Explanation) -> dict[str, Any]:
    """An explanation for programs."""
    verdicts = [asdict(verdict) for verdict in explanation.verdicts]
    return {"event": record(explanation.event), "verdicts": verdicts, "note": explanation.note}


def as_text(explanation: Explanation) -> str:
    """An explanation for people."""
    lines = [*_head(explanation.event)]
    for number, verdict in enumerate(explanation.verdicts, start=1):
        lines += ["", *_verdict(number, verdict)]
    if explanation.note:
        lines += ["", *_wrapped(explanation.note)]
    return "\n".join(lines)


def _head(event: Event) -> Iterator[str]:
    yield f"Request {event.id}"
    yield f"  when    {event.moment:%Y-%m-%d %H:%M:%S} UTC, in {event.region}"
    yield f"  who     {who(event)}"
    yield f"  from    {event.ip}, {textwrap.shorten(event.agent or 'no user agent', 70, placeholder=' ...')}"
    yield f"  what    {event.source.partition('.')[0]} {event.operation or '(no operation)'}{_parameters(event)}"
    answer = f"{event.code}: {event.message}" if event.code else "it succeeded"
    yield from _wrapped(f"answer  {event.status}, {answer}", "  ", "          ")


def who(event: Event) -> str:
    """The caller in a few words."""
    caller = event.who
    if not caller.arn:
        claimed = f"; it claimed the access key {caller.key}" if caller.key else ""
        return "nobody: the request was not signed" if caller.kind == "anonymous" else f"could not be told{claimed}"
    return f"{caller.arn}{f' (access key {caller.key})' if caller.key else ''}"


def _parameters(event: Event) -> str:
    pairs = [f"{name}={value}" for name, value in event.request.items() if isinstance(value, str | int | float)]
    shown = [textwrap.shorten(pair, _PARAMETER_CHARACTERS, placeholder=" ...") for pair in pairs[:_PARAMETERS]]
    return f" ({', '.join(shown)})" if shown else ""


def _verdict(number: int, verdict: Verdict) -> Iterator[str]:
    on = "" if verdict.resource == "*" else f" on {verdict.resource}"
    yield f"{number}. {verdict.action}{on}: {'allowed' if verdict.allowed else 'REFUSED'}"
    yield from _wrapped(verdict.why, "   ")
    if verdict.excerpt is not None:
        text = verdict.excerpt.text
        yield from _indented(text) if text else ["     (it is not there any more)"]
    if verdict.asked:
        yield from _wrapped(f"Asked: {'; '.join(verdict.asked)}.", "   ")
    for miss in verdict.misses:
        sid = f' ("{miss.sid}")' if miss.sid else ""
        yield f"   Nearly: statement {miss.number}{sid} of the {miss.title}"
        yield from _indented(miss.text)
        for reason in miss.reasons:
            yield from _wrapped(f"- {reason}", "     ", "       ")
    yield from _remedies(verdict)


def _remedies(verdict: Verdict) -> Iterator[str]:
    several = len(verdict.remedies) > 1
    if several:
        yield "   To allow it, all of this is needed:"
    for letter, remedy in zip("abcdefgh", verdict.remedies, strict=False):
        mark = f"{letter}) " if several else ""
        if remedy.statement is None:
            yield from _wrapped(f"{mark}In {remedy.where}: {remedy.advice}", "   ")
            continue
        begin = "Change that statement, or add the smallest one" if verdict.misses and not mark else _ADD
        yield from _wrapped(f"{mark}{begin}, in {remedy.where}:", "   ")
        yield from _indented(remedy.statement)
        if remedy.advice:
            yield from _wrapped(remedy.advice, "   ")
        if remedy.command:
            yield "   For instance:"
            yield f"     {remedy.command}"


def _indented(element: Any) -> list[str]:
    """A statement as JSON, one line for each element of it."""
    members = [f"  {json.dumps(name)}: {_brief(value)}" for name, value in element.items()]
    return textwrap.indent("{\n" + ",\n".join(members) + "\n}", "     ").splitlines()


def _brief(value: Any) -> str:
    line = json.dumps(value)
    return line if len(line) <= WIDTH else json.dumps(value, indent=2).replace("\n", "\n  ")


def _wrapped(text: str, first: str = "", rest: str | None = None) -> list[str]:
    later = first if rest is None else rest
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    )
