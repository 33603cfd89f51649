"""SDK v2: managed spot training on two hosts, which goes on from its checkpoints; processing on two hosts."""

import json
import os
import tarfile
import tempfile
import uuid
from pathlib import Path

import sagemaker
from sagemaker.processing import ProcessingOutput
from sagemaker.s3 import S3Downloader
from sagemaker.sklearn import SKLearnProcessor
from sagemaker.xgboost import XGBoost

ROLE = os.environ["CLARY_EXECUTION_ROLE"]
session = sagemaker.Session()
place = f"s3://{session.default_bucket()}/cluster-{uuid.uuid4().hex[:8]}"


def spot(attempt):
    estimator = XGBoost(
        entry_point="train.py",
        source_dir="sources/cluster",
        framework_version="1.7-1",
        role=ROLE,
        instance_type="ml.m5.large",
        instance_count=2,
        use_spot_instances=True,
        max_run=300,
        max_wait=600,
        max_retry_attempts=2,
        checkpoint_s3_uri=f"{place}/checkpoints",
        sagemaker_session=session,
    )
    estimator.fit()
    with tempfile.TemporaryDirectory() as folder:
        S3Downloader.download(estimator.model_data, folder, sagemaker_session=session)
        with tarfile.open(Path(folder, "model.tar.gz")) as model:
            found = {name: json.load(model.extractfile(name)) for name in model.getnames()}
    expected = {"hosts": ["algo-1", "algo-2"], "attempt": attempt}
    assert found == {"algo-1.json": expected, "algo-2.json": expected}, found


def processing():
    processor = SKLearnProcessor("1.2-1", ROLE, 2, "ml.m5.large", sagemaker_session=session)
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "who.py")
        script.write_text(
            "import json, pathlib\n"
            "me = json.load(open('/opt/ml/config/resourceconfig.json'))\n"
            "pathlib.Path('/opt/ml/processing/out', me['current_host']).write_text(','.join(me['hosts']))\n"
        )
        processor.run(code=str(script), outputs=[ProcessingOutput("/opt/ml/processing/out", f"{place}/out")])
    names = sorted(uri.rpartition("/")[2] for uri in S3Downloader.list(f"{place}/out", session))
    assert names == ["algo-1", "algo-2"], names


spot(1)
spot(2)
processing()
