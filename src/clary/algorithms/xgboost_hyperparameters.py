"""The hyperparameters of AWS's XGBoost container, and what they are in the library that runs.

Source: AWS page "XGBoost hyperparameters".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clary.algorithms.catalogue import XGBOOST_MAXIMIZED, XGBOOST_MINIMIZED
from clary.algorithms.errors import ClientError
from clary.algorithms.hyperparameters import (
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    Hyperparameter,
    Range,
    boolean,
    integer,
    names,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

POSITIVE_FRACTION = Range(0, 1, above_low=True)

HYPERPARAMETERS = (
    Hyperparameter("num_round", integer, required=True, within=POSITIVE),
    Hyperparameter("num_class", integer, within=Range(2)),
    Hyperparameter("csv_weights", integer, default=0, within=Range(0, 1)),
    Hyperparameter("early_stopping_rounds", integer, within=POSITIVE),
    Hyperparameter("eval_metric", names, default=[]),
    Hyperparameter("save_model_on_termination", boolean, default=False),
    Hyperparameter("_kfold", integer, within=Range(2)),
    Hyperparameter("_num_cv_round", integer, default=1, within=POSITIVE),
    Hyperparameter("use_dask_gpu_training", boolean, default=False),
    Hyperparameter("objective", str, default="reg:squarederror"),
    Hyperparameter("booster", str, default="gbtree", choices=("gbtree", "gblinear", "dart")),
    Hyperparameter("alpha", float),
    Hyperparameter("base_score", float),
    Hyperparameter("colsample_bylevel", float, within=POSITIVE_FRACTION),
    Hyperparameter("colsample_bynode", float, within=POSITIVE_FRACTION),
    Hyperparameter("colsample_bytree", float, within=POSITIVE_FRACTION),
    Hyperparameter("eta", float, within=FRACTION),
    Hyperparameter("gamma", float, within=NOT_NEGATIVE),
    Hyperparameter("grow_policy", str, choices=("depthwise", "lossguide")),
    Hyperparameter("interaction_constraints", str),
    Hyperparameter("lambda", float),
    Hyperparameter("max_bin", integer, within=Range(2)),
    Hyperparameter("max_delta_step", float, within=NOT_NEGATIVE),
    Hyperparameter("max_depth", integer, within=NOT_NEGATIVE),
    Hyperparameter("max_leaves", integer, within=NOT_NEGATIVE),
    Hyperparameter("min_child_weight", float, within=NOT_NEGATIVE),
    Hyperparameter("monotone_constraints", str),
    Hyperparameter("normalize_type", str, choices=("tree", "forest")),
    Hyperparameter("nthread", integer, within=POSITIVE),
    Hyperparameter("num_parallel_tree", integer, within=POSITIVE),
    Hyperparameter("one_drop", integer, within=Range(0, 1)),
    Hyperparameter("process_type", str, choices=("default", "update")),
    Hyperparameter("rate_drop", float, within=FRACTION),
    Hyperparameter("refresh_leaf", integer, within=Range(0, 1)),
    Hyperparameter("sample_type", str, choices=("uniform", "weighted")),
    Hyperparameter("scale_pos_weight", float),
    Hyperparameter("seed", integer),
    Hyperparameter("skip_drop", float, within=FRACTION),
    Hyperparameter("subsample", float, within=POSITIVE_FRACTION),
    Hyperparameter("tree_method", str, choices=("auto", "exact", "approx", "hist", "gpu_hist")),
    Hyperparameter("tweedie_variance_power", float, within=Range(1, 2, above_low=True, below_high=True)),
    Hyperparameter("updater", str),
    Hyperparameter("verbosity", integer, default=1, within=Range(0, 3)),
    Hyperparameter("aft_loss_distribution", str, choices=("normal", "logistic", "extreme")),
    Hyperparameter("aft_loss_distribution_scale", float, within=POSITIVE),
    # The library no longer has these; they are checked and left out, since none of them changes what is learnt.
    Hyperparameter("deterministic_histogram", boolean),
    Hyperparameter("dsplit", str, choices=("row", "col")),
    Hyperparameter("lambda_bias", float, within=FRACTION),
    Hyperparameter("predictor", str, choices=("auto", "cpu_predictor", "gpu_predictor")),
    Hyperparameter("prob_buffer_row", float),
    Hyperparameter("sampling_method", str, choices=("uniform", "gradient_based")),
    Hyperparameter("silent", integer, within=Range(0, 1)),
    Hyperparameter("single_precision_histogram", boolean),
    Hyperparameter("sketch_eps", float, within=FRACTION),
)

FOR_THE_CONTAINER = frozenset(
    [
        "num_round",
        "csv_weights",
        "early_stopping_rounds",
        "eval_metric",
        "save_model_on_termination",
        "_kfold",
        "_num_cv_round",
        "use_dask_gpu_training",
    ]
)
NOT_IN_THE_LIBRARY = frozenset(
    [
        "deterministic_histogram",
        "dsplit",
        "lambda_bias",
        "predictor",
        "prob_buffer_row",
        "sampling_method",
        "silent",
        "single_precision_histogram",
        "sketch_eps",
    ]
)
OBJECTIVES_RENAMED: Mapping[str, str] = {"reg:linear": "reg:squarederror"}


def library_parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """What `xgboost.train` is given for the hyperparameters of a job.

    Raises:
        ClientError: hyperparameters contradict each other.
    """
    objective = str(values["objective"])
    if objective.startswith("multi:") and values["num_class"] is None:
        raise ClientError(f"num_class is required when objective is {objective}")
    skipped = FOR_THE_CONTAINER | NOT_IN_THE_LIBRARY
    names_ = (parameter.name for parameter in HYPERPARAMETERS if parameter.name not in skipped)
    parameters = {name: values[name] for name in names_ if values[name] is not None}
    if not objective.startswith("multi:"):
        # The library takes num_class for a multiclass job even where the objective is not.
        parameters.pop("num_class", None)
    parameters["objective"] = OBJECTIVES_RENAMED.get(objective, objective)
    if parameters.get("tree_method") == "gpu_hist":
        parameters["tree_method"] = "hist"
    return parameters


def check_metric(name: str) -> None:
    """Refuse a metric that neither the library nor the container computes.

    Raises:
        ClientError: the metric is unknown.
    """
    base = name.partition("@")[0].removesuffix("-")
    if base not in XGBOOST_MAXIMIZED | XGBOOST_MINIMIZED:
        raise ClientError(f"Metric '{name}' is not supported")


def is_maximized(name: str) -> bool:
    """Whether more of the metric is better."""
    return name.partition("@")[0].removesuffix("-") in XGBOOST_MAXIMIZED
