"""SDK v2 as in a notebook on AWS: the role and the bucket are found by asking STS at its own address."""

import boto3
import sagemaker
from sagemaker.sklearn import SKLearn

session = sagemaker.Session()
role = sagemaker.get_execution_role()
assert role == "arn:aws:iam::000000000000:role/ClaryExecutionRole", role
assert session.account_id() == "000000000000"
assert session.default_bucket() == "sagemaker-us-east-1-000000000000"
assert session.get_caller_identity_arn() == role
sts = boto3.client("sts", endpoint_url="https://sts.us-east-1.amazonaws.com")
caller = sts.get_caller_identity()["Arn"]
assert caller.startswith("arn:aws:sts::000000000000:assumed-role/ClaryExecutionRole/"), caller

estimator = SKLearn(
    entry_point="sources/identity.py",
    framework_version="1.2-1",
    role=role,
    instance_type="ml.m5.large",
    instance_count=1,
)
estimator.fit()
