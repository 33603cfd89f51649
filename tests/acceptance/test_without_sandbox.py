"""A machine that refuses namespaces: what works all the same, and how the rest is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.acceptance.workbench import SKLEARN, Workbench, ended, unique, until
from tests.conftest import short_home
from tests.oci import Registry, image, layer, sender
from tests.server import ClaryServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    server = ClaryServer(
        short_home(tmp_path_factory), settings={"CLARY_ISOLATION": "none", "CLARY_CONTAINERS": "sandbox"}
    )
    server.start()
    yield Workbench(server)
    server.stop()


def processed(bench: Workbench, command: str, **options: Any) -> dict[str, Any]:
    name = unique("processing")
    target = {"S3Uri": bench.uri(name), "LocalPath": "/opt/ml/processing/output", "S3UploadMode": "EndOfJob"}
    bench.sagemaker.create_processing_job(
        ProcessingJobName=name,
        RoleArn=bench.role,
        AppSpecification={"ImageUri": SKLEARN, "ContainerEntrypoint": ["sh", "-c", command]},
        ProcessingOutputConfig={"Outputs": [{"OutputName": "o", "S3Output": target}]},
        ProcessingResources={"ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}},
        **options,
    )
    return until(
        lambda: ended(bench.sagemaker.describe_processing_job(ProcessingJobName=name), "ProcessingJobStatus"), 20
    )


def test_scripts_that_take_their_paths_from_variables_work(plain: Workbench) -> None:
    script = "import os\nopen(os.path.join(os.environ['SM_MODEL_DIR'], 'weights'), 'w').write('w')\n"
    job = plain.trained(plain.train(script))
    assert (job["TrainingJobStatus"], job.get("FailureReason")) == ("Completed", None)


def test_a_script_that_misses_its_private_folder_says_so(plain: Workbench) -> None:
    job = processed(plain, "P=/opt; ls $P/ml/processing/output-that-is-not-there")
    assert "Without a sandbox /opt/ml/processing cannot be private" in job["FailureReason"]


def test_network_isolation_is_refused(plain: Workbench) -> None:
    job = processed(plain, "true", NetworkConfig={"EnableNetworkIsolation": True})
    assert "network isolation needs a sandbox" in job["FailureReason"]


def test_images_of_ones_own_are_refused(plain: Workbench) -> None:
    ecr = plain.server.client("ecr")
    uri = ecr.create_repository(repositoryName=unique("own"))["repository"]["repositoryUri"]
    pushed = image(layer(("x", b"")), Entrypoint=["/x"])
    with sender(plain.server.port) as send:
        Registry.of(send, ecr).push(uri.partition("/")[2], pushed)
    job = plain.trained(plain.train("", AlgorithmSpecification={"TrainingImage": uri, "TrainingInputMode": "File"}))
    assert job["FailureReason"].startswith("ClientError: An image of one's own needs a sandbox")


def test_instances_are_refused(plain: Workbench) -> None:
    ec2 = plain.server.client("ec2")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    with pytest.raises(ClientError, match="they need sandboxes") as refused:
        ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    assert refused.value.response["Error"]["Code"] == "Unsupported"
