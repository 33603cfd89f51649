from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.controllers.search import Categorical, Numeric, Search, Tried, Values, space

ETA = {"Name": "eta", "MinValue": "0.001", "MaxValue": "1", "ScalingType": "Logarithmic"}
MOMENTUM = {"Name": "momentum", "MinValue": "0.5", "MaxValue": "0.999", "ScalingType": "ReverseLogarithmic"}
DEPTH = {"Name": "depth", "MinValue": "1", "MaxValue": "12"}
BOOSTER = {"Name": "booster", "Values": ["tree", "linear"]}
RANGES: dict[str, Any] = {
    "ContinuousParameterRanges": [ETA, MOMENTUM],
    "IntegerParameterRanges": [DEPTH],
    "CategoricalParameterRanges": [BOOSTER],
}


def loss(values: Values) -> float:
    eta, depth = float(values["eta"]), int(values["depth"])
    return abs(eta - 0.1) * 10 + (depth - 5) ** 2 / 10 + (values["booster"] == "linear")


def tune(strategy: str, seed: int, count: int, parallel: int = 1) -> list[Values]:
    """Runs a search as a tuning job would: a new Search for each point, some points still without a result."""
    tried: list[Values] = []
    for index in range(1, count + 1):
        history = [
            Tried(values, None if age < parallel else loss(values), running=age < parallel)
            for age, values in zip(range(len(tried), 0, -1), tried, strict=True)
        ]
        tried.append(Search(strategy, space(RANGES), False, str(seed)).suggest(index, history))
    return tried


@pytest.mark.parametrize("strategy", ["Random", "Bayesian"])
def test_points_lie_in_their_ranges(strategy: str) -> None:
    for values in tune(strategy, 1, 20):
        assert list(values) == ["eta", "momentum", "depth", "booster"]
        assert 0.001 <= float(values["eta"]) <= 1
        assert 0.5 <= float(values["momentum"]) <= 0.999
        assert 1 <= int(values["depth"]) <= 12
        assert values["booster"] in {"tree", "linear"}


@pytest.mark.parametrize("strategy", ["Random", "Bayesian"])
def test_a_seed_gives_the_same_search_again(strategy: str) -> None:
    assert tune(strategy, 7, 10) == tune(strategy, 7, 10)
    assert tune(strategy, 7, 10) != tune(strategy, 8, 10)


def test_bayesian_search_beats_random_search() -> None:
    seeds = range(10)
    found = {
        strategy: [min(map(loss, tune(strategy, seed, 25, parallel=2))) for seed in seeds]
        for strategy in ("Bayesian", "Random")
    }
    assert sum(map(float.__lt__, found["Bayesian"], found["Random"])) >= 7
    assert sum(found["Bayesian"]) < 0.7 * sum(found["Random"])


def test_failed_training_jobs_do_not_disturb_the_search() -> None:
    values = tune("Bayesian", 1, 8)
    history = [Tried(entry, None if number % 2 else loss(entry)) for number, entry in enumerate(values)]
    assert Search("Bayesian", space(RANGES), False, "1").suggest(9, history) not in values


def test_a_grid_has_every_combination_once() -> None:
    ranges = {"CategoricalParameterRanges": [BOOSTER, {"Name": "size", "Values": ["1", "2", "3"]}]}
    search = Search("Grid", space(ranges), True, "")
    points = [tuple(search.suggest(index, []).values()) for index in range(1, 7)]
    assert sorted(points) == sorted((booster, size) for booster in ("tree", "linear") for size in "123")


@pytest.mark.parametrize("strategy", ["Random", "Bayesian"])
def test_a_point_is_not_tried_twice_while_others_are_left(strategy: str) -> None:
    ranges = {"IntegerParameterRanges": [{"Name": "n", "MinValue": "1", "MaxValue": "6"}]}
    tried: list[Values] = []
    for index in range(1, 7):
        history = [Tried(values, float(values["n"])) for values in tried]
        tried.append(Search(strategy, space(ranges), True, "1").suggest(index, history))
    assert sorted(values["n"] for values in tried) == list("123456")


def test_logarithmic_scaling_gives_every_magnitude_its_share() -> None:
    search = Search("Random", space({"ContinuousParameterRanges": [ETA]}), True, "1")
    small = sum(float(search.suggest(index, [])["eta"]) < 0.01 for index in range(1, 151))
    assert 30 <= small <= 70


@given(
    st.floats(-1e6, 1e6), st.floats(0, 1e6), st.sampled_from(["Auto", "Linear"]), st.integers(0, 1000), st.booleans()
)
def test_texts_of_a_range_are_read_back(low: float, width: float, scaling: str, draw: int, integer: bool) -> None:
    low, high = (float(int(low)), float(int(low + width))) if integer else (low, low + width)
    parameter = Numeric("x", low, high, scaling, integer)
    value = Search("Random", (parameter,), True, "1").suggest(draw, [])
    distribution = parameter.distribution()
    assert low <= float(value["x"]) <= high
    assert distribution._contains(distribution.to_internal_repr(parameter.inner(value["x"])))


@given(st.floats(0, 0.98), st.floats(0.001, 0.0199), st.floats(0, 1))
def test_reverse_logarithmic_values_stay_inside(low: float, width: float, share: float) -> None:
    parameter = Numeric("x", low, low + width, "ReverseLogarithmic", False)
    distribution = parameter.distribution()
    value = low + share * width
    assert distribution._contains(distribution.to_internal_repr(parameter.inner(repr(min(value, low + width)))))


def test_ranges_become_parameters() -> None:
    eta, momentum, depth, booster = space(RANGES)
    assert eta == Numeric("eta", 0.001, 1.0, "Logarithmic", False)
    assert momentum == Numeric("momentum", 0.5, 0.999, "ReverseLogarithmic", False)
    assert depth == Numeric("depth", 1.0, 12.0, "Auto", True)
    assert booster == Categorical("booster", ("tree", "linear"))
