"""SDK v3: ModelTrainer runs a script, and what it made is served."""

import json
import os
import uuid

import boto3
import pytest
from sagemaker.core.helper.iam_role_resolver import RoleValidationError
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.resources import Endpoint, EndpointConfig, Model, TrainingJob
from sagemaker.core.shapes import ContainerDefinition, ProductionVariant
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, SourceCode

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
ROLE = os.environ["CLARY_EXECUTION_ROLE"]
session = Session()
name = f"v3-{uuid.uuid4().hex[:8]}"
bucket = session.default_bucket()
data = session.upload_string_as_file_body("1,2\n3,4\n", bucket, f"{name}/train.csv")

iam = boto3.client("iam")
nobody = f"nobody-{name}"
trust = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}]}  # fmt: skip
weak = iam.create_role(RoleName=nobody, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
options = {
    "training_image": IMAGE,
    "source_code": SourceCode(source_dir="sources/v3", entry_script="train.py"),
    "compute": Compute(instance_type="ml.m5.large", instance_count=1),
    "sagemaker_session": session,
}
# The SDK asks SimulatePrincipalPolicy what the role may do.
with pytest.raises(RoleValidationError):
    ModelTrainer(role=weak, base_job_name=name, **options)

trainer = ModelTrainer(
    role=ROLE,
    base_job_name=name,
    hyperparameters={"factor": 3, "word": "two words"},
    **options,
)
trainer.train(input_data_config=[InputData(channel_name="train", data_source=data)], wait=True)
job = trainer._latest_training_job
assert isinstance(job, TrainingJob)
job.refresh()
assert job.training_job_status == "Completed"
artefact = job.model_artifacts.s3_model_artifacts

model = Model.create(
    model_name=name,
    primary_container=ContainerDefinition(
        image=IMAGE, model_data_url=artefact, environment={"SAGEMAKER_PROGRAM": "inference.py"}
    ),
    execution_role_arn=ROLE,
)
config = EndpointConfig.create(
    endpoint_config_name=name,
    production_variants=[
        ProductionVariant(
            variant_name="AllTraffic", model_name=name, initial_instance_count=1, instance_type="ml.m5.large"
        )
    ],
)
endpoint = Endpoint.create(endpoint_name=name, endpoint_config_name=name)
endpoint.wait_for_status("InService", poll=1)
answer = endpoint.invoke(body="1,2\n3,4", content_type="text/csv", accept="application/json")
assert json.loads(answer.body.read()) == [9.0, 21.0]
assert [found.model_name for found in Model.get_all(name_contains=name)] == [name]
endpoint.delete()
endpoint.wait_for_delete(poll=1)
config.delete()
model.delete()
