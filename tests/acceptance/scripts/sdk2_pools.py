"""SDK v2: a warm pool, which the second job takes over and which is then terminated."""

import os
import tarfile
import tempfile
import time
from pathlib import Path

import sagemaker
from sagemaker.s3 import S3Downloader
from sagemaker.sklearn import SKLearn

session = sagemaker.Session()


def train():
    estimator = SKLearn(
        entry_point="train.py",
        source_dir="sources/pools",
        framework_version="1.2-1",
        role=os.environ["CLARY_EXECUTION_ROLE"],
        instance_type="ml.m5.large",
        volume_size=77,
        keep_alive_period_in_seconds=600,
        sagemaker_session=session,
    )
    estimator.fit()
    with tempfile.TemporaryDirectory() as folder:
        S3Downloader.download(estimator.model_data, folder, sagemaker_session=session)
        with tarfile.open(Path(folder, "model.tar.gz")) as model:
            return estimator.latest_training_job.job_name, int(model.extractfile("jobs.txt").read())


def pool(name, status):
    for _ in range(100):
        found = session.describe_training_job(name)["WarmPoolStatus"]
        if found["Status"] == status:
            return found
        time.sleep(0.1)
    raise AssertionError(found)


first, count = train()
assert count == 1, count
pool(first, "Available")
second, count = train()
assert count == 2, count
assert pool(first, "Reused")["ReusedByJob"] == second
pool(second, "Available")
session.update_training_job(second, resource_config={"KeepAlivePeriodInSeconds": 0})
pool(second, "Terminated")
