"""Repeated k-fold training: a model for each fold, and each example predicted by models that have not seen it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold

from clary.algorithms.xgboost_artefact import save
from clary.algorithms.xgboost_metrics import predicted_labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clary.toolkit.layout import Layout


class Fitter(Protocol):
    """Trains one booster."""

    parameters: dict[str, Any]

    def run(self, train: Any, validation: Any = None) -> Any:
        """The booster for a training DMatrix."""


def train_folds(fit: Fitter, train: Any, validation: Any, values: Mapping[str, Any], layout: Layout) -> None:
    """Write `xgboost-model-N` for each fold and `predictions.csv` for all examples.

    `_kfold` is the number of folds and `_num_cv_round` how often the examples are split anew. With a validation channel
    each model is watched on it, else on its own fold.
    """
    truth = train.get_label()
    held_out: defaultdict[int, list[Any]] = defaultdict(list)
    for number, (kept, left) in enumerate(_splitter(fit, values).split(np.zeros(len(truth)), truth)):
        fold = train.slice(left)
        booster = fit.run(train.slice(kept), validation if validation is not None else fold)
        save(booster, layout.model / f"xgboost-model-{number}")
        for row, prediction in zip(left, booster.predict(fold), strict=True):
            held_out[int(row)].append(prediction)
    predictions = np.array([np.mean(held_out[row], axis=0) for row in range(len(truth))])
    _write(layout, fit, truth, predictions)


def _splitter(fit: Fitter, values: Mapping[str, Any]) -> Any:
    objective = fit.parameters["objective"]
    kind = RepeatedStratifiedKFold if objective.startswith(("binary:", "multi:")) else RepeatedKFold
    return kind(n_splits=values["_kfold"], n_repeats=values["_num_cv_round"], random_state=values["seed"] or 0)


def _write(layout: Layout, fit: Fitter, truth: Any, predictions: Any) -> None:
    objective = fit.parameters["objective"]
    columns = {"label": truth}
    if objective.startswith(("binary:", "multi:")):
        columns["predicted"] = predicted_labels(predictions, objective)
    if predictions.ndim == 1:
        columns["score"] = predictions
    else:
        columns |= {f"score_{index}": predictions[:, index] for index in range(predictions.shape[1])}
    folder = layout.output / "data"
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_csv(folder / "predictions.csv", index=False)
