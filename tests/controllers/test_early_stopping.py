from __future__ import annotations

from clary.controllers.early_stopping import LEAST, lags

GOOD = [[0.5, 0.4, 0.3], [0.6, 0.5, 0.2], [0.5, 0.3, 0.3]]


def test_a_job_behind_the_median_lags() -> None:
    assert lags([0.9, 0.9], GOOD, maximize=False)
    assert not lags([0.9, 0.1], GOOD, maximize=False)


def test_the_direction_counts() -> None:
    assert lags([0.1, 0.1], GOOD, maximize=True)
    assert not lags([0.9, 0.9], GOOD, maximize=True)


def test_jobs_that_came_less_far_do_not_judge() -> None:
    assert not lags([0.9] * 4, GOOD, maximize=False)


def test_few_jobs_do_not_judge() -> None:
    assert not lags([0.9], GOOD[: LEAST - 1], maximize=False)


def test_a_job_without_a_value_does_not_lag() -> None:
    assert not lags([], GOOD, maximize=False)
