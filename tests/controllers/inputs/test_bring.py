from __future__ import annotations

import gzip
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any, cast

import pytest

from clary.agent import bundle
from clary.agent.catalogue import Catalogue
from clary.agent.workload import Input, Pipe
from clary.controllers.contract import NO_ROOM
from clary.controllers.identity import role_context
from clary.controllers.inputs import bring
from clary.controllers.inputs.bring import Bringer, Brought
from clary.controllers.inputs.channel import Channel
from clary.controllers.inputs.folder import FEW_FILES
from clary.controllers.staging import Stager, StagingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from clary.store.records import Record
    from tests.cloud import Cloud

TRUST = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
BUCKET = "inputs"
LARGE = 1 << 17


class Job:
    """Brings channels of one bucket into a bundle."""

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        self._cloud = cloud
        self.folder = folder
        self.s3 = cloud.client("s3")
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        iam = cloud.client("iam")
        policy = {"Version": "2012-10-17", "Statement": [TRUST]}
        self._role = iam.create_role(RoleName="job", AssumeRolePolicyDocument=json.dumps(policy))["Role"]["Arn"]
        allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        iam.put_role_policy(
            RoleName="job", PolicyName="s3", PolicyDocument=json.dumps({**policy, "Statement": [allowed]})
        )
        (folder / "ml").mkdir()

    def put(self, key: str, content: bytes, **options: Any) -> bytes:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=content, **options)
        return content

    def put_parts(self, key: str, *parts: bytes) -> bytes:
        upload = {"Bucket": BUCKET, "Key": key}
        upload["UploadId"] = self.s3.create_multipart_upload(**upload)["UploadId"]
        done = [
            {"PartNumber": number, "ETag": self.s3.upload_part(**upload, PartNumber=number, Body=part)["ETag"]}
            for number, part in enumerate(parts, 1)
        ]
        self.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": done})
        return b"".join(parts)

    def bring(self, *channels: Channel, refusal: str = "", outputs: Sequence[str] = (), **options: Any) -> Brought:
        platform, role = self._cloud.parts.platform, self._role

        def context(operation: str) -> Any:
            return role_context(platform, cast("Record", Asking()), role, "s3", operation)

        bringer = Bringer(Stager(platform, context, role), self.folder, (0, 1), refusal, **options)
        brought: Brought = self._cloud.in_thread(bringer.bring, channels, outputs)
        return brought

    def file(self, *path: str) -> Path:
        return self.folder.joinpath(*path)


class Asking:
    """The job as far as its role is concerned."""

    account, region, kind, name = "123456789012", "eu-west-1", "training-job", "job"
    arn = "arn:aws:sagemaker:eu-west-1:123456789012:training-job/job"


@pytest.fixture
def job(cloud: Cloud, tmp_path: Path) -> Job:
    return Job(cloud, tmp_path)


def channel(mode: str = "File", **options: Any) -> Channel:
    target = "/opt/ml/input/data/train"
    return Channel(**{"name": "train", "target": target, "uri": f"s3://{BUCKET}/d/", "mode": mode, **options})


def served(job: Job, *path: str) -> bytes:
    """The content of a file of the catalogue."""
    catalogue = Catalogue(job.folder / bundle.INPUTS)
    node = catalogue.node(1)
    for name in path:
        assert node is not None
        node = catalogue.lookup(node.id, name)
    assert node is not None
    content = bytearray(node.size)
    with memoryview(content) as view:
        assert catalogue.read_into(view, node.id, 0) == node.size
    catalogue.close()
    return bytes(content)


def test_a_handful_of_small_objects_is_written_out(job: Job) -> None:
    job.put("d/a", b"a")
    job.put("d/b/c", b"c")
    job.put("d/empty folder/", b"")
    assert job.bring(channel()) == Brought((), (), ())
    assert job.file("ml/input/data/train/b/c").read_bytes() == b"c"
    assert not job.file("inputs", "index").exists()


def test_many_small_objects_are_served_from_one_file(job: Job) -> None:
    for number in range(FEW_FILES + 3):
        job.put(f"d/{number}", str(number).encode())
    target = "/opt/ml/input/data/train"
    assert job.bring(channel()).inputs == (Input(target=target, name="0", served=True, writable=True),)
    assert served(job, "0", "7") == b"7"
    assert sum(len(names) for _, _, names in os.walk(job.file("inputs"))) == 2


def test_a_large_object_is_linked_and_outlives_its_deletion(job: Job) -> None:
    content = job.put("d/large", os.urandom(LARGE))
    shown = job.bring(channel()).inputs
    assert [(each.linked, each.served) for each in shown] == [(True, False)]
    linked = job.file("inputs/trees/0/large")
    assert linked.stat().st_nlink == 2
    job.s3.delete_object(Bucket=BUCKET, Key="d/large")
    assert linked.read_bytes() == content


def test_parts_are_linked_and_served_as_one(job: Job) -> None:
    content = job.put_parts("d/parts", os.urandom(5 << 20), os.urandom(LARGE))
    shown = job.bring(channel("FastFile")).inputs
    assert [(each.linked, each.served, each.writable) for each in shown] == [(False, True, False)]
    assert {path.stat().st_nlink for path in job.file("inputs/pieces").iterdir() if path.name != "0"} == {2}
    assert hashlib.sha256(served(job, "0", "parts")).digest() == hashlib.sha256(content).digest()


def test_links_are_not_for_users_who_could_not_read_them(job: Job) -> None:
    content = job.put("d/large", os.urandom(LARGE))
    assert [each.served for each in job.bring(channel(), as_root=False).inputs] == [True]
    assert served(job, "0", "large") == content


def test_where_nothing_can_be_shown_everything_is_copied_and_told(job: Job) -> None:
    content = job.put("d/large", os.urandom(LARGE))
    brought = job.bring(channel("FastFile"), refusal="FUSE is not there")
    assert brought.inputs == ()
    assert brought.notes == ("Channel 'train' was copied as in File mode: FUSE is not there",)
    copy = job.file("ml/input/data/train/large")
    assert copy.read_bytes() == content
    assert copy.stat().st_nlink == 1


def test_encrypted_objects_are_copied(job: Job) -> None:
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    job.put("d/sealed", os.urandom(LARGE), **key)
    with pytest.raises(StagingError, match="Data download failed"):
        job.bring(channel())


def test_copies_of_much_are_told(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bring, "TOLD_BYTES", LARGE - 1)
    job.put("d/large", os.urandom(LARGE))
    assert "because FUSE is not there" in job.bring(channel(), refusal="FUSE is not there").notes[0]


def test_a_file_system_without_links_gets_copies(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    content = job.put("d/large", os.urandom(LARGE))
    parts = job.put_parts("d/parts", os.urandom(5 << 20), os.urandom(LARGE))
    monkeypatch.setattr("os.link", refuse)
    assert [(each.linked, each.served) for each in job.bring(channel()).inputs] == [(True, True)]
    assert job.file("inputs/trees/0/large").read_bytes() == content
    assert served(job, "0", "parts") == parts


@pytest.mark.parametrize("output", ["/opt/ml/input/data/train", "/opt/ml/input/data/train/out", "/opt/ml/input"])
def test_a_folder_that_is_also_an_output_is_copied(job: Job, output: str) -> None:
    content = job.put("d/large", os.urandom(LARGE))
    assert job.bring(channel(), outputs=[output]).inputs == ()
    assert job.file("ml/input/data/train/large").read_bytes() == content


def test_folders_within_each_other_are_copied(job: Job) -> None:
    job.put("d/large", os.urandom(LARGE))
    inner = channel(name="inner", target="/opt/ml/input/data/train/inner")
    assert job.bring(inner, channel()).inputs == ()
    for folder in ("train", "train/inner"):
        assert job.file(f"ml/input/data/{folder}/large").stat().st_size == LARGE


def test_compressed_objects_become_plain_files(job: Job) -> None:
    plain = os.urandom(LARGE)
    packed = job.put("d/packed", gzip.compress(plain))
    assert job.bring(channel(gunzip=True)).inputs == ()
    assert job.file("ml/input/data/train/packed").read_bytes() == plain
    assert job.s3.get_object(Bucket=BUCKET, Key="d/packed")["Body"].read() == packed


def test_only_the_objects_of_the_channel_are_decompressed(job: Job) -> None:
    job.put("d/a", b"plain")
    packed = job.put("e/b", gzip.compress(b"packed"))
    outer = channel(name="outer", target="/opt/ml/input/data", uri=f"s3://{BUCKET}/e/", gunzip=True)
    job.bring(channel(), outer)
    assert job.file("ml/input/data/train/a").read_bytes() == b"plain"
    assert job.file("ml/input/data/b").read_bytes() == gzip.decompress(packed)


def test_a_file_in_the_place_of_the_folder_of_another_input(job: Job) -> None:
    job.put("d/a", b"a")
    job.put("e/train", b"no folder")
    with pytest.raises(StagingError, match="is both a file and a folder"):
        job.bring(channel(), channel(name="outer", target="/opt/ml/input/data", uri=f"s3://{BUCKET}/e/"))


def test_a_manifest_lies_beside_its_channel(job: Job) -> None:
    manifest = job.put("manifest", json.dumps([{"prefix": f"s3://{BUCKET}/d/"}, "a"]).encode())
    job.put("d/a", b"a")
    job.bring(channel(data_type="ManifestFile", uri=f"s3://{BUCKET}/manifest"))
    assert job.file("ml/input/data/train/a").read_bytes() == b"a"
    assert job.file("ml/input/data/train-manifest").read_bytes() == manifest


def test_what_is_streamed_is_linked_too(job: Job) -> None:
    content = job.put("d/1", os.urandom(LARGE)), job.put("d/2", b"row")
    pipes = job.bring(channel("Pipe", record_io=True, seed=4)).pipes
    assert pipes == (Pipe(target="/opt/ml/input/data/train", name="0", record_io=True, seed=4),)
    catalogue = Catalogue(job.folder / bundle.INPUTS)
    sizes = [record.size for item in catalogue.items("0") for record in catalogue.records("0", item)]
    assert sizes == [len(each) for each in content]
    catalogue.close()


def test_a_stream_of_nothing_is_one(job: Job) -> None:
    job.put("d/", b"")
    job.bring(channel("Pipe"))
    catalogue = Catalogue(job.folder / bundle.INPUTS)
    assert catalogue.items("0") == []
    catalogue.close()


def test_a_full_disk_is_the_reason(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    job.put("d/a", b"a")
    monkeypatch.setattr("pathlib.Path.write_bytes", refuse)
    with pytest.raises(StagingError, match=NO_ROOM.partition("(")[0]):
        job.bring(channel())
