"""SDK v3: a warm pool, which the second job takes over and which is then terminated."""

import os
import time

from sagemaker.core.helper.session_helper import Session
from sagemaker.core.resources import TrainingJob
from sagemaker.core.shapes import ResourceConfigForUpdate
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, SourceCode


def train():
    trainer = ModelTrainer(
        training_image="683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3",
        role=os.environ["CLARY_EXECUTION_ROLE"],
        source_code=SourceCode(source_dir="sources/pools", entry_script="train.py"),
        compute=Compute(instance_type="ml.m5.large", volume_size_in_gb=78, keep_alive_period_in_seconds=600),
        sagemaker_session=Session(),
    )
    trainer.train(wait=True)
    return trainer._latest_training_job.training_job_name


def pool(name, status):
    for _ in range(100):
        job = TrainingJob.get(name)
        if job.warm_pool_status.status == status:
            return job
        time.sleep(0.1)
    raise AssertionError(job.warm_pool_status)


first = train()
pool(first, "Available")
second = train()
assert pool(first, "Reused").warm_pool_status.reused_by_job == second
job = pool(second, "Available")
job.update(resource_config=ResourceConfigForUpdate(keep_alive_period_in_seconds=1))  # the SDK leaves 0 out
pool(second, "Terminated")
