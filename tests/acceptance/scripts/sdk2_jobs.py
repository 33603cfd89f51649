"""SDK v2: a tuner, a processor, and a command of one's own in a container."""

import io
import os
import tarfile
import uuid
from concurrent.futures import ThreadPoolExecutor

import boto3
import sagemaker
from sagemaker import image_uris
from sagemaker.estimator import Estimator
from sagemaker.processing import ProcessingInput, ProcessingOutput
from sagemaker.sklearn import SKLearn, SKLearnProcessor
from sagemaker.tuner import CategoricalParameter, ContinuousParameter, HyperparameterTuner

ROLE = os.environ["CLARY_EXECUTION_ROLE"]
TYPE = "ml.m5.large"
session = sagemaker.Session()
bucket = session.default_bucket()
tag = uuid.uuid4().hex[:8]
client = boto3.client("sagemaker")


def tuner():
    estimator = SKLearn(
        entry_point="sources/tuned.py",
        framework_version="1.2-1",
        role=ROLE,
        instance_type=TYPE,
        instance_count=1,
        sagemaker_session=session,
    )
    search = HyperparameterTuner(
        estimator,
        "loss",
        {"rate": ContinuousParameter(0, 1), "shape": CategoricalParameter(["round", "square"])},
        [{"Name": "loss", "Regex": r"loss=([0-9.e-]+);"}],
        objective_type="Minimize",
        max_jobs=6,
        max_parallel_jobs=2,
        base_tuning_job_name="acceptance",
    )
    search.fit()
    table = search.analytics().dataframe()
    assert len(table) == 6
    assert set(table["TrainingJobStatus"]) == {"Completed"}
    best = table.loc[table["FinalObjectiveValue"].idxmin()]
    assert search.best_training_job() == best["TrainingJobName"]
    assert search.best_estimator().model_data.endswith("/output/model.tar.gz")


def processor():
    where = session.upload_string_as_file_body("a,b\n1,2\n3,4\n", bucket, f"processing-{tag}/rows.csv")
    job = SKLearnProcessor("1.2-1", ROLE, 1, TYPE, sagemaker_session=session)
    job.run(
        code="sources/process.py",
        inputs=[ProcessingInput(where, "/opt/ml/processing/input")],
        outputs=[ProcessingOutput("/opt/ml/processing/output", f"s3://{bucket}/processing-{tag}/out")],
        arguments=["10"],
        logs=False,
    )
    assert session.read_s3_file(bucket, f"processing-{tag}/out/totals.csv") == "a,b,total\n1,2,30\n3,4,70\n"
    assert job.latest_job.describe()["ExitMessage"] == "2 rows"


def command():
    estimator = Estimator(
        image_uris.retrieve("sklearn", session.boto_region_name, "1.2-1", instance_type=TYPE),
        ROLE,
        1,
        TYPE,
        container_entry_point=["/bin/bash", "-c"],
        container_arguments=["echo hello from $TRAINING_JOB_NAME; cp /opt/ml/input/config/*.json /opt/ml/model/"],
        hyperparameters={"depth": 3},
        sagemaker_session=session,
    )
    estimator.fit()
    job = client.describe_training_job(TrainingJobName=estimator.latest_training_job.name)
    assert job["AlgorithmSpecification"]["ContainerEntrypoint"] == ["/bin/bash", "-c"]
    content = sagemaker.s3.S3Downloader.read_bytes(estimator.model_data, sagemaker_session=session)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        assert "hyperparameters.json" in tar.getnames()


with ThreadPoolExecutor(3) as pool:
    for done in [pool.submit(work) for work in (tuner, processor, command)]:
        done.result()
