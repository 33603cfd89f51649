"""SDK v3: channels in File, FastFile and Pipe mode."""

import io
import json
import os
import tarfile
import uuid

import boto3
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.shapes import Channel, DataSource, S3DataSource
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, SourceCode

session = Session()
name = f"inputs-{uuid.uuid4().hex[:8]}"
rows = "1,2\n3,4\n"
uri = session.upload_string_as_file_body(rows, session.default_bucket(), f"{name}-data/rows.csv").rpartition("/")[0]
source = DataSource(s3_data_source=S3DataSource(s3_data_type="S3Prefix", s3_uri=f"{uri}/"))
trainer = ModelTrainer(
    training_image="683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3",
    role=os.environ["CLARY_EXECUTION_ROLE"],
    base_job_name=name,
    source_code=SourceCode(source_dir="sources/modes", entry_script="train.py"),
    compute=Compute(instance_type="ml.m5.large", instance_count=1),
    sagemaker_session=session,
)
channels = [
    Channel(channel_name=channel, data_source=source, input_mode=mode)
    for channel, mode in (("file", "File"), ("fast", "FastFile"), ("pipe", "Pipe"))
]
trainer.train(input_data_config=channels, wait=True)
job = trainer._latest_training_job
job.refresh()
assert job.training_job_status == "Completed", job.failure_reason
bucket, _, key = job.model_artifacts.s3_model_artifacts.removeprefix("s3://").partition("/")
packed = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
with tarfile.open(fileobj=io.BytesIO(packed)) as model:
    found = json.load(model.extractfile("found.json"))
assert found == {"file": rows, "fast": rows, "pipe 0": rows, "pipe 1": rows}, found
