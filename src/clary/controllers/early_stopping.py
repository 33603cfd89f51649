"""Which training jobs of a tuning job are not worth their time: the median rule.

Source: "Stop Training Jobs Early", SageMaker developer guide: a job is stopped when its objective is worse than the
median of the running averages of the jobs before it up to the same point.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST = 3
"""Jobs that must have come as far: a median of fewer is no judge."""


def lags(values: Sequence[float], others: Sequence[Sequence[float]], *, maximize: bool) -> bool:
    """Whether a job that has reported `values` of its objective so far should be stopped, given those of `others`."""
    reached = len(values)
    averages = [statistics.fmean(series[:reached]) for series in others if 0 < reached <= len(series)]
    if len(averages) < LEAST:
        return False
    median = statistics.median(averages)
    return values[-1] < median if maximize else values[-1] > median
