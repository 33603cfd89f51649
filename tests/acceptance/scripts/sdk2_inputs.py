"""SDK v2: channels in File, FastFile and Pipe mode."""

import json
import os
import tarfile
import uuid
from pathlib import Path

import sagemaker
from sagemaker.inputs import ShuffleConfig, TrainingInput
from sagemaker.s3 import S3Downloader
from sagemaker.sklearn import SKLearn

session = sagemaker.Session()
prefix = f"inputs-{uuid.uuid4().hex[:8]}"
rows = "1,2\n3,4\n"
uri = session.upload_string_as_file_body(rows, session.default_bucket(), f"{prefix}/rows.csv").rpartition("/")[0]
estimator = SKLearn(
    entry_point="train.py",
    source_dir="sources/modes",
    framework_version="1.2-1",
    role=os.environ["CLARY_EXECUTION_ROLE"],
    instance_type="ml.m5.large",
    instance_count=1,
    sagemaker_session=session,
)
estimator.fit(
    {
        "file": TrainingInput(f"{uri}/"),
        "fast": TrainingInput(f"{uri}/", input_mode="FastFile"),
        "pipe": TrainingInput(f"{uri}/", input_mode="Pipe", shuffle_config=ShuffleConfig(1)),
    }
)
S3Downloader.download(estimator.model_data, str(Path.home()), sagemaker_session=session)
with tarfile.open(Path.home() / "model.tar.gz") as model:
    found = json.load(model.extractfile("found.json"))
assert found == {"file": rows, "fast": rows, "pipe 0": rows, "pipe 1": rows}, found
