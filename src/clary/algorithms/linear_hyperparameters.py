"""The hyperparameters of linear learner. Source: AWS page "Linear learner hyperparameters"."""

from __future__ import annotations

from clary.algorithms.hyperparameters import (
    AUTO,
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    Hyperparameter,
    Range,
    boolean,
    integer,
)

BINARY, MULTICLASS, REGRESSOR = "binary_classifier", "multiclass_classifier", "regressor"
BALANCED = "balanced"

LOSSES = {
    BINARY: ("logistic", "hinge_loss"),
    MULTICLASS: ("softmax_loss",),
    REGRESSOR: (
        "squared_loss",
        "absolute_loss",
        "eps_insensitive_squared_loss",
        "eps_insensitive_absolute_loss",
        "quantile_loss",
        "huber_loss",
    ),
}
"""The losses of each predictor type, what `auto` chooses first."""

CRITERIA = (
    "accuracy",
    "f1",
    "f_beta",
    "precision_at_target_recall",
    "recall_at_target_precision",
    "loss_function",
    "cross_entropy_loss",
)
OPEN_FRACTION = Range(0, 1, below_high=True)


def _balanced_or_number(text: str) -> str | float:
    return BALANCED if text == BALANCED else float(text)


HYPERPARAMETERS = (
    Hyperparameter("predictor_type", str, required=True, choices=(BINARY, MULTICLASS, REGRESSOR)),
    Hyperparameter("num_classes", integer, within=Range(3, 1_000_000)),
    Hyperparameter("accuracy_top_k", integer, default=3, within=POSITIVE),
    Hyperparameter("balance_multiclass_weights", boolean, default=False),
    Hyperparameter("beta_1", float, default=AUTO, within=OPEN_FRACTION, auto=True),
    Hyperparameter("beta_2", float, default=AUTO, within=OPEN_FRACTION, auto=True),
    Hyperparameter("bias_lr_mult", float, default=AUTO, within=POSITIVE, auto=True),
    Hyperparameter("bias_wd_mult", float, default=AUTO, within=NOT_NEGATIVE, auto=True),
    Hyperparameter("binary_classifier_model_selection_criteria", str, default="accuracy", choices=CRITERIA),
    Hyperparameter("early_stopping_patience", integer, default=3, within=POSITIVE),
    Hyperparameter("early_stopping_tolerance", float, default=0.001, within=POSITIVE),
    Hyperparameter("epochs", integer, default=15, within=POSITIVE),
    Hyperparameter("f_beta", float, default=1.0, within=POSITIVE),
    Hyperparameter("feature_dim", integer, default=AUTO, within=POSITIVE, auto=True),
    Hyperparameter("huber_delta", float, default=1.0, within=POSITIVE),
    Hyperparameter("init_bias", float, default=0.0),
    Hyperparameter("init_method", str, default="uniform", choices=("uniform", "normal")),
    Hyperparameter("init_scale", float, default=0.07, within=POSITIVE),
    Hyperparameter("init_sigma", float, default=0.01, within=POSITIVE),
    Hyperparameter("l1", float, default=AUTO, within=NOT_NEGATIVE, auto=True),
    Hyperparameter("learning_rate", float, default=AUTO, within=POSITIVE, auto=True),
    Hyperparameter("loss", str, default=AUTO, auto=True, choices=tuple(sum(LOSSES.values(), ()))),
    Hyperparameter("loss_insensitivity", float, default=0.01, within=POSITIVE),
    Hyperparameter("lr_scheduler_factor", float, default=AUTO, within=OPEN_FRACTION, auto=True),
    Hyperparameter("lr_scheduler_minimum_lr", float, default=AUTO, within=POSITIVE, auto=True),
    Hyperparameter("lr_scheduler_step", integer, default=AUTO, within=POSITIVE, auto=True),
    Hyperparameter("margin", float, default=1.0, within=POSITIVE),
    Hyperparameter("mini_batch_size", integer, within=POSITIVE),
    Hyperparameter("momentum", float, default=AUTO, within=OPEN_FRACTION, auto=True),
    Hyperparameter("normalize_data", boolean, default=True, auto=True),
    Hyperparameter("normalize_label", boolean, default=AUTO, auto=True),
    Hyperparameter("num_calibration_samples", integer, default=AUTO, within=POSITIVE, auto=True),
    Hyperparameter("num_models", integer, default=AUTO, within=POSITIVE, auto=True),
    Hyperparameter("num_point_for_scaler", integer, default=10_000, within=POSITIVE),
    Hyperparameter("optimizer", str, default=AUTO, auto=True, choices=("adam", "sgd", "rmsprop")),
    Hyperparameter("positive_example_weight_mult", _balanced_or_number, default=1.0),
    Hyperparameter("quantile", float, default=0.5, within=FRACTION),
    Hyperparameter("target_precision", float, default=0.8, within=FRACTION),
    Hyperparameter("target_recall", float, default=0.8, within=FRACTION),
    Hyperparameter("unbias_data", boolean, default=AUTO, auto=True),
    Hyperparameter("unbias_label", boolean, default=AUTO, auto=True),
    Hyperparameter("use_bias", boolean, default=True),
    Hyperparameter("use_lr_scheduler", boolean, default=True),
    Hyperparameter("wd", float, default=AUTO, within=NOT_NEGATIVE, auto=True),
)
