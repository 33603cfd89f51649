"""SDK v2, built-in algorithms: XGBoost, linear learner and k-means trained, asked and run over a batch."""

import json
import os
import uuid
from concurrent.futures import ThreadPoolExecutor

import boto3
import numpy as np
import sagemaker
from sagemaker import KMeans, LinearLearner, image_uris
from sagemaker.deserializers import CSVDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.serializers import CSVSerializer

ROLE = os.environ["CLARY_EXECUTION_ROLE"]
TYPE = "ml.m5.large"
session = sagemaker.Session()
bucket = session.default_bucket()
tag = uuid.uuid4().hex[:8]
random = np.random.default_rng(2)
features = random.normal(size=(400, 3)).astype("float32")
labels = (features[:, 0] - features[:, 1] > 0).astype("float32")
common = {"role": ROLE, "instance_count": 1, "instance_type": TYPE, "sagemaker_session": session}


def text(rows):
    return "\n".join(",".join(f"{cell:.5f}" for cell in row) for row in rows)


def put(name, rows):
    return session.upload_string_as_file_body(text(rows), bucket, f"builtin-{tag}/{name}")


def in_service(predictor):
    waiter = boto3.client("sagemaker").get_waiter("endpoint_in_service")
    waiter.wait(EndpointName=predictor.endpoint_name, WaiterConfig={"Delay": 1, "MaxAttempts": 90})
    return predictor


def delete(predictor):
    predictor.delete_model()
    predictor.delete_endpoint()


def batch(estimator, **options):
    """What a transform job makes of the features."""
    put(f"{estimator.latest_training_job.name}/in/rows.csv", features)
    output = f"s3://{bucket}/builtin-{tag}/{estimator.latest_training_job.name}/out"
    transformer = estimator.transformer(
        1, TYPE, output_path=output, strategy="MultiRecord", assemble_with="Line", **options
    )
    where = f"s3://{bucket}/builtin-{tag}/{estimator.latest_training_job.name}/in/"
    transformer.transform(where, content_type="text/csv", split_type="Line", wait=True, logs=False)
    key = f"{output}/rows.csv.out".removeprefix(f"s3://{bucket}/")
    return session.read_s3_file(bucket, key).splitlines()


def xgboost():
    rows = np.column_stack([labels, features])
    estimator = Estimator(image_uris.retrieve("xgboost", session.boto_region_name, "1.7-1"), **common)
    estimator.set_hyperparameters(objective="binary:logistic", num_round=20, eval_metric="auc")
    train = TrainingInput(put("xgboost/train.csv", rows[:300]), content_type="text/csv")
    validation = TrainingInput(put("xgboost/validation.csv", rows[300:]), content_type="text/csv")
    estimator.fit({"train": train, "validation": validation}, logs=False)
    job = estimator.latest_training_job.describe()
    found = {metric["MetricName"]: metric["Value"] for metric in job["FinalMetricDataList"]}
    assert found["validation:auc"] > 0.9, found
    predictor = in_service(estimator.deploy(1, TYPE, wait=False))
    predictor.serializer, predictor.deserializer = CSVSerializer(), CSVDeserializer()
    answer = np.array(predictor.predict(features[300:]), dtype=float).ravel()
    assert ((answer > 0.5) == labels[300:]).mean() > 0.85
    delete(predictor)
    lines = batch(estimator, accept="text/csv")
    assert len(lines) == 400
    assert np.allclose(np.array(lines[300:], dtype=float), answer, atol=1e-3)


def linear_learner():
    estimator = LinearLearner(predictor_type="binary_classifier", epochs=15, mini_batch_size=50, **common)
    estimator.fit(estimator.record_set(features, labels), mini_batch_size=50, logs=False)
    predictor = in_service(estimator.deploy(1, TYPE, wait=False))
    answer = [record.label["predicted_label"].float32_tensor.values[0] for record in predictor.predict(features[:50])]
    assert (np.array(answer) == labels[:50]).mean() > 0.9, answer
    delete(predictor)
    lines = batch(estimator, accept="application/jsonlines")
    assert len(lines) == 400
    assert {"predicted_label", "score"} <= json.loads(lines[0]).keys()


def kmeans():
    centres = np.array([[0, 0], [10, 0], [0, 10]], dtype="float32")
    points = np.concatenate([centre + random.normal(scale=0.3, size=(60, 2)) for centre in centres]).astype("float32")
    estimator = KMeans(k=3, data_location=f"s3://{bucket}/builtin-{tag}/kmeans/", **common)
    estimator.fit(estimator.record_set(points), logs=False)
    predictor = in_service(estimator.deploy(1, TYPE, wait=False))
    found = [int(record.label["closest_cluster"].float32_tensor.values[0]) for record in predictor.predict(points)]
    assert [len(set(found[start : start + 60])) for start in (0, 60, 120)] == [1, 1, 1], found
    assert len(set(found)) == 3
    delete(predictor)


with ThreadPoolExecutor(3) as pool:
    for done in [pool.submit(work) for work in (xgboost, linear_learner, kmeans)]:
        done.result()
