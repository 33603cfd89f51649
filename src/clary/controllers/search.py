"""Which hyperparameters a tuning job tries next; computed from what it has tried, nothing is remembered.

Importing it takes 0.2 s, because of Optuna; the controller does so when the first tuning job needs it.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from clary.trials import maximizes, objective, running

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clary.store.records import Record

Values = dict[str, str]
"""Hyperparameters as training jobs get them: text."""

STARTUP = 5
"""Points drawn at random before the Bayesian search begins: small tuning jobs must profit too."""

WIDE = 100.0
"""A range that spans more than this factor is searched on a logarithmic scale when its scaling is Auto."""

ATTEMPTS = 50
"""Random draws before a point that was tried already is tried again."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A point of the search space and what came of it."""

    values: Values
    objective: float | None = None
    running: bool = False


@dataclass(frozen=True, slots=True)
class Numeric:
    """A continuous or integer range, as the tuner's wire format describes it."""

    name: str
    low: float
    high: float
    scaling: str
    integer: bool

    def distribution(self) -> BaseDistribution:
        """The range for the sampler; a reverse logarithmic one is searched as 1 - x."""
        if self.integer:
            return IntDistribution(int(self.low), int(self.high), log=self._logarithmic)
        if self._reverse:
            return FloatDistribution(1 - self.high, 1 - self.low, log=True)
        return FloatDistribution(self.low, self.high, log=self._logarithmic)

    def text(self, inner: Any) -> str:
        """The sampler's value as text."""
        if self.integer:
            return repr(int(inner))
        # Optuna gives NumPy numbers now and then, whose text names their type.
        return repr(float(self._within(1 - inner if self._reverse else inner)))

    def inner(self, text: str) -> float:
        """The text as the sampler's value."""
        if self.integer:
            return int(text)
        # The difference may miss the bounds of the distribution by a rounding error.
        return min(max(1 - float(text), 1 - self.high), 1 - self.low) if self._reverse else float(text)

    @property
    def _logarithmic(self) -> bool:
        if self.scaling == "Auto":
            return self.low > 0 and self.high / self.low > WIDE
        return self.scaling == "Logarithmic"

    @property
    def _reverse(self) -> bool:
        return self.scaling == "ReverseLogarithmic"

    def _within(self, value: float) -> float:
        return min(max(value, self.low), self.high)


@dataclass(frozen=True, slots=True)
class Categorical:
    """A choice among texts."""

    name: str
    choices: tuple[str, ...]

    def distribution(self) -> BaseDistribution:
        """The choice for the sampler."""
        return CategoricalDistribution(self.choices)

    def text(self, inner: Any) -> str:
        """The sampler's value as text."""
        return str(inner)

    def inner(self, text: str) -> str:
        """The text as the sampler's value."""
        return text


Parameter = Numeric | Categorical


@dataclass(frozen=True, slots=True)
class Search:
    """A strategy in a space; the same seed and history give the same suggestion."""

    strategy: str
    space: tuple[Parameter, ...]
    maximize: bool
    seed: str

    def suggest(self, index: int, history: Sequence[Tried]) -> Values:
        """The point for training job number `index`, counted from 1."""
        if self.strategy == "Grid":
            return self._corner(index)
        values = self._ask(index, history)
        # In a small space the search may come back to where it was, which would be a training job for nothing.
        for attempt in range(ATTEMPTS):
            if values not in (tried.values for tried in history):
                break
            values = self._ask(f"{index}/{attempt}", ())
        return values

    def _ask(self, draw: int | str, history: Sequence[Tried]) -> Values:
        """The sampler's next point; a random one without a history."""
        study = self._study(history, self._sampler(f"{self.seed}/{draw}", history))
        trial = study.ask({parameter.name: parameter.distribution() for parameter in self.space})
        return {parameter.name: parameter.text(trial.params[parameter.name]) for parameter in self.space}

    def _corner(self, index: int) -> Values:
        choices = [parameter.choices for parameter in self.space if isinstance(parameter, Categorical)]
        chosen = next(itertools.islice(itertools.product(*choices), index - 1, None))
        return {parameter.name: choice for parameter, choice in zip(self.space, chosen, strict=True)}

    def _sampler(self, seed: str, history: Sequence[Tried]) -> BaseSampler:
        number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4])
        if self.strategy == "Random" or not history:
            return RandomSampler(seed=number)
        # With constant_liar, the neighbourhood of points that still run is not tried a second time.
        return TPESampler(n_startup_trials=STARTUP, constant_liar=True, seed=number)

    def _study(self, history: Sequence[Tried], sampler: BaseSampler) -> optuna.Study:
        # Optuna would announce each study, and one is made for each suggestion.
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(sampler=sampler, direction="maximize" if self.maximize else "minimize")
        if self.strategy != "Random":
            study.add_trials([self._trial(tried) for tried in history])
        return study

    def _trial(self, tried: Tried) -> FrozenTrial:
        if tried.running:
            state = TrialState.RUNNING
        else:
            state = TrialState.COMPLETE if tried.objective is not None else TrialState.FAIL
        return create_trial(
            state=state,
            params={parameter.name: parameter.inner(tried.values[parameter.name]) for parameter in self.space},
            distributions={parameter.name: parameter.distribution() for parameter in self.space},
            value=None if tried.running else tried.objective,
        )


def propose(tuning: Record, seen: Sequence[Record], wanted: range) -> list[Values]:
    """The hyperparameters of the training jobs with the numbers `wanted`, given those of `seen`."""
    plan, config = tuning.observed["Plan"], tuning.spec["HyperParameterTuningJobConfig"]
    seed = str(config.get("RandomSeed", f"{tuning.arn} {tuning.created.timestamp()}"))
    search = Search(config["Strategy"], space(plan["ParameterRanges"]), maximizes(tuning), seed)
    history = [Tried(trial.observed["TunedHyperParameters"], objective(trial), running(trial)) for trial in seen]
    proposed: list[Values] = []
    for index in wanted:
        proposed.append(search.suggest(index, history))
        history.append(Tried(proposed[-1], running=True))
    return proposed


def space(ranges: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[Parameter, ...]:
    """The parameters of a `ParameterRanges` structure."""
    return (
        *(_numeric(entry, integer=False) for entry in ranges.get("ContinuousParameterRanges", ())),
        *(_numeric(entry, integer=True) for entry in ranges.get("IntegerParameterRanges", ())),
        *(Categorical(entry["Name"], tuple(entry["Values"])) for entry in ranges.get("CategoricalParameterRanges", ())),
    )


def _numeric(entry: Mapping[str, Any], *, integer: bool) -> Numeric:
    bounds = float(entry["MinValue"]), float(entry["MaxValue"])
    return Numeric(entry["Name"], *bounds, entry.get("ScalingType", "Auto"), integer)
