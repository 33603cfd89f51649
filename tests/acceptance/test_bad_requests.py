"""Calls that cannot be done, each with AWS's code and a message that names the cause."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.acceptance.workbench import SKLEARN, Workbench, unique, until

if TYPE_CHECKING:
    from collections.abc import Callable

UNCHECKED = Config(parameter_validation=False)
ECHO = "def model_fn(folder):\n    return 1\n\ndef transform_fn(model, body, kind, accept):\n    return body, kind\n"


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


UNKNOWN = {
    "describe_training_job": ("TrainingJobName", "ValidationException", "Requested resource not found."),
    "stop_training_job": ("TrainingJobName", "ValidationException", "Requested resource not found."),
    "describe_processing_job": ("ProcessingJobName", "ValidationException", "Could not find requested job"),
    "describe_transform_job": ("TransformJobName", "ValidationException", "Could not find requested job"),
    "describe_hyper_parameter_tuning_job": ("HyperParameterTuningJobName", "ResourceNotFound", "can't find a tuning"),
    "describe_model": ("ModelName", "ValidationException", "Could not find model"),
    "delete_model": ("ModelName", "ValidationException", "Could not find model"),
    "describe_endpoint": ("EndpointName", "ValidationException", "Could not find endpoint"),
    "delete_endpoint": ("EndpointName", "ValidationException", "Could not find endpoint"),
    "describe_endpoint_config": ("EndpointConfigName", "ValidationException", "Could not find endpoint configuration"),
    "describe_notebook_instance": ("NotebookInstanceName", "ValidationException", "RecordNotFound"),
    "describe_monitoring_schedule": ("MonitoringScheduleName", "ResourceNotFound", "not found"),
}


@pytest.mark.parametrize("operation", UNKNOWN)
def test_unknown_names(bench: Workbench, operation: str) -> None:
    member, code, text = UNKNOWN[operation]
    told = refused(lambda: getattr(bench.sagemaker, operation)(**{member: "nobody-made-this"}))
    assert told[0] == code
    assert text in told[1]


def test_unknown_things_of_other_services(bench: Workbench) -> None:
    ec2, logs = bench.server.client("ec2"), bench.server.client("logs")
    assert refused(lambda: bench.s3.get_object(Bucket=bench.bucket, Key="nothing"))[0] == "NoSuchKey"
    assert refused(lambda: bench.s3.list_objects_v2(Bucket="nobody-made-this"))[0] == "NoSuchBucket"
    assert refused(lambda: bench.iam.get_user(UserName="nobody")) == (
        "NoSuchEntity",
        "The user with name nobody cannot be found.",
    )
    missing = ["i-00000000000000000"]
    assert refused(lambda: ec2.describe_instances(InstanceIds=missing))[0] == "InvalidInstanceID.NotFound"
    assert refused(lambda: logs.describe_log_streams(logGroupName="none"))[0] == "ResourceNotFoundException"
    invoke = refused(lambda: bench.ask("no-such-endpoint", "1"))
    assert invoke == ("ValidationError", "Endpoint no-such-endpoint of account 000000000000 not found.")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"TrainingJobName": "no spaces please"}, "trainingJobName"),
        ({"TrainingJobName": 7}, "NUMBER_VALUE can not be converted to a String"),
        ({"RoleArn": "not-an-arn"}, "roleArn"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 0}}, "maxRuntimeInSeconds"),
        ({"ResourceConfig": {"InstanceType": "ml.huge", "InstanceCount": 1, "VolumeSizeInGB": 1}}, "instanceType"),
        ({"OutputDataConfig": {"S3OutputPath": "file:///somewhere"}}, "s3OutputPath"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": "soon"}}, "STRING_VALUE can not be converted to an Integer"),
        ({"HyperParameters": {"x": ["a", "list"]}}, "Start of list found where not expected"),
    ],
)
def test_wrong_types_and_values(bench: Workbench, change: dict[str, Any], told: str) -> None:
    client = bench.server.client("sagemaker", config=UNCHECKED)
    request = bench.request("pass\n", **change)
    code, message = refused(lambda: client.create_training_job(**request))
    assert code in {"ValidationException", "SerializationException"}
    assert told.lower() in message.lower()


def test_an_image_that_cannot_run_here(bench: Workbench) -> None:
    algorithm = {"TrainingImage": "my-image:latest", "TrainingInputMode": "File"}
    request = bench.request("pass\n", AlgorithmSpecification=algorithm)
    code, message = refused(lambda: bench.sagemaker.create_training_job(**request))
    assert code == "ValidationException"
    assert "my-image:latest" in message


def test_a_role_that_is_not_there_or_trusts_another_service(bench: Workbench) -> None:
    nobody = "arn:aws:iam::000000000000:role/nobody"
    request = bench.request("pass\n", RoleArn=nobody)
    code, message = refused(lambda: bench.sagemaker.create_training_job(**request))
    assert (code, message) == (
        "ValidationException",
        f"Could not assume role {nobody}. Please ensure that the role exists and allows principal "
        "'sagemaker.amazonaws.com' to assume the role.",
    )


def test_operations_that_are_not_there(bench: Workbench) -> None:
    template = {"Content": "x"}
    code, message = refused(lambda: bench.sagemaker.create_human_task_ui(HumanTaskUiName="x", UiTemplate=template))
    assert "CreateHumanTaskUi" in message
    assert code != "InternalFailure"


def test_nothing_is_made_twice(bench: Workbench) -> None:
    request = bench.request("pass\n")
    bench.sagemaker.create_training_job(**request)
    code, message = refused(lambda: bench.sagemaker.create_training_job(**request))
    assert code == "ResourceInUse"
    assert "already exists" in message
    model = bench.model({"code/inference.py": ECHO})
    container = bench.sagemaker.describe_model(ModelName=model)["PrimaryContainer"]
    code, message = refused(
        lambda: bench.sagemaker.create_model(ModelName=model, PrimaryContainer=container, ExecutionRoleArn=bench.role)
    )
    assert code == "ValidationException"
    assert message.startswith("Cannot create already existing model")
    name = unique("twice")
    bench.config(name, model)
    assert "already existing endpoint configuration" in refused(lambda: bench.config(name, model))[1]
    bench.iam.create_user(UserName=name)
    assert refused(lambda: bench.iam.create_user(UserName=name))[0] == "EntityAlreadyExists"
    assert bench.trained(request["TrainingJobName"])["TrainingJobStatus"] == "Completed"


def test_what_is_in_use_is_not_deleted(bench: Workbench) -> None:
    name = bench.train("import time\ntime.sleep(600)\n")
    if hasattr(bench.sagemaker, "delete_training_job"):
        assert refused(lambda: bench.sagemaker.delete_training_job(TrainingJobName=name))[0] == "ResourceInUse"
    bench.put("keep", b"x")
    assert refused(lambda: bench.s3.delete_bucket(Bucket=bench.bucket))[0] == "BucketNotEmpty"
    role = bench.role.split("/")[-1]
    assert refused(lambda: bench.iam.delete_role(RoleName=role))[0] == "DeleteConflict"
    bench.sagemaker.stop_training_job(TrainingJobName=name)
    assert bench.trained(name)["TrainingJobStatus"] == "Stopped"
    assert refused(lambda: bench.sagemaker.stop_training_job(TrainingJobName=name))[0] == "ValidationException"


def test_an_endpoint_outlives_its_configuration_and_model(bench: Workbench) -> None:
    model = bench.model({"code/inference.py": ECHO})
    endpoint = bench.endpoint(model)
    assert bench.settled(endpoint)["EndpointStatus"] == "InService"
    assert (
        "already existing endpoint"
        in refused(lambda: bench.sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=endpoint))[1]
    )
    bench.sagemaker.delete_endpoint_config(EndpointConfigName=endpoint)
    bench.sagemaker.delete_model(ModelName=model)
    # The controller looks every 2 s and gives an endpoint up after several failures.
    since = time.monotonic()
    until(lambda: time.monotonic() - since > 12 or status(bench, endpoint) != "InService", 20)
    assert status(bench, endpoint) == "InService"
    assert bench.ask(endpoint, "1,2") == "1,2"
    bench.sagemaker.delete_endpoint(EndpointName=endpoint)
    until(lambda: endpoint not in names(bench), 30)


def status(bench: Workbench, endpoint: str) -> str:
    return str(bench.sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"])


def names(bench: Workbench) -> list[str]:
    return [entry["EndpointName"] for entry in bench.sagemaker.list_endpoints(MaxResults=100)["Endpoints"]]


def test_a_failed_update_leaves_the_old_model_in_service(bench: Workbench) -> None:
    endpoint = bench.endpoint(bench.model({"code/inference.py": ECHO}))
    assert bench.settled(endpoint)["EndpointStatus"] == "InService"
    worse = unique("worse")
    bench.config(worse, bench.model({"code/inference.py": "raise RuntimeError('no such luck')\n"}))
    bench.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=worse)
    told = bench.settled(endpoint, 90)
    assert told["EndpointStatus"] == "InService"
    assert told["EndpointConfigName"] == endpoint
    assert "no such luck" in told["FailureReason"]
    assert bench.ask(endpoint, "1,2") == "1,2"


def test_a_model_without_model_fn(bench: Workbench) -> None:
    endpoint = bench.endpoint(bench.model({"code/inference.py": "def input_fn(body, kind):\n    return body\n"}))
    told = bench.settled(endpoint)
    assert told["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in told["FailureReason"]
    assert "model_fn" in told["FailureReason"]


def test_a_model_fn_that_returns_nothing(bench: Workbench) -> None:
    endpoint = bench.endpoint(bench.model({"code/inference.py": "def model_fn(folder):\n    pass\n"}))
    assert bench.settled(endpoint)["EndpointStatus"] == "InService"
    with pytest.raises(ClientError) as caught:
        bench.ask(endpoint, "1,2")
    assert caught.value.response["Error"]["Code"] == "ModelError"
    assert caught.value.response["OriginalStatusCode"] == 500
    assert "NoneType" in caught.value.response["OriginalMessage"]


def test_a_body_that_is_no_csv(bench: Workbench) -> None:
    files = {"code/inference.py": "class Sum:\n    def predict(self, rows):\n        return rows.sum(axis=1)\n\n"
             "def model_fn(folder):\n    return Sum()\n"}  # fmt: skip
    endpoint = bench.endpoint(bench.model(files))
    assert bench.settled(endpoint)["EndpointStatus"] == "InService"
    for body, kind in ((b"\x00\xff not, numbers", "text/csv"), (b"{broken", "application/json"), (b"1", "image/png")):
        with pytest.raises(ClientError) as caught:
            bench.ask(endpoint, body, kind)
        assert caught.value.response["Error"]["Code"] == "ModelError"
        assert 400 <= caught.value.response["OriginalStatusCode"] < 500
    assert bench.ask(endpoint, "1,2\n3,4") == "[3.0, 7.0]"


def test_an_artefact_that_is_not_there(bench: Workbench) -> None:
    container = {"Image": SKLEARN, "ModelDataUrl": bench.uri("nowhere/model.tar.gz")}
    code, message = refused(
        lambda: bench.sagemaker.create_model(
            ModelName=unique("model"), PrimaryContainer=container, ExecutionRoleArn=bench.role
        )
    )
    assert code == "ValidationException"
    assert "Could not access model data at" in message
