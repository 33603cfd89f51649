"""Runs on an EC2 instance as part of its user data: trains a small model and leaves its score in S3."""

import io
import json
import os
import sys

import boto3
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

bucket, train_key, validation_key, result_key = sys.argv[1:]
s3 = boto3.client("s3")


def read(key: str) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read()), header=None)


train, validation = read(train_key), read(validation_key)
model = LogisticRegression(max_iter=200).fit(train[[1]], train[0])
score = roc_auc_score(validation[0], model.predict_proba(validation[[1]])[:, 1])
result = {"auc": score, "processors": len(os.sched_getaffinity(0)), "rows": len(train)}
s3.put_object(Bucket=bucket, Key=result_key, Body=json.dumps(result).encode())
print("validation AUC from the departure delay alone:", round(score, 4))
