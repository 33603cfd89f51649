"""What an image of AWS's registries stands for here.

AWS publishes its images from other accounts in each region, so only repository and tag count. Nothing here imports a
machine-learning library: the platform reads it to answer API calls.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Command = tuple[str, ...]

SUBMISSION = ("sagemaker_program", "SAGEMAKER_PROGRAM", "sagemaker_submit_directory", "SAGEMAKER_SUBMIT_DIRECTORY")
"""Hyperparameters and variables that bring code of the user: the framework containers then run that."""

LAUNCHER: Command = ("python", "-m", "clary.toolkit.train")
SERVER: Command = ("python", "-m", "clary.toolkit.serve")


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric that an algorithm writes to its log."""

    name: str
    regex: str
    direction: Literal["Maximize", "Minimize"]


@dataclass(frozen=True, slots=True)
class Wish:
    """The environment that an image of AWS has."""

    requirements: tuple[str, ...]
    python: str = ""
    """Its version; empty when the tag does not tell."""
    distribution: str = ""
    """The package that decides whether the platform's own environment will do, and which version of it."""
    version: str = ""
    """As far as the tag tells it."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image that runs here, and how."""

    uri: str
    repository: str
    tag: str
    framework: str = ""
    """Name for people and for the log, e.g. `scikit-learn`."""
    server_framework: str = ""
    """What `CLARY_FRAMEWORK` tells the model server."""
    algorithm: str = ""
    """The built-in algorithm that runs when the user brings no code."""
    analyzer: str = ""
    """The built-in program that a processing job runs when the user brings no code."""
    metrics: tuple[Metric, ...] = ()
    """What the built-in algorithm reports; scripts declare their own."""

    @property
    def environment(self) -> dict[str, str]:
        """Variables for everything that runs from this image."""
        requested = f"{self.framework} {self.version}".strip()
        variables = {"CLARY_FRAMEWORK": self.server_framework, "CLARY_FRAMEWORK_REQUESTED": requested}
        return {name: value for name, value in variables.items() if value}

    @property
    def version(self) -> str:
        """The tag without what says processor and Python."""
        return re.sub(r"-(?:cpu|gpu)\b.*$|-py\d+$", "", self.tag)

    @property
    def wish(self) -> Wish | None:
        """What must be installed to run scripts as the image does; None when any Python will do."""
        versions = VERSIONS.match(self.tag)
        if self.framework not in DISTRIBUTIONS or versions is None:
            return None
        first, *beside = DISTRIBUTIONS[self.framework]
        version = versions["transformers"] or versions["framework"]
        wanted = [_pinned(first, version), *beside]
        if versions["transformers"]:
            wanted = [_pinned("torch", versions["framework"]), *wanted]
        old = ["numpy<2"] if _parts(version) < NUMPY_2[first] else []
        python = f"3.{versions['python']}" if versions["python"] else ""
        return Wish((*wanted, *old, "pandas<3", "packaging", "pip"), python, first, version)

    def train(self, hyperparameters: Mapping[str, str], environment: Mapping[str, str]) -> Command | None:
        """What a training job runs; None when the image is not for training."""
        if self.algorithm and not _brings_code(hyperparameters, environment):
            return ("python", "-m", "clary.algorithms", self.algorithm, "train")
        return LAUNCHER if self.server_framework or self.repository.startswith(BASE_PYTHON) else None

    def reports(self, hyperparameters: Mapping[str, str], environment: Mapping[str, str]) -> tuple[Metric, ...]:
        """The metrics that a training job finds without being told: those of the built-in algorithm, if that runs."""
        return () if _brings_code(hyperparameters, environment) else self.metrics

    def serve(self, environment: Mapping[str, str]) -> Command | None:
        """What a model server runs; None when the image is not for serving."""
        if self.algorithm and not _brings_code({}, environment):
            return ("python", "-m", "clary.algorithms", self.algorithm, "serve")
        return SERVER if self.server_framework else None

    def process(self) -> Command | None:
        """What a processing job without an entry point runs; None when it needs one."""
        return ("python", "-m", "clary.algorithms", self.analyzer, "process") if self.analyzer else None


@dataclass(frozen=True, slots=True)
class Own(Image):
    """An image of the user's own, which runs as it is: with `train` or `serve` as its argument."""

    @property
    def environment(self) -> dict[str, str]:
        """None: the image has its own."""
        return {}

    def train(self, hyperparameters: Mapping[str, str], environment: Mapping[str, str]) -> Command:  # noqa: ARG002  # whatever they are
        """The argument for training."""
        return ("train",)

    def serve(self, environment: Mapping[str, str]) -> Command:  # noqa: ARG002  # whatever it is
        """The argument for serving."""
        return ("serve",)

    def process(self) -> Command:
        """Nothing: processing runs what the image itself says."""
        return ()


def resolve(image_uri: str) -> Image | None:
    """The image that runs here in place of one of AWS's, from any account and region; None for all others."""
    match = ECR_URI.fullmatch(image_uri)
    if match is None:
        return None
    repository, tag = match["repository"], match["tag"] or ""
    for pattern, build in REPOSITORIES.items():
        if re.fullmatch(pattern, repository):
            return build(image_uri, repository, tag)
    if repository in _installed():
        return Image(image_uri, repository, tag, framework=repository, algorithm=repository)
    return None


@cache
def _installed() -> frozenset[str]:
    """The algorithms that packages offer; an image that bears the name of one stands for it."""
    return frozenset(entry.name for entry in entry_points(group=PLUGINS))


def _brings_code(hyperparameters: Mapping[str, str], environment: Mapping[str, str]) -> bool:
    return any(name in hyperparameters or environment.get(name) for name in SUBMISSION)


PLUGINS = "clary.algorithms"
ECR_URI = re.compile(r"\d{12}\.dkr\.ecr[.-][^/]+/(?P<repository>[^:@]+)(?::(?P<tag>[^@]+))?(?:@.+)?")
VERSIONS = re.compile(
    r"(?P<framework>\d+\.\d+(?:\.\d+)?)(?:-transformers(?P<transformers>\d+\.\d+(?:\.\d+)?))?"
    r"(?:.*-py3(?P<python>\d{1,2})\b)?"
)
"""What a tag tells of versions, such as `1.2-1-cpu-py3` or `2.1.0-transformers4.36.0-cpu-py310-ubuntu22.04`."""
DISTRIBUTIONS: Mapping[str, tuple[str, ...]] = {
    "scikit-learn": ("scikit-learn", "scipy", "joblib"),
    "xgboost": ("xgboost", "scikit-learn", "scipy"),
    "pytorch": ("torch", "scikit-learn"),
    "tensorflow": ("tensorflow", "scikit-learn"),
    "huggingface": ("transformers", "datasets", "accelerate"),
}
"""The packages of the frameworks: first the one whose version the tag tells."""
NUMPY_2: Mapping[str, tuple[int, ...]] = {
    "scikit-learn": (1, 4, 2),
    "xgboost": (2, 1),
    "torch": (2, 3),
    "tensorflow": (2, 18),
    "transformers": (4, 41),
}
"""The first version that works with numpy 2."""
BASE_PYTHON = "sagemaker-base-python"


def _pinned(name: str, version: str) -> str:
    return f"{name}=={version}" if len(_parts(version)) == 3 else f"{name}=={version}.*"


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _scikit_learn(uri: str, repository: str, tag: str) -> Image:
    return Image(uri, repository, tag, framework="scikit-learn", server_framework="sklearn")


def _pytorch(uri: str, repository: str, tag: str) -> Image:
    return Image(uri, repository, tag, framework="pytorch", server_framework="pytorch")


def _huggingface(uri: str, repository: str, tag: str) -> Image:
    return Image(uri, repository, tag, framework="huggingface", server_framework="huggingface")


def _tensorflow(uri: str, repository: str, tag: str) -> Image:
    return Image(uri, repository, tag, framework="tensorflow", server_framework="tensorflow")


def _xgboost(uri: str, repository: str, tag: str) -> Image:
    metrics = tuple(_xgboost_metric(channel, name) for channel in ("train", "validation") for name in _XGBOOST_NAMES)
    return Image(
        uri, repository, tag, framework="xgboost", server_framework="xgboost", algorithm="xgboost", metrics=metrics
    )


def _first_party(uri: str, repository: str, tag: str) -> Image:
    metrics = _FIRST_PARTY_METRICS[repository]
    return Image(uri, repository, tag, framework=repository, algorithm=repository, metrics=metrics)


def _model_monitor(uri: str, repository: str, tag: str) -> Image:
    return Image(uri, repository, tag, framework=repository, analyzer="model-monitor")


def _base_python(uri: str, repository: str, tag: str) -> Image:
    return Image(uri, repository, tag, framework="python")


REPOSITORIES: Mapping[str, Callable[[str, str, str], Image]] = {
    r"sagemaker-scikit-learn": _scikit_learn,
    r"sagemaker-xgboost|xgboost": _xgboost,
    r"pytorch-(?:training|inference)": _pytorch,
    r"huggingface-pytorch-(?:training|inference)": _huggingface,
    r"tensorflow-training": _tensorflow,
    r"linear-learner|kmeans": _first_party,
    r"sagemaker-model-monitor-analyzer": _model_monitor,
    rf"{BASE_PYTHON}(?:-\d+)?": _base_python,
}

XGBOOST_MAXIMIZED = frozenset(
    [
        "accuracy",
        "auc",
        "aucpr",
        "balanced_accuracy",
        "f1",
        "f1_binary",
        "f1_macro",
        "map",
        "ndcg",
        "precision",
        "precision_macro",
        "precision_micro",
        "r2",
        "recall",
        "recall_macro",
        "recall_micro",
    ]
)
XGBOOST_MINIMIZED = frozenset(
    [
        "aft-nloglik",
        "cox-nloglik",
        "error",
        "gamma-deviance",
        "gamma-nloglik",
        "interval-regression-accuracy",
        "logloss",
        "mae",
        "mape",
        "merror",
        "mlogloss",
        "mphe",
        "mse",
        "poisson-nloglik",
        "rmse",
        "rmsle",
        "tweedie-nloglik",
    ]
)
_XGBOOST_NAMES = sorted(XGBOOST_MAXIMIZED | XGBOOST_MINIMIZED)


def _xgboost_metric(channel: str, name: str) -> Metric:
    # The log service shows a tab as #011.
    regex = rf".*\[[0-9]+\].*#011{channel}-{name}:([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?).*"
    return Metric(f"{channel}:{name}", regex, "Maximize" if name in XGBOOST_MAXIMIZED else "Minimize")


def _quality(channels: str, names: str, kind: Literal["loss", "score"]) -> tuple[Metric, ...]:
    return tuple(
        Metric(
            f"{channel}:{name}",
            rf"#quality_metric: host=\S+, (?:epoch=\S+, )?{channel} {name} <{kind}>=(\S+)",
            "Minimize" if kind == "loss" else "Maximize",
        )
        for channel in channels.split()
        for name in names.split()
    )


def _objective(channel: str) -> Metric:
    # The log names the objective after the loss, such as mse_objective.
    regex = rf"#quality_metric: host=\S+, (?:epoch=\S+, )?{channel} \S+_objective <loss>=(\S+)"
    return Metric(f"{channel}:objective_loss", regex, "Minimize")


_FIRST_PARTY_METRICS: Mapping[str, tuple[Metric, ...]] = {
    "linear-learner": (
        *(_objective(channel) for channel in ("train", "validation", "test")),
        *_quality("validation test", "absolute_loss mse rmse", "loss"),
        *_quality(
            "validation test",
            "binary_classification_accuracy binary_f_beta dcg macro_f_beta macro_precision macro_recall"
            " multiclass_accuracy multiclass_top_k_accuracy precision recall roc_auc_score",
            "score",
        ),
    ),
    "kmeans": _quality("train test", "msd ssd", "loss"),
}
