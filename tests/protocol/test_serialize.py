from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clary.errors import AccessDenied, ServiceError
from clary.http import FileSlice, Reply, Response
from clary.protocol.model import Models
from clary.protocol.route import Router
from clary.protocol.serialize import serialize, serialize_error

from .conftest import Wire, form_request, json_request, s3_request, signed
from .wire import members_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TIME = datetime(2024, 5, 1, 10, 0, 0, 123456, tzinfo=UTC)


def text(response: Response) -> str:
    assert isinstance(response.body, bytes)
    return response.body.decode()


@pytest.mark.parametrize(
    "time",
    [
        TIME,
        TIME.astimezone(timezone(timedelta(hours=2))),
        TIME.timestamp(),
        TIME.isoformat(),
        "2024-05-01T10:00:00.123Z",
    ],
)
def test_timestamps_of_each_protocol(wire: Wire, time: object) -> None:
    response = wire.answer(json_request("SageMaker.DescribeModel", b"{}"), {"CreationTime": time})
    assert json.loads(text(response))["CreationTime"] == pytest.approx(1714557600.123, abs=0.0006)
    response = wire.answer(form_request("iam", b"Action=GetUser"), {"User": {"CreateDate": time}})
    assert "<CreateDate>2024-05-01T10:00:00Z</CreateDate>" in text(response)
    response = wire.answer(s3_request("GET", "/"), {"Buckets": [{"CreationDate": time}]})
    assert "<CreationDate>2024-05-01T10:00:00.123Z</CreationDate>" in text(response)
    response = wire.answer(s3_request("HEAD", "/b/k"), {"LastModified": time})
    assert response.headers["Last-Modified"] == "Wed, 01 May 2024 10:00:00 GMT"


def test_json_answers(wire: Wire) -> None:
    response = wire.answer(
        json_request("SageMaker.DescribeModel", b"{}"), {"ModelName": "m", "VpcConfig": None, "Containers": []}
    )
    assert response.status == 200
    assert response.headers == {
        "x-amzn-RequestId": "the-request-id",
        "Content-Type": "application/x-amz-json-1.1",
    }
    assert response.body == b'{"ModelName":"m","Containers":[]}'
    response = wire.answer(json_request("GraniteServiceVersion20100801.ListMetrics", b"{}"), {})
    assert response.headers["Content-Type"] == "application/x-amz-json-1.0"


def test_numbers_that_json_lacks(wire: Wire) -> None:
    members = {"MetricDataResults": [{"Values": [float("nan"), float("inf"), 1.5]}]}
    response = wire.answer(json_request("GraniteServiceVersion20100801.GetMetricData", b"{}"), members)
    assert json.loads(text(response)) == {"MetricDataResults": [{"Values": ["NaN", "Infinity", 1.5]}]}


def test_unknown_members_are_errors_for_tests_only(wire: Wire) -> None:
    http = json_request("SageMaker.DescribeModel", b"{}")
    with pytest.raises(KeyError, match="ModelNmae"):
        wire.answer(http, {"ModelNmae": "m"})
    with pytest.raises(KeyError, match="Naem"):
        wire.answer(s3_request("GET", "/b"), {"Naem": "b"})
    with pytest.raises(KeyError, match="ETga"):
        wire.answer(s3_request("GET", "/b/k"), {"ETga": "e", "Body": b""})
    lenient = Router(Models(("sagemaker",)), "")
    call = asyncio.run(lenient.route(http))
    assert serialize(call, Reply({"ModelNmae": "m"}), "").body == b"{}"


def test_replies_choose_status_and_headers(wire: Wire) -> None:
    call = wire.route(s3_request("DELETE", "/b/k"))
    assert serialize(call, Reply({}), "").status == 204
    response = serialize(call, Reply({}, 200, {"x-extra": "1"}), "")
    assert (response.status, response.headers["x-extra"]) == (200, "1")


def test_query_answers(wire: Wire) -> None:
    response = wire.answer(form_request("iam", b"Action=GetUser"), {"User": {"UserName": "a&b<c>"}})
    assert text(response) == (
        '<GetUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetUserResult><User>'
        "<UserName>a&amp;b&lt;c&gt;</UserName></User></GetUserResult>"
        "<ResponseMetadata><RequestId>the-request-id</RequestId></ResponseMetadata></GetUserResponse>"
    )
    response = wire.answer(form_request("iam", b"Action=DeleteUser"), {})
    assert "Result" not in text(response)


def test_ec2_answers(wire: Wire) -> None:
    response = wire.answer(form_request("ec2", b"Action=DescribeKeyPairs"), {"KeyPairs": [{"KeyName": "k"}]})
    assert text(response).endswith(
        '<DescribeKeyPairsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>the-request-id</requestId>'
        "<keySet><item><keyName>k</keyName></item></keySet></DescribeKeyPairsResponse>"
    )
    response = wire.answer(form_request("ec2", b"Action=CreateTags"), {})
    assert "<return>true</return>" in text(response)


@pytest.mark.parametrize(
    ("method", "path", "query", "members", "root"),
    [
        ("GET", "/", "", {"Buckets": []}, "ListAllMyBucketsResult"),
        ("GET", "/b", "list-type=2", {"Name": "b"}, "ListBucketResult"),
        ("GET", "/b", "versions", {"Name": "b"}, "ListVersionsResult"),
        ("GET", "/b", "location", {"LocationConstraint": ""}, "LocationConstraint"),
        ("GET", "/b", "versioning", {}, "VersioningConfiguration"),
        ("GET", "/b", "policyStatus", {"PolicyStatus": {"IsPublic": False}}, "PolicyStatus"),
        ("POST", "/b", "delete", {"Deleted": []}, "DeleteResult"),
        ("POST", "/b/k", "uploads", {"UploadId": "u"}, "InitiateMultipartUploadResult"),
        ("POST", "/b/k", "uploadId=u", {"ETag": "e"}, "CompleteMultipartUploadResult"),
        ("GET", "/b/k", "uploadId=u", {"UploadId": "u"}, "ListPartsResult"),
        ("GET", "/b/k", "acl", {"Grants": []}, "AccessControlPolicy"),
        ("GET", "/b/k", "tagging", {"TagSet": []}, "Tagging"),
    ],
)
def test_roots_of_s3(wire: Wire, method: str, path: str, query: str, members: dict[str, Any], root: str) -> None:
    written = text(wire.answer(s3_request(method, path, query), members))
    assert f'?>\n<{root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' in written
    assert written.endswith(f"</{root}>")


def test_copies_have_the_payload_as_root(wire: Wire) -> None:
    http = s3_request("PUT", "/b/k", x_amz_copy_source="/b/o")
    assert "\n<CopyObjectResult xmlns=" in text(wire.answer(http, {"CopyObjectResult": {"ETag": "e"}}))


def test_long_lists_are_written_as_short_ones(wire: Wire) -> None:
    def keys(count: int, **others: object) -> list[dict[str, object]]:
        return [{"Key": f"<{n}>", "Size": n, "LastModified": float(n), **others} for n in range(count)]

    http = s3_request("GET", "/b")
    one_by_one = "".join(
        text(wire.answer(http, {"Contents": [row]})).split("/2006-03-01/")[1][2:].removesuffix("</ListBucketResult>")
        for row in keys(20)
    )
    assert one_by_one in text(wire.answer(http, {"Contents": keys(20)}))
    assert one_by_one in text(wire.answer(http, {"Contents": keys(20, StorageClass=None)}))
    mixed = [*keys(10), *keys(1, StorageClass="STANDARD")]
    assert text(wire.answer(http, {"Contents": mixed})).count("<Contents>") == 11
    owners = [{"Key": "k", "Owner": {"ID": str(n)}} for n in range(10)]
    assert text(wire.answer(http, {"Contents": owners})).count("<Owner><ID>") == 10


def test_characters_that_xml_forbids(wire: Wire) -> None:
    written = text(wire.answer(s3_request("GET", "/b"), {"Prefix": "a\x01\r\n\t\ud7ff\ufffe]]>"}))
    assert "<Prefix>a&#x1;&#xD;\n\t\ud7ff&#xFFFE;]]&gt;</Prefix>" in written


def test_objects(wire: Wire) -> None:
    piece = FileSlice(Path("/x"), 5, 3)
    members = {"Body": piece, "ContentLength": 3, "ContentRange": "bytes 5-7/9", "Metadata": {"a": "1"}, "ETag": '"e"'}
    response = wire.answer(s3_request("GET", "/b/k"), members)
    assert response.status == 206
    assert response.body is piece
    assert response.headers == {
        "x-amz-request-id": "the-request-id",
        "x-amz-id-2": "the-request-id",
        "Content-Length": "3",
        "Content-Range": "bytes 5-7/9",
        "x-amz-meta-a": "1",
        "ETag": '"e"',
        "Content-Type": "application/octet-stream",
    }


def test_headers_stay_one_line_of_latin_1(wire: Wire) -> None:
    response = wire.answer(s3_request("HEAD", "/b/k"), {"ContentType": "a\r\nx: y", "Metadata": {"k": "é"}})
    assert response.headers["Content-Type"] == "a  x: y"
    assert response.headers["x-amz-meta-k"].encode("latin-1").decode() == "é"


def test_an_expiry_that_is_no_date_is_given_back(wire: Wire) -> None:
    assert wire.answer(s3_request("HEAD", "/b/k"), {"Expires": "never"}).headers["Expires"] == "never"


def test_members_in_headers_are_not_in_the_body(wire: Wire) -> None:
    http = s3_request("POST", "/endpoints/e/async-invocations")
    http.headers.update(signed("sagemaker"))
    response = wire.answer(http, {"InferenceId": "i", "OutputLocation": "s3://b/k"})
    assert response.status == 202
    assert response.headers["X-Amzn-SageMaker-OutputLocation"] == "s3://b/k"
    assert response.body == b'{"InferenceId":"i"}'


def test_uploads_of_browsers(wire: Wire) -> None:
    http = s3_request("POST", "/b", content_type="multipart/form-data; boundary=x")
    assert wire.parse(http)["Body"] is http.body
    call = wire.route(http)
    assert serialize(call, Reply({}, 204), "").body == b""
    created = text(serialize(call, Reply({"Bucket": "b", "Key": "k", "ETag": "e"}, 201), ""))
    assert "<Bucket>b</Bucket><Key>k</Key><ETag>e</ETag></PostResponse>" in created


def test_a_stream_that_fails_says_so_in_its_last_frame(wire: Wire) -> None:
    async def events() -> AsyncIterator[dict[str, Any]]:
        yield {"PayloadPart": {"Bytes": b"one"}}
        raise ModelStreamError("broke", ErrorCode="ModelInvocationTimeExceeded")

    http = s3_request("POST", "/endpoints/e/invocations-response-stream")
    http.headers.update(signed("sagemaker"))
    response = wire.answer(http, {"Body": events(), "ContentType": "text/csv"})
    assert response.headers["X-Amzn-SageMaker-Content-Type"] == "text/csv"
    shape = wire.models.operation("sagemaker-runtime", "InvokeEndpointWithResponseStream").output_shape
    stream = iter(members_of(response, "rest-json", shape, "InvokeEndpointWithResponseStream")["Body"])
    assert next(stream) == {"PayloadPart": {"Bytes": b"one"}}
    with pytest.raises(Exception, match=r"ModelStreamError.*broke"):
        next(stream)


class ModelStreamError(ServiceError):
    pass


class ModelError(ServiceError):
    status = 424


class NoSuchKey(ServiceError):
    status = 404


def test_members_of_errors() -> None:
    error = ModelError("Received server error", OriginalStatusCode=500, OriginalMessage="oh")
    response = serialize_error("rest-json", "sagemaker-runtime", error, "id")
    assert response.headers["x-amzn-ErrorType"] == "ModelError"
    assert json.loads(text(response)) == {
        "Message": "Received server error",
        "OriginalStatusCode": 500,
        "OriginalMessage": "oh",
    }
    written = text(serialize_error("rest-xml", "s3", NoSuchKey("gone", Key="a<b"), "id", "GetObject", "/b/a<b"))
    assert "<Key>a&lt;b</Key><Resource>/b/a&lt;b</Resource><RequestId>id</RequestId>" in written


@pytest.mark.parametrize("operation", ["HeadObject", "HeadBucket"])
def test_errors_of_head_have_no_body(operation: str) -> None:
    response = serialize_error("rest-xml", "s3", NoSuchKey("gone"), "id", operation)
    assert (response.status, response.body) == (404, b"")
    assert members_of(response, "rest-xml", None)["Error"] == {"Code": "404", "Message": "Not Found"}


@pytest.mark.parametrize(
    ("protocol", "status"), [("json", 400), ("rest-json", 403), ("query", 403), ("ec2", 403), ("rest-xml", 403)]
)
def test_status_of_denials(protocol: str, status: int) -> None:
    assert serialize_error(protocol, "any", AccessDenied("no"), "id").status == status


def test_cloudwatch_tells_its_old_code_in_a_header() -> None:
    response = serialize_error("json", "cloudwatch", NoSuchKey("gone"), "id")
    assert response.headers["x-amzn-query-error"] == "NoSuchKey;Sender"
