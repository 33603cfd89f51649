import struct

import pytest

from clary.agent import recordio


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 1000])
def test_a_record_is_a_whole_number_of_words(length: int) -> None:
    record = recordio.head(length) + bytes(length) + recordio.tail(length)
    assert struct.unpack_from("<II", record) == (0xCED7230A, length)
    assert len(record) % 4 == 0
    assert len(record) - 8 - length < 4


def test_a_content_that_no_record_can_hold() -> None:
    recordio.head((1 << 29) - 1)
    with pytest.raises(ValueError, match="RecordIO"):
        recordio.head(1 << 29)
