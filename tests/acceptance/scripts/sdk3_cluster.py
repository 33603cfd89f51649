"""SDK v3: managed spot training on two hosts, with checkpoints."""

import io
import json
import os
import tarfile
import uuid

import boto3
from sagemaker.core.helper.session_helper import Session
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import CheckpointConfig, Compute, SourceCode, StoppingCondition

session = Session()
name = f"cluster-{uuid.uuid4().hex[:8]}"
for attempt in (1, 2):
    trainer = ModelTrainer(
        training_image="683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3",
        role=os.environ["CLARY_EXECUTION_ROLE"],
        base_job_name=name,
        source_code=SourceCode(source_dir="sources/cluster", entry_script="train.py"),
        compute=Compute(instance_type="ml.m5.large", instance_count=2, enable_managed_spot_training=True),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=300, max_wait_time_in_seconds=600),
        checkpoint_config=CheckpointConfig(s3_uri=f"s3://{session.default_bucket()}/{name}/checkpoints"),
        sagemaker_session=session,
    )
    trainer.train(wait=True)
    job = trainer._latest_training_job
    job.refresh()
    assert job.training_job_status == "Completed", job.failure_reason
    bucket, _, key = job.model_artifacts.s3_model_artifacts.removeprefix("s3://").partition("/")
    packed = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(packed)) as model:
        found = {member: json.load(model.extractfile(member)) for member in model.getnames()}
    expected = {"hosts": ["algo-1", "algo-2"], "attempt": attempt}
    assert found == {"algo-1.json": expected, "algo-2.json": expected}, found
