"""What a request says of one channel of a training job or one input of a processing job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from clary.agent.workload import ML_ROOT
from clary.controllers.staging import StagingError

if TYPE_CHECKING:
    from collections.abc import Mapping

Mode = Literal["File", "FastFile", "Pipe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """Data that a job wants to find at one place."""

    name: str
    target: str
    """The folder inside; in Pipe mode what the names of the pipes begin with."""
    uri: str
    data_type: str = "S3Prefix"
    mode: Mode = "File"
    sharded: bool = False
    gunzip: bool = False
    record_io: bool = False
    seed: int | None = None
    """Shuffles the objects."""
    attributes: tuple[str, ...] = ()
    """Of the lines of an augmented manifest, what is sent."""

    @property
    def shuffles_epochs(self) -> bool:
        """Whether hosts get other objects in every epoch."""
        return self.mode == "Pipe" and self.seed is not None


def of_training(spec: Mapping[str, Any]) -> list[Channel]:
    """The channels of a training job.

    Raises:
        StagingError: a channel asks for what does not go together.
    """
    mode = spec["AlgorithmSpecification"].get("TrainingInputMode", "File")
    return [_checked(_of_channel(channel, mode)) for channel in spec.get("InputDataConfig", ())]


def of_processing(entry: Mapping[str, Any], target: str) -> Channel:
    """An input of a processing job.

    Raises:
        StagingError: it asks for what does not go together.
    """
    s3 = entry["S3Input"]
    return _checked(
        Channel(
            name=entry["InputName"],
            target=target,
            uri=s3["S3Uri"],
            data_type=s3.get("S3DataType", "S3Prefix"),
            mode=cast("Mode", s3.get("S3InputMode", "File")),
            sharded=s3.get("S3DataDistributionType") == "ShardedByS3Key",
            gunzip=s3.get("S3CompressionType") == "Gzip",
        )
    )


def _of_channel(channel: Mapping[str, Any], mode: str) -> Channel:
    s3 = channel["DataSource"]["S3DataSource"]
    name = channel["ChannelName"]
    return Channel(
        name=name,
        target=f"{ML_ROOT}/input/data/{name}",
        uri=s3["S3Uri"],
        data_type=s3.get("S3DataType", "S3Prefix"),
        mode=cast("Mode", channel.get("InputMode") or mode),
        sharded=s3.get("S3DataDistributionType") == "ShardedByS3Key",
        gunzip=channel.get("CompressionType") == "Gzip",
        record_io=channel.get("RecordWrapperType") == "RecordIO",
        seed=channel["ShuffleConfig"]["Seed"] if "ShuffleConfig" in channel else None,
        attributes=tuple(s3.get("AttributeNames", ())),
    )


def _checked(channel: Channel) -> Channel:
    problem = _problem(channel)
    if problem:
        raise StagingError(f"ClientError: Channel {channel.name!r}: {problem}")
    return channel


def _problem(channel: Channel) -> str:
    augmented = channel.data_type == "AugmentedManifestFile"
    if channel.data_type not in {"S3Prefix", "ManifestFile", "AugmentedManifestFile"}:
        return f"Clary does not support the S3DataType {channel.data_type}."
    if augmented and channel.mode != "Pipe":
        return "S3DataType AugmentedManifestFile can only be used with the input mode Pipe."
    if augmented and not channel.attributes:
        return "S3DataType AugmentedManifestFile needs AttributeNames."
    if channel.record_io and channel.mode != "Pipe":
        return "RecordWrapperType RecordIO can only be used with the input mode Pipe."
    if channel.gunzip and channel.mode == "FastFile":
        return "CompressionType Gzip cannot be used with the input mode FastFile."
    return ""
