from __future__ import annotations

import os
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from botocore.config import Config

if TYPE_CHECKING:
    from tests.conftest import Client

BOUNDARY = "----the boundary"


def post(url: str, fields: dict[str, str], content: bytes, file_name: str = "up.bin") -> tuple[int, Any, bytes]:
    """Sends a form as a browser does."""
    lines = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields.items()]
    file = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{file_name}"\r\n\r\n'
    body = "".join([*lines, file]).encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
    headers = {"Content-Type": f'multipart/form-data; boundary="{BOUNDARY}"'}
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@pytest.mark.parametrize("signature_version", ["s3", "s3v4"])
@pytest.mark.parametrize("content", [b"", b"--x\r\n--", os.urandom(400_000)])
def test_a_signed_form_is_stored(client: Client, s3: Any, bucket: str, signature_version: str, content: bytes) -> None:
    signer = client("s3", config=Config(signature_version=signature_version))
    form = signer.generate_presigned_post(
        bucket,
        "in/${filename}",
        Fields={"x-amz-meta-colour": "blue", "Content-Type": "a/b"},
        Conditions=[{"x-amz-meta-colour": "blue"}, {"Content-Type": "a/b"}, ["content-length-range", 0, 500_000]],
    )
    status, headers, _ = post(form["url"], form["fields"], content)
    assert status == 204
    got = s3.get_object(Bucket=bucket, Key="in/up.bin")
    assert got["Body"].read() == content
    assert (got["Metadata"], got["ContentType"], got["ETag"]) == ({"colour": "blue"}, "a/b", headers["ETag"])


def test_the_policy_holds(s3: Any, bucket: str) -> None:
    form = s3.generate_presigned_post(bucket, "k", Conditions=[["content-length-range", 2, 4]])
    assert post(form["url"], form["fields"], b"12345")[0] == 400
    assert post(form["url"], form["fields"], b"1")[0] == 400
    status, _, body = post(form["url"], {**form["fields"], "x-amz-meta-a": "b"}, b"123")
    assert (status, ET.fromstring(body).findtext("Code")) == (403, "AccessDenied")
    assert post(form["url"], {**form["fields"], "key": "other"}, b"123")[0] == 403
    forged = {**form["fields"], "policy": form["fields"]["policy"][:-8] + "AAAAAAA="}
    status, _, body = post(form["url"], forged, b"123")
    assert (status, ET.fromstring(body).findtext("Code")) == (403, "SignatureDoesNotMatch")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_nobody_posts_without_a_signature(s3: Any, bucket: str) -> None:
    url = s3.generate_presigned_post(bucket, "k")["url"]
    assert post(url, {"key": "k"}, b"1")[0] == 403
    assert post(url, {}, b"1")[0] == 400


def test_the_form_chooses_the_answer(s3: Any, bucket: str) -> None:
    status = {"success_action_status": "201"}
    form = s3.generate_presigned_post(bucket, "k", Fields=status, Conditions=[status])
    code, _, body = post(form["url"], form["fields"], b"1")
    assert code == 201
    root = ET.fromstring(body)
    assert {child.tag.rpartition("}")[2]: child.text for child in root}["Key"] == "k"
    redirect = {"success_action_redirect": "http://localhost/done?x=1"}
    form = s3.generate_presigned_post(bucket, "k", Fields=redirect, Conditions=[redirect])
    code, headers, _ = post(form["url"], form["fields"], b"1")
    assert (code, headers["Location"].startswith("http://localhost/done?x=1&bucket=")) == (303, True)


def test_other_conditions_hold(s3: Any, bucket: str) -> None:
    starts = [["starts-with", "$key", "in/"], ["starts-with", "$Content-Type", "image/"]]
    form = s3.generate_presigned_post(bucket, "in/${filename}", Conditions=starts)
    image = {**form["fields"], "Content-Type": "image/png,image/gif"}
    assert post(form["url"], image, b"1", "a.png")[0] == 204
    for change in ({"Content-Type": "text/html"}, {"Content-Type": "image/png,text/html"}, {"key": "out/k"}):
        assert post(form["url"], {**image, **change}, b"1")[0] == 403


def test_a_form_may_bring_tags(s3: Any, bucket: str) -> None:
    form = s3.generate_presigned_post(bucket, "k", Conditions=[["starts-with", "$tagging", ""]])
    pairs = "".join(
        f"<Tag><Key>{key}</Key><Value>{value}</Value></Tag>" for key, value in (("a b", "1&amp;2"), ("c", ""))
    )
    for namespace in ("", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'):
        tagging = f"<Tagging{namespace}><TagSet>{pairs}</TagSet></Tagging>"
        assert post(form["url"], {**form["fields"], "tagging": tagging}, b"1")[0] == 204
        told = s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
        assert told == [{"Key": "a b", "Value": "1&2"}, {"Key": "c", "Value": ""}]
    for wrong in (
        "no",
        "<Tag/>",
        "<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>",
        "<!DOCTYPE a><Tagging/>",
    ):
        assert post(form["url"], {**form["fields"], "tagging": wrong}, b"1")[0] == 400


def test_everybody_posts_into_public_buckets(s3: Any, make_bucket: Any) -> None:
    bucket = make_bucket(ObjectOwnership="ObjectWriter")
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    url = s3.generate_presigned_post(bucket, "k")["url"]
    assert post(url, {"key": "k"}, b"1")[0] == 204
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"
