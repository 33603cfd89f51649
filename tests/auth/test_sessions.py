from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clary.auth import sessions
from clary.context import Principal, PrincipalKind

SEAL = bytes(range(32))
EXPIRES = datetime(2026, 3, 1, tzinfo=UTC)
TEXTS = st.text(max_size=20)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # bounds
PRINCIPALS = st.builds(
    Principal,
    kind=st.sampled_from(PrincipalKind),
    account=TEXTS,
    arn=TEXTS,
    user_id=TEXTS,
    name=TEXTS,
    role_arn=TEXTS,
    session_policies=st.lists(TEXTS, max_size=3).map(tuple),
    session_tags=st.dictionaries(TEXTS, TEXTS, max_size=3),
    transitive_tags=st.lists(TEXTS, max_size=3).map(tuple),
    source_identity=TEXTS,
    mfa_at=st.none() | MOMENTS.map(lambda moment: moment.replace(microsecond=0)),
    session_keys=st.dictionaries(TEXTS, TEXTS, max_size=3),
)


@given(PRINCIPALS, TEXTS, TEXTS)
def test_tokens_carry_the_whole_session(principal: Principal, run: str, holder: str) -> None:
    issued = sessions.issue(SEAL, principal, EXPIRES, run, holder)
    session = sessions.open_token(SEAL, issued["AccessKeyId"], issued["SessionToken"])
    assert session
    found: dict[str, Any] = {name: getattr(session.principal, name) for name in Principal.__slots__}
    wanted = {name: getattr(principal, name) for name in Principal.__slots__}
    assert found == {**wanted, "access_key": issued["AccessKeyId"]}
    assert (session.run, session.holder, session.expires) == (run, holder, EXPIRES)
    assert session.secret == issued["SecretAccessKey"]


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_changed_token_opens_nothing(position: int, change: int) -> None:
    principal = Principal(PrincipalKind.USER, "1", "arn", "AIDA", "ada")
    issued = sessions.issue(SEAL, principal, EXPIRES)
    token = bytearray(issued["SessionToken"], "ascii")
    token[position % len(token)] ^= change
    opened = sessions.open_token(SEAL, issued["AccessKeyId"], token.decode("latin-1"))
    # The last character of base64 has bits that mean nothing.
    assert opened is None or opened.principal.name == "ada"
