from __future__ import annotations

import re
import subprocess
import sys

import pytest

from clary.algorithms.catalogue import resolve

EAST = "683313688378.dkr.ecr.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    "uri",
    [
        f"{EAST}/sagemaker-xgboost:1.7-1",
        "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:1.7-1",
        "450853457545.dkr.ecr.cn-north-1.amazonaws.com.cn/sagemaker-xgboost:1.7-1",
    ],
)
def test_account_and_region_do_not_matter(uri: str) -> None:
    image = resolve(uri)
    assert image is not None
    assert (image.uri, image.repository, image.tag, image.version) == (uri, "sagemaker-xgboost", "1.7-1", "1.7-1")


@pytest.mark.parametrize("uri", ["kmeans:1", "python:3.11", f"{EAST}/pca:1", f"{EAST}/my-sagemaker-xgboost:1", ""])
def test_other_images_are_not_ours(uri: str) -> None:
    assert resolve(uri) is None


@pytest.mark.parametrize(
    ("tag", "version"),
    [("1.2-1-cpu-py3", "1.2-1"), ("1.4-2-py312", "1.4-2"), ("0.90-2-cpu-py3", "0.90-2"), ("3.0-5", "3.0-5")],
)
def test_version_is_the_tag_without_processor_and_python(tag: str, version: str) -> None:
    image = resolve(f"{EAST}/sagemaker-scikit-learn:{tag}")
    assert image is not None
    assert image.version == version
    assert image.environment == {
        "CLARY_FRAMEWORK": "sklearn",
        "CLARY_FRAMEWORK_REQUESTED": f"scikit-learn {version}",
    }


def test_xgboost_runs_the_users_code_only_when_there_is_some() -> None:
    image = resolve(f"{EAST}/sagemaker-xgboost:1.7-1")
    assert image is not None
    assert image.train({}, {}) == ("python", "-m", "clary.algorithms", "xgboost", "train")
    assert image.train({"sagemaker_program": '"a.py"'}, {}) == ("python", "-m", "clary.toolkit.train")
    assert image.serve({}) == ("python", "-m", "clary.algorithms", "xgboost", "serve")
    assert image.serve({"SAGEMAKER_PROGRAM": "a.py"}) == ("python", "-m", "clary.toolkit.serve")
    assert image.serve({"SAGEMAKER_PROGRAM": ""}) == ("python", "-m", "clary.algorithms", "xgboost", "serve")


def test_the_monitor_processes_and_nothing_else() -> None:
    image = resolve("156813124566.dkr.ecr.us-east-1.amazonaws.com/sagemaker-model-monitor-analyzer")
    assert image is not None
    assert image.process() == ("python", "-m", "clary.algorithms", "model-monitor", "process")
    assert image.train({}, {}) is None
    assert image.serve({}) is None


def test_base_python_trains_scripts() -> None:
    image = resolve("081325390199.dkr.ecr.us-east-1.amazonaws.com/sagemaker-base-python-310:1.0")
    assert image is not None
    assert image.train({}, {}) == ("python", "-m", "clary.toolkit.train")


@pytest.mark.parametrize(
    ("repository", "name", "line", "value", "direction"),
    [
        ("sagemaker-xgboost", "validation:auc", "[3]#011train-auc:0.5#011validation-auc:0.25", "0.25", "Maximize"),
        ("sagemaker-xgboost", "train:rmse", "[12]#011train-rmse:1e-05#011validation-rmse:2", "1e-05", "Minimize"),
        ("kmeans", "test:msd", "#quality_metric: host=algo-1, test msd <loss>=0.5", "0.5", "Minimize"),
        (
            "linear-learner",
            "validation:objective_loss",
            "#quality_metric: host=algo-1, epoch=3, validation mse_objective <loss>=0.5",
            "0.5",
            "Minimize",
        ),
        (
            "linear-learner",
            "test:roc_auc_score",
            "#quality_metric: host=algo-1, test roc_auc_score <score>=0.9",
            "0.9",
            "Maximize",
        ),
    ],
)
def test_metrics_are_found_in_the_log(repository: str, name: str, line: str, value: str, direction: str) -> None:
    image = resolve(f"{EAST}/{repository}:1")
    assert image is not None
    (metric,) = [metric for metric in image.metrics if metric.name == name]
    found = re.search(metric.regex, line)
    assert found is not None
    assert found.group(1) == value
    assert metric.direction == direction


def test_the_catalogue_imports_no_library() -> None:
    program = "import sys, clary.algorithms.catalogue; print([m for m in ('numpy', 'xgboost') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
