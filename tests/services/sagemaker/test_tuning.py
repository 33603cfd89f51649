from __future__ import annotations

import io
import tarfile
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import short_home
from tests.server import ClaryServer

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
SCRIPT = """
import argparse, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("-x", type=float)
parser.add_argument("-n", type=int, default=0)
parser.add_argument("--mode", default="good")
parser.add_argument("--seconds", type=float, default=0)
parser.add_argument("--lag", type=float, default=0)
options = parser.parse_args()
if options.mode == "fail":
    sys.exit(3)
if options.mode != "silent":
    print(f"loss={(options.x - 0.3) ** 2 + options.n};", flush=True)
time.sleep(options.seconds + options.lag * (options.x > 1))
"""
TRUST = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service":
"sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"""
X = {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "0", "MaxValue": "1", "ScalingType": "Linear"}]}


class Laboratory:
    """A bucket with a training script, and a role that may read it."""

    def __init__(self, server: ClaryServer) -> None:
        self.sagemaker, self.s3, iam = server.client("sagemaker"), server.client("s3"), server.client("iam")
        self.bucket = f"tuning-{uuid.uuid4().hex[:12]}"
        self.s3.create_bucket(Bucket=self.bucket)
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            member = tarfile.TarInfo("train.py")
            member.size = len(SCRIPT)
            tar.addfile(member, io.BytesIO(SCRIPT.encode()))
        self.s3.put_object(Bucket=self.bucket, Key="sourcedir.tar.gz", Body=archive.getvalue())
        role = f"tuner-{uuid.uuid4().hex[:8]}"
        self.role: str = iam.create_role(RoleName=role, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        iam.attach_role_policy(RoleName=role, PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")

    def request(self, ranges: dict[str, Any] = X, **options: Any) -> dict[str, Any]:
        """A request; options change the strategy, the limits and the static hyperparameters."""
        jobs, parallel = options.pop("jobs", 3), options.pop("parallel", 2)
        limits = {"MaxParallelTrainingJobs": parallel, **({"MaxNumberOfTrainingJobs": jobs} if jobs else {})}
        return {
            "HyperParameterTuningJobName": f"t{uuid.uuid4().hex[:10]}",
            "HyperParameterTuningJobConfig": {
                "Strategy": options.pop("strategy", "Bayesian"),
                "ResourceLimits": limits,
                "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
                "ParameterRanges": ranges,
                "RandomSeed": 1,
                **options.pop("config", {}),
            },
            "TrainingJobDefinition": self.definition(**options),
        }

    def definition(self, **static: str) -> dict[str, Any]:
        return {
            "StaticHyperParameters": {
                "sagemaker_program": '"train.py"',
                "sagemaker_submit_directory": f'"s3://{self.bucket}/sourcedir.tar.gz"',
                **static,
            },
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*?);"}],
            },
            "RoleArn": self.role,
            "OutputDataConfig": {"S3OutputPath": f"s3://{self.bucket}/out"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        }

    def begin(self, request: dict[str, Any]) -> str:
        self.sagemaker.create_hyper_parameter_tuning_job(**request)
        return str(request["HyperParameterTuningJobName"])

    def wait(self, name: str, until: Callable[[dict[str, Any]], bool] | None = None) -> dict[str, Any]:
        done = until or (lambda seen: seen["HyperParameterTuningJobStatus"] not in {"InProgress", "Stopping"})
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            seen: dict[str, Any] = self.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
            if done(seen):
                return seen
            time.sleep(0.05)
        raise AssertionError(f"still {seen}")

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        return self.wait(self.begin(request))

    def trials(self, name: str, **options: Any) -> list[dict[str, Any]]:
        answer = self.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name, **options
        )
        return list(answer["TrainingJobSummaries"])

    def refusal(self, request: dict[str, Any]) -> str:
        with pytest.raises(ClientError) as caught:
            self.sagemaker.create_hyper_parameter_tuning_job(**request)
        assert caught.value.response["Error"]["Code"] == "ValidationException"
        return str(caught.value.response["Error"]["Message"])


@pytest.fixture(scope="module")
def laboratory(server: ClaryServer) -> Laboratory:
    return Laboratory(server)


def test_a_search_finds_the_best_training_job(laboratory: Laboratory) -> None:
    told = laboratory.run(laboratory.request(jobs=6))
    name = told["HyperParameterTuningJobName"]
    assert told["HyperParameterTuningJobStatus"] == "Completed"
    assert told["TrainingJobStatusCounters"] == {
        "Completed": 6,
        "InProgress": 0,
        "RetryableError": 0,
        "NonRetryableError": 0,
        "Stopped": 0,
    }
    assert told["ObjectiveStatusCounters"] == {"Succeeded": 6, "Pending": 0, "Failed": 0}
    assert told["HyperParameterTuningEndTime"] >= told["CreationTime"]
    ranked = laboratory.trials(name, SortBy="FinalObjectiveMetricValue", MaxResults=100)
    losses = [trial["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for trial in ranked]
    assert losses == sorted(losses)
    assert told["BestTrainingJob"] == ranked[0]
    for trial in ranked:
        assert (float(trial["TunedHyperParameters"]["x"]) - 0.3) ** 2 == pytest.approx(
            trial["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
        )
    definition = told["TrainingJobDefinition"]
    assert definition["StaticHyperParameters"]["_tuning_objective_metric"] == "loss"
    assert definition["OutputDataConfig"]["S3OutputPath"] == f"s3://{laboratory.bucket}/out"
    best = laboratory.sagemaker.describe_training_job(TrainingJobName=ranked[0]["TrainingJobName"])
    assert best["TuningJobArn"] == told["HyperParameterTuningJobArn"]
    assert best["HyperParameters"]["_tuning_objective_metric"] == "loss"
    assert best["HyperParameters"]["x"] == ranked[0]["TunedHyperParameters"]["x"]
    assert best["HyperParameters"]["sagemaker_program"] == '"train.py"'
    assert best["ModelArtifacts"]["S3ModelArtifacts"].startswith(f"s3://{laboratory.bucket}/out/{name}-")


def test_training_jobs_are_listed_by_name_in_pages(laboratory: Laboratory) -> None:
    name = laboratory.run(laboratory.request(jobs=3))["HyperParameterTuningJobName"]
    call = laboratory.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job
    first = call(HyperParameterTuningJobName=name, MaxResults=2)
    second = call(HyperParameterTuningJobName=name, MaxResults=2, NextToken=first["NextToken"])
    names = [trial["TrainingJobName"] for page in (first, second) for trial in page["TrainingJobSummaries"]]
    assert [entry.rpartition("-")[0] for entry in names] == [f"{name}-{number:03}" for number in (1, 2, 3)]
    assert "NextToken" not in second
    assert laboratory.trials(name, StatusEquals="Failed") == []
    assert laboratory.trials(name, SortOrder="Descending")[0]["TrainingJobName"] == names[-1]
    jobs = laboratory.sagemaker.list_hyper_parameter_tuning_jobs(NameContains=name)["HyperParameterTuningJobSummaries"]
    assert [job["Strategy"] for job in jobs] == ["Bayesian"]
    assert jobs[0]["ResourceLimits"]["MaxNumberOfTrainingJobs"] == 3


def test_no_more_training_jobs_than_allowed_run_at_once(laboratory: Laboratory) -> None:
    name = laboratory.run(laboratory.request(jobs=5, parallel=2, seconds="0.1"))["HyperParameterTuningJobName"]
    spans = [(trial["CreationTime"], trial["TrainingEndTime"]) for trial in laboratory.trials(name)]
    assert max(sum(begun <= moment < ended for begun, ended in spans) for moment, _ in spans) == 2


def test_a_grid_tries_every_combination(laboratory: Laboratory) -> None:
    ranges = {
        "CategoricalParameterRanges": [
            {"Name": "x", "Values": ["0.1", "0.3"]},
            {"Name": "n", "Values": ["0", "1"]},
        ]
    }
    told = laboratory.run(laboratory.request(ranges, strategy="Grid", jobs=None))
    assert told["TrainingJobStatusCounters"]["Completed"] == 4
    assert told["BestTrainingJob"]["TunedHyperParameters"] == {"x": "0.3", "n": "0"}


def test_definitions_of_the_newer_kind(laboratory: Laboratory) -> None:
    request = laboratory.request(jobs=1)
    definition = request.pop("TrainingJobDefinition")
    config = request["HyperParameterTuningJobConfig"]
    definition["DefinitionName"] = "only"
    definition["TuningObjective"] = config.pop("HyperParameterTuningJobObjective")
    definition["HyperParameterRanges"] = config.pop("ParameterRanges")
    definition["HyperParameterTuningResourceConfig"] = definition.pop("ResourceConfig")
    told = laboratory.run({**request, "TrainingJobDefinitions": [definition]})
    assert told["BestTrainingJob"]["TrainingJobDefinitionName"] == "only"


def test_the_target_ends_the_search(laboratory: Laboratory) -> None:
    criteria = {"TuningJobCompletionCriteria": {"TargetObjectiveMetricValue": 10.0}}
    told = laboratory.run(laboratory.request(jobs=50, parallel=1, config=criteria))
    assert told["HyperParameterTuningJobStatus"] == "Completed"
    assert told["TrainingJobStatusCounters"]["Completed"] == 1


def test_early_stopping_stops_training_jobs_that_lag(laboratory: Laboratory) -> None:
    ranges = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["0.3", "0.31", "0.32", "9"]}]}
    config = {"TrainingJobEarlyStoppingType": "Auto"}
    request = laboratory.request(ranges, strategy="Grid", jobs=None, parallel=1, config=config, lag="30")
    told = laboratory.run(request)
    assert told["TrainingJobStatusCounters"]["Stopped"] == 1
    assert told["BestTrainingJob"]["TunedHyperParameters"] == {"x": "0.3"}


def test_failures_fail_the_tuning_job(laboratory: Laboratory) -> None:
    told = laboratory.run(laboratory.request(jobs=2, mode="fail"))
    assert told["HyperParameterTuningJobStatus"] == "Failed"
    assert told["FailureReason"] == (
        "All training jobs failed. Please take a look at the training jobs failures to get more details."
    )
    assert told["TrainingJobStatusCounters"]["NonRetryableError"] == 2
    assert "FailureReason" in laboratory.trials(told["HyperParameterTuningJobName"])[0]


def test_training_jobs_without_the_metric_fail_the_tuning_job(laboratory: Laboratory) -> None:
    told = laboratory.run(laboratory.request(jobs=20, parallel=1, mode="silent"))
    assert told["HyperParameterTuningJobStatus"] == "Failed"
    assert told["FailureReason"].startswith("No objective metrics found after running 5 training jobs.")


def test_stop_stops_the_training_jobs(laboratory: Laboratory) -> None:
    name = laboratory.begin(laboratory.request(jobs=4, parallel=2, seconds="60"))
    laboratory.wait(name, lambda seen: seen["TrainingJobStatusCounters"]["InProgress"] == 2)
    laboratory.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    told = laboratory.wait(name)
    assert told["HyperParameterTuningJobStatus"] == "Stopped"
    assert told["TrainingJobStatusCounters"]["Stopped"] == 2
    assert len(laboratory.trials(name)) == 2


def test_an_ended_tuning_job_can_be_deleted(laboratory: Laboratory) -> None:
    name = laboratory.run(laboratory.request(jobs=1))["HyperParameterTuningJobName"]
    laboratory.sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    with pytest.raises(laboratory.sagemaker.exceptions.ResourceNotFound):
        laboratory.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)


def test_a_killed_platform_begins_no_training_job_twice(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = ClaryServer(short_home(tmp_path_factory))
    server.start()
    try:
        laboratory = Laboratory(server)
        name = laboratory.begin(laboratory.request(jobs=4, parallel=2, seconds="0.5"))
        laboratory.wait(name, lambda _: bool(laboratory.trials(name)))
        server.kill()
        server.start()
        told = laboratory.wait(name)
        assert told["HyperParameterTuningJobStatus"] == "Completed"
        assert told["TrainingJobStatusCounters"]["Completed"] == 4
        assert len(laboratory.trials(name)) == 4
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strategy": "Hyperband"}, "Hyperband"),
        ({"strategy": "Grid"}, "Only categorical parameters"),
        ({"jobs": None}, "MaxNumberOfTrainingJobs is required"),
        ({"x": "0.5"}, "[x] is given more than once"),
        ({"config": {"ParameterRanges": {}}}, "At least one hyperparameter range"),
        (
            {"config": {"HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "other"}}},
            "The objective metric for the hyperparameter tuning job, [other], isn't valid",
        ),
        ({"config": {"TuningJobCompletionCriteria": {"ConvergenceDetected": {}}}}, "ConvergenceDetected"),
    ],
)
def test_what_cannot_run_is_refused(laboratory: Laboratory, options: dict[str, Any], words: str) -> None:
    assert words in laboratory.refusal(laboratory.request(**options))


@pytest.mark.parametrize(
    ("low", "high", "scaling"),
    [
        ("2", "1", "Linear"),
        ("a", "1", "Linear"),
        ("0", "1", "Logarithmic"),
        ("0.5", "1", "ReverseLogarithmic"),
        ("0", "nan", "Linear"),
    ],
)
def test_impossible_ranges_are_refused(laboratory: Laboratory, low: str, high: str, scaling: str) -> None:
    entry = {"Name": "x", "MinValue": low, "MaxValue": high, "ScalingType": scaling}
    assert "[x]" in laboratory.refusal(laboratory.request({"ContinuousParameterRanges": [entry]}))


def test_warm_start_is_refused(laboratory: Laboratory) -> None:
    parents = [{"HyperParameterTuningJobName": "earlier"}]
    warm = {"ParentHyperParameterTuningJobs": parents, "WarmStartType": "TransferLearning"}
    assert "WarmStartConfig" in laboratory.refusal({**laboratory.request(), "WarmStartConfig": warm})


@pytest.mark.parametrize(
    ("metric", "kind", "words"),
    [
        ("validation:rmse", "Maximize", "The objective metric type, [Maximize]"),
        ("validation:nonsense", "Minimize", "[validation:nonsense], isn't valid"),
    ],
)
def test_objectives_of_built_in_algorithms_are_known(
    laboratory: Laboratory, metric: str, kind: str, words: str
) -> None:
    objective = {"HyperParameterTuningJobObjective": {"Type": kind, "MetricName": metric}}
    request = laboratory.request(config=objective)
    definition = request["TrainingJobDefinition"]
    definition["AlgorithmSpecification"] = {"TrainingImage": XGBOOST, "TrainingInputMode": "File"}
    definition["StaticHyperParameters"] = {"num_round": "1"}
    assert words in laboratory.refusal(request)


def test_a_metric_is_needed(laboratory: Laboratory) -> None:
    request = laboratory.request()
    request["TrainingJobDefinition"]["AlgorithmSpecification"]["MetricDefinitions"] = []
    assert laboratory.refusal(request).startswith("A metric is required")


def test_the_role_must_trust_sagemaker(laboratory: Laboratory) -> None:
    request = laboratory.request()
    request["TrainingJobDefinition"]["RoleArn"] = laboratory.role + "-missing"
    assert "Could not assume role" in laboratory.refusal(request)
