from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from clary.toolkit.job import Job, as_text, decode
from clary.toolkit.layout import Layout

if TYPE_CHECKING:
    from tests.toolkit.container import Container


@pytest.mark.parametrize(
    ("sent", "meant"),
    [("5", 5), ('"5"', "5"), ("x y", "x y"), ('"x y"', "x y"), ("true", True), ("[1, 2]", [1, 2]), ("null", None)],
)
def test_decodes_hyperparameters_of_both_sdk_versions(sent: str, meant: object) -> None:
    assert decode(sent) == meant


@pytest.mark.parametrize(
    ("value", "text"), [(True, "True"), (None, ""), ([1, 2], "[1, 2]"), ({"b": 2, "a": 1}, "a=1,b=2"), (0.1, "0.1")]
)
def test_writes_values_as_arguments(value: object, text: str) -> None:
    assert as_text(value) == text


def test_arguments_are_sorted_and_filtered(container: Container) -> None:
    container.configure(
        {
            "sagemaker_program": '"train.py"',
            "_tuning_objective_metric": '"validation:auc"',
            "zeta": "1",
            "n": "5",
            "flag": "true",
            "name": '"x y"',
        }
    )
    job = Job.read(Layout(container.root))
    assert job.program == "train.py"
    assert job.arguments == ["--flag", "True", "-n", "5", "--name", "x y", "--zeta", "1"]


def test_environment_describes_the_job(container: Container) -> None:
    container.configure({"sagemaker_program": "train.py", "batch-size": "64"}, {"train": "", "test": "text/csv"})
    variables = Job.read(Layout(container.root)).environment()
    assert variables["SM_CHANNEL_TRAIN"] == str(container.root / "input/data/train")
    assert variables["SM_CHANNELS"] == '["test","train"]'
    assert variables["SM_HPS"] == '{"batch-size":64}'
    assert variables["SM_HP_BATCH-SIZE"] == "64"
    assert variables["SM_MODEL_DIR"] == str(container.root / "model")
    assert variables["SM_OUTPUT_DATA_DIR"] == str(container.root / "output/data")
    assert variables["SM_CURRENT_HOST"] == "algo-1"
    assert variables["SM_HOSTS"] == '["algo-1"]'
    assert variables["SM_USER_ENTRY_POINT"] == "train.py"
    assert variables["SM_MODULE_NAME"] == "train"
    assert json.loads(variables["SM_TRAINING_ENV"])["hyperparameters"] == {"batch-size": 64}


def test_heterogeneous_clusters_name_their_groups(container: Container) -> None:
    groups = [
        {"instance_group_name": "a", "instance_type": "ml.m5.large", "hosts": ["algo-1"]},
        {"instance_group_name": "b", "instance_type": "ml.c5.large", "hosts": ["algo-2"]},
    ]
    hosts = {"current_host": "algo-2", "hosts": ["algo-1", "algo-2"], "current_group_name": "b"}
    container.configure({}, resources=hosts | {"instance_groups": groups})
    variables = Job.read(Layout(container.root)).environment()
    assert variables["SM_CURRENT_INSTANCE_GROUP"] == "b"
    assert variables["SM_CURRENT_INSTANCE_GROUP_HOSTS"] == '["algo-2"]'
    assert variables["SM_IS_HETERO"] == "True"
