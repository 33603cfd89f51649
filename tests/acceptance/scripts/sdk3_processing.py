"""SDK v3: a script processor with input, output and arguments."""

import os
import uuid

import boto3
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.processing import ScriptProcessor
from sagemaker.core.shapes import ProcessingInput, ProcessingOutput, ProcessingS3Input, ProcessingS3Output

session = Session()
bucket = session.default_bucket()
name = f"processing-{uuid.uuid4().hex[:8]}"
where = session.upload_string_as_file_body("a,b\n1,2\n3,4\n", bucket, f"{name}/in/rows.csv").rpartition("/")[0]
processor = ScriptProcessor(
    role=os.environ["CLARY_EXECUTION_ROLE"],
    image_uri="683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3",
    command=["python3"],
    instance_count=1,
    instance_type="ml.m5.large",
    base_job_name=name,
    sagemaker_session=session,
)
source = ProcessingS3Input(
    s3_uri=where, local_path="/opt/ml/processing/input", s3_data_type="S3Prefix", s3_input_mode="File"
)
target = ProcessingS3Output(
    s3_uri=f"s3://{bucket}/{name}/out", local_path="/opt/ml/processing/output", s3_upload_mode="EndOfJob"
)
processor.run(
    code="sources/process.py",
    inputs=[ProcessingInput(input_name="rows", s3_input=source)],
    outputs=[ProcessingOutput(output_name="out", s3_output=target)],
    arguments=["10"],
)
written = boto3.client("s3").get_object(Bucket=bucket, Key=f"{name}/out/totals.csv")["Body"].read()
assert written == b"a,b,total\n1,2,30\n3,4,70\n", written
