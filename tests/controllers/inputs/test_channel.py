from __future__ import annotations

from typing import Any

import pytest

from clary.controllers.inputs.channel import Channel, of_processing, of_training
from clary.controllers.staging import StagingError


def spec(mode: str = "File", **channel: Any) -> dict[str, Any]:
    s3 = {"S3DataType": "S3Prefix", "S3Uri": "s3://b/p", **channel.pop("s3", {})}
    given = {"ChannelName": "train", "DataSource": {"S3DataSource": s3}, **channel}
    return {"AlgorithmSpecification": {"TrainingInputMode": mode}, "InputDataConfig": [given]}


def test_a_channel_has_the_mode_of_the_job_unless_it_has_its_own() -> None:
    target = "/opt/ml/input/data/train"
    assert of_training(spec()) == [Channel(name="train", target=target, uri="s3://b/p")]
    assert of_training(spec("Pipe"))[0].mode == "Pipe"
    assert of_training(spec("Pipe", InputMode="FastFile"))[0].mode == "FastFile"


def test_everything_that_a_channel_can_say() -> None:
    (channel,) = of_training(
        spec(
            "Pipe",
            s3={"S3DataType": "AugmentedManifestFile", "S3DataDistributionType": "ShardedByS3Key"}
            | {"AttributeNames": ["a-ref", "b"]},
            RecordWrapperType="RecordIO",
            CompressionType="Gzip",
            ShuffleConfig={"Seed": 0},
        )
    )
    assert channel == Channel(
        name="train",
        target="/opt/ml/input/data/train",
        uri="s3://b/p",
        data_type="AugmentedManifestFile",
        mode="Pipe",
        sharded=True,
        gunzip=True,
        record_io=True,
        seed=0,
        attributes=("a-ref", "b"),
    )
    assert channel.shuffles_epochs


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (spec(s3={"S3DataType": "Converse"}), "Converse"),
        (spec(s3={"S3DataType": "AugmentedManifestFile", "AttributeNames": ["a"]}), "Pipe"),
        (spec("Pipe", s3={"S3DataType": "AugmentedManifestFile"}), "AttributeNames"),
        (spec(RecordWrapperType="RecordIO"), "RecordIO"),
        (spec("FastFile", CompressionType="Gzip"), "FastFile"),
    ],
)
def test_what_does_not_go_together_is_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(StagingError, match=f"ClientError: Channel 'train': .*{problem}"):
        of_training(given)


def test_an_input_of_a_processing_job() -> None:
    s3 = {"S3Uri": "s3://b/p", "S3InputMode": "Pipe", "S3DataDistributionType": "ShardedByS3Key"}
    channel = of_processing({"InputName": "x", "S3Input": {**s3, "S3CompressionType": "Gzip"}}, "/opt/ml/processing/x")
    assert channel == Channel(
        name="x", target="/opt/ml/processing/x", uri="s3://b/p", mode="Pipe", sharded=True, gunzip=True
    )
