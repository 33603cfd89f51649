"""What CreateTrainingJob and CreateProcessingJob refuse at once; the jobs themselves run in tests/acceptance."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.services.sagemaker.test_kinds import IMAGE, ROLE, TRUST

if TYPE_CHECKING:
    from tests.cloud import Cloud

CHANNEL = {
    "ChannelName": "train",
    "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/train"}},
}
TRAINING = {
    "TrainingJobName": "t",
    "RoleArn": ROLE,
    "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
    "InputDataConfig": [CHANNEL],
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
}
PROCESSING = {
    "ProcessingJobName": "p",
    "RoleArn": ROLE,
    "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["true"]},
    "ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}},
}


@pytest.fixture
def sagemaker(cloud: Cloud) -> Any:
    cloud.client("iam").create_role(RoleName="run", AssumeRolePolicyDocument=json.dumps(TRUST))
    return cloud.client("sagemaker")


def refusal(call: Any) -> str:
    with pytest.raises(ClientError) as error:
        call()
    return str(error.value.response["Error"]["Message"])


def test_a_job_begins_in_progress(sagemaker: Any) -> None:
    arn = sagemaker.create_training_job(**TRAINING)["TrainingJobArn"]
    job = sagemaker.describe_training_job(TrainingJobName="t")
    assert (job["TrainingJobArn"], job["TrainingJobStatus"], job["SecondaryStatus"]) == (arn, "InProgress", "Starting")
    assert job["OutputDataConfig"] == {"KmsKeyId": "", "S3OutputPath": "s3://bucket/"}
    assert job["EnableManagedSpotTraining"] is False
    regex = {entry["Name"]: entry["Regex"] for entry in job["AlgorithmSpecification"]["MetricDefinitions"]}
    assert "validation:auc" in regex
    assert "already exists" in refusal(lambda: sagemaker.create_training_job(**TRAINING))


def test_a_script_has_only_its_own_metrics(sagemaker: Any) -> None:
    own = {"sagemaker_program": '"train.py"', "sagemaker_submit_directory": '"s3://b/s.tar.gz"'}
    sagemaker.create_training_job(**TRAINING, HyperParameters=own)
    job = sagemaker.describe_training_job(TrainingJobName="t")
    assert "MetricDefinitions" not in job["AlgorithmSpecification"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"InputDataConfig": [CHANNEL, CHANNEL]}, "Channel names must be unique"),
        ({"OutputDataConfig": {"S3OutputPath": "https://bucket"}}, "S3OutputPath"),
        ({"EnableManagedSpotTraining": True}, "MaxWaitTimeInSeconds is required"),
        (
            {
                "EnableManagedSpotTraining": True,
                "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 30},
            },
            "Invalid MaxWaitTimeInSeconds",
        ),
        ({"ResourceConfig": {**TRAINING["ResourceConfig"], "InstanceType": "my-box"}}, "enum value set"),  # type: ignore[dict-item]  # a dict
        ({"ResourceConfig": {"InstanceCount": 1}}, "InstanceType and an InstanceCount of at least 1 are required"),
        ({"ResourceConfig": {**TRAINING["ResourceConfig"], "InstanceCount": 0}}, "InstanceCount of at least 1"),  # type: ignore[dict-item]  # a dict
        (
            {
                "ResourceConfig": {
                    "InstanceGroups": [{"InstanceGroupName": "g", "InstanceType": "ml.m5.large", "InstanceCount": 1}]
                }
            },
            "does not support ResourceConfig.InstanceGroups",
        ),
        ({"AlgorithmSpecification": {"AlgorithmName": "a", "TrainingInputMode": "File"}}, "AlgorithmName"),
        (
            {"AlgorithmSpecification": {"TrainingImage": "python:3.11", "TrainingInputMode": "File"}},
            "cannot run the image python:3.11",
        ),
        ({"TrainingJobName": "no spaces"}, "regular expression pattern"),
        ({"RoleArn": "arn:aws:iam::123456789012:role/none"}, "Could not assume role"),
    ],
)
def test_training_jobs_that_could_never_run(sagemaker: Any, changes: dict[str, Any], expected: str) -> None:
    assert expected in refusal(lambda: sagemaker.create_training_job(**{**TRAINING, **changes}))
    assert sagemaker.list_training_jobs()["TrainingJobSummaries"] == []


def test_serverless_jobs_are_refused(sagemaker: Any) -> None:
    for member in ("AlgorithmSpecification", "ResourceConfig", "StoppingCondition"):
        request = {name: value for name, value in TRAINING.items() if name != member}
        told = refusal(lambda request=request: sagemaker.create_training_job(**request))
        assert "does not support serverless" in told
    processing = {**PROCESSING, "ProcessingResources": {"ClusterConfig": {"VolumeSizeInGB": 1}}}
    assert "InstanceType" in refusal(lambda: sagemaker.create_processing_job(**processing))


def test_rules_of_debugger_are_said_not_to_run(sagemaker: Any) -> None:
    rule = {"RuleConfigurationName": "LossNotDecreasing", "RuleEvaluatorImage": "i"}
    sagemaker.create_training_job(**TRAINING, DebugRuleConfigurations=[rule], ProfilerConfig={"S3OutputPath": "s3://b"})
    described = sagemaker.describe_training_job(TrainingJobName="t")
    (told,) = described["DebugRuleEvaluationStatuses"]
    assert (told["RuleEvaluationStatus"], "does not run" in told["StatusDetails"]) == ("Error", True)
    assert described["ProfilingStatus"] == "Disabled"


def test_stopping(sagemaker: Any) -> None:
    sagemaker.create_training_job(**TRAINING)
    assert "in status InProgress" in refusal(lambda: sagemaker.delete_training_job(TrainingJobName="t"))
    sagemaker.stop_training_job(TrainingJobName="t")
    assert sagemaker.describe_training_job(TrainingJobName="t")["TrainingJobStatus"] == "Stopping"
    sagemaker.stop_training_job(TrainingJobName="t")
    assert refusal(lambda: sagemaker.stop_training_job(TrainingJobName="none")) == "Requested resource not found."


def test_processing_jobs_that_could_never_run(sagemaker: Any) -> None:
    def create(**changes: Any) -> str:
        return refusal(lambda: sagemaker.create_processing_job(**{**PROCESSING, **changes}))

    def given(path: str, uri: str = "s3://b/x") -> dict[str, Any]:
        s3 = {"S3Uri": uri, "LocalPath": path, "S3DataType": "S3Prefix", "S3InputMode": "File"}
        return {"InputName": "x", "S3Input": s3}

    good = given("/opt/ml/processing/x")
    assert "unique input names" in create(ProcessingInputs=[good, good])
    assert "must begin with /opt/ml/processing" in create(ProcessingInputs=[given("/etc")])
    assert "must begin with /opt/ml/processing" in create(ProcessingInputs=[given("/opt/ml/processing/../../etc")])
    assert "names no folder" in create(ProcessingInputs=[given("/opt/ml/processing/a\0b")])
    assert "names no folder" in create(ProcessingInputs=[given("/opt/ml/processing/" + "é" * 200)])
    assert "must begin with s3://" in create(ProcessingInputs=[given("/opt/ml/processing/x", "https://host/x")])
    assert sagemaker.create_processing_job(**PROCESSING)["ProcessingJobArn"].endswith(":processing-job/p")
    assert "with this name already exists" in create()
