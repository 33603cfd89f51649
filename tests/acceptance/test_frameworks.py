"""Scripts in the framework version that their image names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clary.algorithms.catalogue import resolve
from tests.acceptance.workbench import SKLEARN, Workbench
from tests.conftest import short_home
from tests.server import ClaryServer

if TYPE_CHECKING:
    from collections.abc import Iterator

OLD = """
import subprocess, sys
import numpy, pandas, sklearn
print("runs", sklearn.__version__, numpy.__version__, flush=True)
done = subprocess.run([sys.executable, "-c", "import clary; print(clary.__name__)"], capture_output=True, text=True)
print("platform", done.stdout, flush=True)
import boto3
"""
PYTORCH = SKLEARN.replace("sagemaker-scikit-learn:1.2-1-cpu-py3", "pytorch-training:2.1-cpu-py310")


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    server = ClaryServer(short_home(tmp_path_factory), settings={"CLARY_FRAMEWORKS": "requested"})
    server.start()
    yield Workbench(server)
    server.stop()


def test_a_script_runs_with_the_version_of_its_image(old: Workbench) -> None:
    described = old.trained(name := old.train(OLD), timeout_s=240)
    log = old.log(name)
    assert any(line.startswith("runs 1.2.") and " 1.26." in line for line in log), log
    # The libraries of the platform are not in sight.
    assert described["TrainingJobStatus"] == "Failed"
    assert "No module named 'boto3'" in described["FailureReason"]
    assert "Running: scikit-learn 1.2." in log[0]


def test_the_second_job_finds_the_environment(old: Workbench) -> None:
    name = old.train("import sklearn; print('runs', sklearn.__version__)")
    assert old.trained(name, timeout_s=240)["TrainingJobStatus"] == "Completed"
    made = {path.name: path.stat().st_mtime_ns for path in (old.server.home / "environments").glob("*/lock.txt")}
    name = old.train("import sklearn; print('runs', sklearn.__version__)")
    assert old.trained(name)["TrainingJobStatus"] == "Completed"
    again = {path.name: path.stat().st_mtime_ns for path in (old.server.home / "environments").glob("*/lock.txt")}
    assert made == again


def test_what_no_python_has_wheels_for_fails_with_the_reason(old: Workbench) -> None:
    algorithm = {"TrainingImage": SKLEARN.replace("1.2-1", "0.19-1"), "TrainingInputMode": "File"}
    described = old.trained(old.train("pass", AlgorithmSpecification=algorithm), timeout_s=240)
    assert "The environment of scikit-learn 0.19-1 cannot be made here" in described["FailureReason"]


def test_a_framework_that_is_not_installed_is_named(bench: Workbench) -> None:
    algorithm = {"TrainingImage": PYTORCH, "TrainingInputMode": "File"}
    described = bench.trained(bench.train("import torch", AlgorithmSpecification=algorithm))
    reason = described.get("FailureReason", "")
    assert described["TrainingJobStatus"] == "Completed" or "torch is not installed where Clary runs" in reason


@pytest.mark.parametrize(
    ("tag", "requirements", "python"),
    [
        ("sagemaker-scikit-learn:1.2-1-cpu-py3", {"scikit-learn==1.2.*", "numpy<2"}, ""),
        ("sagemaker-xgboost:3.0-5", {"xgboost==3.0.*"}, ""),
        ("pytorch-training:2.3.1-cpu-py311", {"torch==2.3.1"}, "3.11"),
        (
            "huggingface-pytorch-training:2.1.0-transformers4.36.0-gpu-py310-cu121-ubuntu20.04",
            {"torch==2.1.0", "transformers==4.36.0", "numpy<2"},
            "3.10",
        ),
    ],
)
def test_tags_tell_versions(tag: str, requirements: set[str], python: str) -> None:
    image = resolve(f"683313688378.dkr.ecr.us-east-1.amazonaws.com/{tag}")
    assert image is not None
    assert image.wish is not None
    assert requirements <= set(image.wish.requirements)
    assert image.wish.python == python
