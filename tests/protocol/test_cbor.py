from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.protocol import cbor
from clary.protocol.errors import SerializationException


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats(allow_nan=False)
        | st.text()
        | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_cbor_there_and_back(document: object) -> None:
    assert cbor.loads(cbor.dumps(document)) == document


def test_cbor_of_other_writers() -> None:
    assert cbor.loads(bytes.fromhex("bf6161 9f01ff 6162 7f6178 6179ff ff".replace(" ", ""))) == {"a": [1], "b": "xy"}
    assert cbor.loads(bytes.fromhex("c11a514b67b0")) == datetime(2013, 3, 21, 20, 4, tzinfo=UTC)
    assert cbor.loads(bytes.fromhex("f93c00")) == 1.0


@pytest.mark.parametrize("content", ["", "61", "1c", "9f01", "5f01ff", "f8", "81" * 100 + "01", "a18001", "1f"])
def test_what_is_no_cbor(content: str) -> None:
    with pytest.raises(SerializationException):
        cbor.loads(bytes.fromhex(content))
