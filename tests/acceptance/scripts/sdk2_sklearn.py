"""SDK v2, script mode: fit on spot, attach, deploy, predict in three formats, delete."""

import os
import uuid

import boto3
import numpy as np
import pytest
import sagemaker
from botocore.exceptions import ClientError
from sagemaker.deserializers import CSVDeserializer, JSONDeserializer, NumpyDeserializer
from sagemaker.estimator import Estimator
from sagemaker.serializers import CSVSerializer, JSONSerializer, NumpySerializer
from sagemaker.sklearn import SKLearn

role = os.environ["CLARY_EXECUTION_ROLE"]
session = sagemaker.Session()
prefix = f"sklearn-{uuid.uuid4().hex[:8]}"
random = np.random.default_rng(1)
features = random.normal(size=(300, 4)).round(4)
labels = (features[:, 0] + features[:, 1] > 0).astype(int)
csv = "\n".join(",".join(map(str, [label, *row])) for label, row in zip(labels, features, strict=True))
for number, part in enumerate((csv[: len(csv) // 2].rpartition("\n")[0], csv[len(csv) // 2 :].partition("\n")[2])):
    session.upload_string_as_file_body(part, session.default_bucket(), f"{prefix}/train/{number}.csv")

estimator = SKLearn(
    entry_point="train.py",
    source_dir="sources/sklearn_mode",
    framework_version="1.2-1",
    role=role,
    instance_type="ml.m5.large",
    instance_count=1,
    hyperparameters={"penalty": 0.5, "name": "two words", "flag": True},
    metric_definitions=[{"Name": "accuracy", "Regex": r"accuracy=([0-9.]+);"}],
    use_spot_instances=True,
    max_run=600,
    max_wait=900,
    sagemaker_session=session,
)
estimator.fit({"train": f"s3://{session.default_bucket()}/{prefix}/train/"})
job = boto3.client("sagemaker").describe_training_job(TrainingJobName=estimator.latest_training_job.name)
assert job["TrainingJobStatus"] == "Completed"
assert job["EnableManagedSpotTraining"] is True
assert job["BillableTimeInSeconds"] <= job["TrainingTimeInSeconds"]
assert [metric["MetricName"] for metric in job["FinalMetricDataList"]] == ["accuracy"]
assert job["FinalMetricDataList"][0]["Value"] > 0.9
assert estimator.model_data == job["ModelArtifacts"]["S3ModelArtifacts"]

frame = sagemaker.analytics.TrainingJobAnalytics(estimator.latest_training_job.name, ["accuracy"]).dataframe()
assert frame["value"].iloc[0] > 0.9, frame

attached = SKLearn.attach(estimator.latest_training_job.name, sagemaker_session=session)
assert attached.model_data == estimator.model_data
assert Estimator.attach(estimator.latest_training_job.name, sagemaker_session=session).model_data

predictor = attached.deploy(initial_instance_count=1, instance_type="ml.m5.large", endpoint_name=prefix)
expected = labels[:20]
for serializer, deserializer in (
    (NumpySerializer(), NumpyDeserializer()),
    (CSVSerializer(), CSVDeserializer()),
    (JSONSerializer(), JSONDeserializer()),
):
    predictor.serializer, predictor.deserializer = serializer, deserializer
    body = features[:20].tolist() if isinstance(serializer, JSONSerializer) else features[:20]
    answer = np.array(predictor.predict(body), dtype=float).ravel()
    assert (answer == expected).mean() >= 0.9, (serializer, answer)
    assert len(answer) == 20

predictor.delete_model()
predictor.delete_endpoint()
boto3.client("sagemaker").get_waiter("endpoint_deleted").wait(
    EndpointName=prefix, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
)
with pytest.raises(ClientError, match="ValidationError"):
    predictor.predict(features[:2])
