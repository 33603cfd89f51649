from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from clary.algorithms.model_monitor import sketch


def test_small_samples_are_kept_whole() -> None:
    kll = sketch.describe(np.array([3.0, 1.0, 2.0]))
    assert kll["sketch"]["data"] == [[1.0, 2.0, 3.0]]
    assert sum(bucket["count"] for bucket in kll["buckets"]) == 3
    assert len(kll["buckets"]) == 10


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30), st.lists(st.floats(-100, 100), min_size=1, max_size=30))
def test_distance_is_the_two_sample_statistic(first: list[float], second: list[float]) -> None:
    found = sketch.distance(sketch.describe(np.array(first)), sketch.describe(np.array(second)))
    shares = (
        [sum(value <= point for value in sample) / len(sample) for sample in (first, second)]
        for point in first + second
    )
    assert found == pytest.approx(max(abs(one - two) for one, two in shares))


def test_big_samples_stay_small_and_sound() -> None:
    random = np.random.default_rng(1)
    first, second = random.normal(size=50_000), random.normal(0.3, 1, size=30_000)
    one, two = sketch.describe(first), sketch.describe(second)
    assert sum(map(len, one["sketch"]["data"])) <= 2 * sketch.LEVEL_SIZE
    assert sketch.size(one) == 50_000
    assert sketch.distance(one, two) == pytest.approx(ks_2samp(first, second).statistic, abs=0.005)


def test_buckets_stand_in_for_a_missing_sketch() -> None:
    first, second = sketch.describe(np.linspace(0, 1, 1000)), sketch.describe(np.linspace(1, 2, 1000))
    del first["sketch"]
    assert sketch.distance(first, second) > 0.9


def test_constant_features_have_buckets_too() -> None:
    assert sketch.describe(np.full(5, 7.0))["buckets"][0]["lower_bound"] == 7.0
