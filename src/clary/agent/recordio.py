"""The envelope of RecordIO, in which a stream's records are told apart.

Source: Apache MXNet, "Designing Efficient Data Loaders for Deep Learning" (data format).
"""

from __future__ import annotations

import struct

_MAGIC = 0xCED7230A
_WORD = 4
LIMIT_BYTES = (1 << 29) - 1
"""The largest content of a record: the three bits above its length mean something else."""


def head(length: int) -> bytes:
    """What stands before a content of this length.

    Raises:
        ValueError: a record cannot be so long.
    """
    if length > LIMIT_BYTES:
        raise ValueError(f"{length} bytes are more than the {LIMIT_BYTES} of a RecordIO record")
    return struct.pack("<II", _MAGIC, length)


def tail(length: int) -> bytes:
    """What stands behind it, so that the next record begins at a whole word."""
    return bytes(-length % _WORD)
