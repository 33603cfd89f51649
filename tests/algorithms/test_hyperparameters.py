from __future__ import annotations

import pytest

from clary.algorithms.errors import ClientError
from clary.algorithms.hyperparameters import AUTO, FRACTION, Hyperparameter, Range, boolean, integer, names, validate

DECLARED = (
    Hyperparameter("k", integer, required=True, within=Range(0, above_low=True)),
    Hyperparameter("rate", float, default=AUTO, within=FRACTION, auto=True),
    Hyperparameter("init", str, default="random", choices=("random", "kmeans++")),
    Hyperparameter("quiet", boolean, default=False),
    Hyperparameter("metrics", names, default=[]),
)


def test_values_are_read_and_defaults_filled_in() -> None:
    given = {"k": "5.0", "rate": "0.5", "quiet": "True", "metrics": '["a", "b"]'}
    assert validate(DECLARED, given) == {"k": 5, "rate": 0.5, "init": "random", "quiet": True, "metrics": ["a", "b"]}
    assert validate(DECLARED, {"k": "1", "rate": "auto", "metrics": "a, b"})["metrics"] == ["a", "b"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "Missing required hyperparameter: k"),
        ({"k": "1", "x": "2"}, r"Additional hyperparameters are not allowed \('x' was unexpected\)"),
        ({"k": "0"}, r"Hyperparameter k: value 0 not in range \(0, inf\]"),
        ({"k": "1.5"}, "Hyperparameter k: could not parse value '1.5'"),
        ({"k": "auto"}, "Hyperparameter k: could not parse value 'auto'"),
        ({"k": "1", "rate": "2"}, r"Hyperparameter rate: value 2.0 not in range \[0, 1\]"),
        ({"k": "1", "init": "best"}, "Hyperparameter init: value best not in range"),
        ({"k": "1", "quiet": "maybe"}, "Hyperparameter quiet: could not parse"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, str], message: str) -> None:
    with pytest.raises(ClientError, match=message):
        validate(DECLARED, given)
