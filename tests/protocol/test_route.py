from __future__ import annotations

import pytest

from clary.http import BytesBody, Request
from clary.protocol.errors import (
    InvalidAction,
    InvalidURI,
    MethodNotAllowed,
    MissingAction,
    RequestTooLarge,
    RoutingError,
    UnknownOperationException,
    UnknownService,
)
from clary.protocol.parse import BODY_LIMIT_BYTES

from .conftest import Wire, form_request, json_request, s3_request, signed


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "operation"),
    [
        ("GET", "/", "", {}, "ListBuckets"),
        ("GET", "/b", "", {}, "ListObjects"),
        ("GET", "/b/", "list-type=2&prefix=a", {}, "ListObjectsV2"),
        ("GET", "/b", "list-type=1", {}, "ListObjects"),
        ("GET", "/b", "versions", {}, "ListObjectVersions"),
        ("GET", "/b", "uploads=", {}, "ListMultipartUploads"),
        ("GET", "/b", "location", {}, "GetBucketLocation"),
        ("GET", "/b", "lifecycle", {}, "GetBucketLifecycleConfiguration"),
        ("GET", "/b", "inventory", {}, "ListBucketInventoryConfigurations"),
        ("GET", "/b", "inventory&id=1", {}, "GetBucketInventoryConfiguration"),
        ("HEAD", "/b", "", {}, "HeadBucket"),
        ("PUT", "/b", "", {}, "CreateBucket"),
        ("PUT", "/b", "versioning", {}, "PutBucketVersioning"),
        ("POST", "/b", "delete", {}, "DeleteObjects"),
        ("POST", "/b", "", {"content_type": "multipart/form-data; boundary=x"}, "PostObject"),
        ("OPTIONS", "/b/k", "", {}, "OptionsObject"),
        ("GET", "/b/k", "", {}, "GetObject"),
        ("GET", "/b/k", "partNumber=1", {}, "GetObject"),
        ("GET", "/b/k", "x-id=GetObject", {}, "GetObject"),
        ("GET", "/b/k", "attributes", {}, "GetObjectAttributes"),
        ("GET", "/b/k", "uploadId=u", {}, "ListParts"),
        ("PUT", "/b/k", "", {}, "PutObject"),
        ("PUT", "/b/k", "", {"x_amz_copy_source": "/b/o"}, "CopyObject"),
        ("PUT", "/b/k", "partNumber=1&uploadId=u", {}, "UploadPart"),
        ("PUT", "/b/k", "partNumber=1&uploadId=u", {"x_amz_copy_source": "/b/o"}, "UploadPartCopy"),
        ("POST", "/b/k", "uploads", {}, "CreateMultipartUpload"),
        ("POST", "/b/k", "uploadId=u", {}, "CompleteMultipartUpload"),
        ("POST", "/b/k", "select&select-type=2", {}, "SelectObjectContent"),
        ("DELETE", "/b/k", "uploadId=u", {}, "AbortMultipartUpload"),
        ("DELETE", "/b/k", "versionId=v", {}, "DeleteObject"),
    ],
)
def test_s3_operations(wire: Wire, method: str, path: str, query: str, headers: dict[str, str], operation: str) -> None:
    assert wire.route(s3_request(method, path, query, None, **headers)).operation == operation


@pytest.mark.parametrize(
    ("path", "host", "bucket", "key"),
    [
        ("/b/a%20b", "127.0.0.1:4100", "b", "a b"),
        ("/b/a+b", "127.0.0.1:4100", "b", "a+b"),
        ("/b/a%2Fb//c/", "localhost", "b", "a/b//c/"),
        ("/b//a", "localhost", "b", "/a"),
        ("/b/%C3%A9%25", "localhost", "b", "é%"),
        ("/b/../c", "localhost", "b", "../c"),
        ("/a/b", "my.bucket.s3.test:4100", "my.bucket", "a/b"),
        ("/a/b", "S3.test", "a", "b"),
    ],
)
def test_bucket_and_key(wire: Wire, path: str, host: str, bucket: str, key: str) -> None:
    call = wire.route(s3_request("GET", path, host=host))
    assert call.parameters == {"Bucket": bucket, "Key": key}


@pytest.mark.parametrize(
    "http",
    [
        Request("GET", "/b/k", "", {}, BytesBody(b"")),
        Request("GET", "/b/k", "AWSAccessKeyId=AK&Signature=x&Expires=1", {}, BytesBody(b"")),
        Request("GET", "/b/k", "X-Amz-Credential=AK%2F20240101%2Feu-central-1%2Fs3%2Faws4_request", {}, BytesBody(b"")),
        Request("GET", "/b/k", "", {"authorization": "AWS AK:signature"}, BytesBody(b"")),
    ],
)
def test_requests_without_a_scope_are_s3s(wire: Wire, http: Request) -> None:
    assert wire.route(http).operation == "GetObject"


def test_the_target_names_the_operation_whatever_the_signature(wire: Wire) -> None:
    call = wire.route(json_request("GraniteServiceVersion20100801.PutMetricData", b"{}"))
    assert (call.service, call.operation, call.protocol) == ("cloudwatch", "PutMetricData", "json")


@pytest.mark.parametrize(
    ("method", "path", "service", "operation", "labels"),
    [
        ("POST", "/endpoints/a%20b/invocations", "sagemaker-runtime", "InvokeEndpoint", {"EndpointName": "a b"}),
        ("PUT", "/FeatureGroup/f", "sagemaker-featurestore-runtime", "PutRecord", {"FeatureGroupName": "f"}),
        ("PUT", "/BatchPutMetrics", "sagemaker-metrics", "BatchPutMetrics", {}),
    ],
)
def test_services_that_share_a_signing_name_are_told_by_path(
    wire: Wire, method: str, path: str, service: str, operation: str, labels: dict[str, str]
) -> None:
    call = wire.route(Request(method, path, "", signed("sagemaker"), BytesBody(b"{}")))
    assert (call.service, call.operation, call.parameters) == (service, operation, labels)


def test_query_services_in_body_and_address(wire: Wire) -> None:
    assert wire.route(form_request("iam", b"Action=GetRole&RoleName=r")).operation == "GetRole"
    assert wire.route(form_request("ec2", b"Action=DescribeVpcs")).protocol == "ec2"
    assert wire.route(form_request("monitoring", b"Action=ListMetrics")).protocol == "query"
    presigned = "Action=GetCallerIdentity&X-Amz-Credential=AK/20240101/us-east-1/sts/aws4_request"
    assert wire.route(Request("GET", "/", presigned, {}, BytesBody(b""))).operation == "GetCallerIdentity"


def test_unsigned_forms_are_told_by_their_version(wire: Wire) -> None:
    http = form_request("sts", b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15")
    del http.headers["authorization"]
    assert wire.route(http).service == "sts"


def test_a_form_stays_readable_after_routing(wire: Wire) -> None:
    http = form_request("iam", b"Action=GetRole&RoleName=r")
    wire.route(http)
    assert isinstance(http.body, BytesBody)
    assert http.body.content == b"Action=GetRole&RoleName=r"


@pytest.mark.parametrize(
    ("http", "error", "protocol"),
    [
        (json_request("SageMaker.Dance", b"{}"), UnknownOperationException, "json"),
        (json_request("Unheard.Dance", b"{}"), UnknownOperationException, "json"),
        (form_request("iam", b"Action=Dance"), InvalidAction, "query"),
        (form_request("ec2", b"Action=Dance"), InvalidAction, "ec2"),
        (form_request("iam", b"nothing"), MissingAction, "query"),
        (form_request("iam", b"a" * (BODY_LIMIT_BYTES + 1)), RequestTooLarge, "query"),
        (form_request("sns", b"Action=Publish"), UnknownService, "query"),
        (Request("GET", "/2015-03-31/functions", "", signed("lambda"), BytesBody(b"")), UnknownService, "rest-json"),
        (Request("GET", "/nowhere", "", signed("sagemaker"), BytesBody(b"")), UnknownOperationException, "rest-json"),
        (s3_request("POST", "/b/k"), MethodNotAllowed, "rest-xml"),
        (s3_request("PATCH", "/b"), MethodNotAllowed, "rest-xml"),
        (s3_request("GET", "/b/%FF"), InvalidURI, "rest-xml"),
    ],
)
def test_what_is_no_operation(wire: Wire, http: Request, error: type[RoutingError], protocol: str) -> None:
    with pytest.raises(error) as raised:
        wire.route(http)
    assert raised.value.protocol == protocol


def test_the_sentence_for_an_unknown_action(wire: Wire) -> None:
    with pytest.raises(InvalidAction, match=r"^The action Dance is not valid for this web service\.$"):
        wire.route(form_request("sts", b"Action=Dance"))
