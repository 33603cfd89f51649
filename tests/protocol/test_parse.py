from __future__ import annotations

import gzip
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import RequestEntityTooLarge, ServiceError
from clary.http import BytesBody, Request
from clary.protocol.errors import (
    InvalidArgument,
    InvalidParameterValue,
    MalformedInput,
    MalformedXML,
    SerializationException,
)
from clary.protocol.model import Models
from clary.protocol.route import Router

from .conftest import Wire, form_request, json_request, s3_request, signed


def test_nulls_are_absent(wire: Wire) -> None:
    body = b'{"ModelName":"m","PrimaryContainer":null,"Tags":[null,{"Key":"k","Value":null}],"Unheard":1}'
    assert wire.parse(json_request("SageMaker.CreateModel", body)) == {"ModelName": "m", "Tags": [{"Key": "k"}]}


def test_an_empty_body_is_an_empty_request(wire: Wire) -> None:
    assert wire.parse(json_request("SageMaker.ListModels", b"")) == {}


@pytest.mark.parametrize(
    "written", ["1714557600", "1714557600.0", '"2024-05-01T10:00:00Z"', '"2024-05-01T12:00:00+02:00"']
)
def test_timestamp_formats(wire: Wire, written: str) -> None:
    http = json_request("SageMaker.ListModels", b'{"CreationTimeAfter":%s}' % written.encode())
    assert wire.parse(http) == {"CreationTimeAfter": datetime(2024, 5, 1, 10, tzinfo=UTC)}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"ModelName":1}', "NUMBER_VALUE can not be converted to a String"),
        (b'{"ModelName":true}', "TRUE_VALUE can not be converted to a String"),
        (b'{"ModelName":[]}', "Start of list found where not expected"),
        (b'{"ModelName":{}}', "Start of structure or map found where not expected."),
        (b'{"Tags":"x"}', "Expected list or null"),
        (b'{"VpcConfig":"x"}', "Expected structure or null"),
        (b'{"EnableNetworkIsolation":"yes"}', "STRING_VALUE can not be converted to a Boolean"),
        (b"[]", "Start of list found where not expected"),
        (b"{", "Could not parse the request body as JSON"),
        (b'{"ModelName":"\\ud800"}', "Could not parse the request body as JSON"),
    ],
)
def test_json_of_a_wrong_type(wire: Wire, body: bytes, message: str) -> None:
    with pytest.raises(SerializationException) as raised:
        wire.parse(json_request("SageMaker.CreateModel", body))
    assert raised.value.message.startswith(message)


@pytest.mark.parametrize("number", [b"1.5", b'"1"', b"99999999999", b"1e30", b"true"])
def test_json_numbers_that_are_no_integer(wire: Wire, number: bytes) -> None:
    with pytest.raises(SerializationException):
        wire.parse(json_request("SageMaker.ListModels", b'{"MaxResults":%s}' % number))


def test_compressed_bodies(wire: Wire) -> None:
    http = json_request("GraniteServiceVersion20100801.ListMetrics", gzip.compress(b'{"Namespace":"n"}'))
    http.headers["content-encoding"] = "gzip"
    assert wire.parse(http) == {"Namespace": "n"}
    bomb = json_request("GraniteServiceVersion20100801.ListMetrics", gzip.compress(b" " * (17 << 20)))
    bomb.headers["content-encoding"] = "gzip"
    with pytest.raises(RequestEntityTooLarge):
        wire.parse(bomb)


def test_bodies_above_the_limit(wire: Wire) -> None:
    with pytest.raises(RequestEntityTooLarge):
        wire.parse(json_request("SageMaker.ListModels", b" " * (16 << 20) + b"{}"))


def test_input_of_an_inference_is_bytes(wire: Wire) -> None:
    headers = {**signed("sagemaker"), "content-type": "text/csv", "x-amzn-sagemaker-target-variant": "v"}
    http = Request("POST", "/endpoints/e/invocations", "", headers, BytesBody(b"1,2"))
    assert wire.parse(http) == {
        "EndpointName": "e",
        "ContentType": "text/csv",
        "TargetVariant": "v",
        "Body": b"1,2",
    }


def test_repeated_query_fields(wire: Wire) -> None:
    query = "RecordIdentifierValueAsString=a%2Bb+c&FeatureName=x&FeatureName=y"
    http = Request("GET", "/FeatureGroup/f", query, signed("sagemaker"), BytesBody(b""))
    assert wire.parse(http) == {
        "FeatureGroupName": "f",
        "RecordIdentifierValueAsString": "a+b c",
        "FeatureNames": ["x", "y"],
    }


def test_a_body_does_not_replace_what_the_address_says(wire: Wire) -> None:
    body = b'{"FeatureGroupName":"other","Record":[]}'
    http = Request("PUT", "/FeatureGroup/f", "", signed("sagemaker"), BytesBody(body))
    assert wire.parse(http) == {"FeatureGroupName": "f", "Record": []}


def test_a_streaming_member_is_the_body_itself(wire: Wire) -> None:
    body = BytesBody(b"content")
    assert wire.parse(s3_request("PUT", "/b/k", body=body))["Body"] is body


def test_header_maps_lists_and_dates(wire: Wire) -> None:
    members = wire.parse(
        s3_request(
            "GET",
            "/b/k",
            "attributes",
            x_amz_object_attributes='ETag, "ObjectParts" ,Checksum',
            if_modified_since="Wed, 01 May 2024 10:00:00 GMT",
        )
    )
    assert members["ObjectAttributes"] == ["ETag", "ObjectParts", "Checksum"]
    members = wire.parse(s3_request("GET", "/b/k", if_modified_since="Wed, 01 May 2024 10:00:00 GMT"))
    assert members["IfModifiedSince"] == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert "IfModifiedSince" not in wire.parse(s3_request("GET", "/b/k", if_modified_since="yesterday"))
    members = wire.parse(s3_request("PUT", "/b/k", x_amz_meta_a_b="1", x_amz_meta_c=""))
    assert members["Metadata"] == {"a-b": "1", "c": ""}
    assert "Metadata" not in wire.parse(s3_request("PUT", "/b/k"))


def test_presigned_headers_in_the_query_string(wire: Wire) -> None:
    members = wire.parse(s3_request("PUT", "/b/k", "x-amz-meta-a=1&X-Amz-Storage-Class=GLACIER", x_amz_meta_a="2"))
    assert members["Metadata"] == {"a": "2"}
    assert members["StorageClass"] == "GLACIER"


def test_s3_documents(wire: Wire) -> None:
    body = BytesBody(
        b'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>a&amp;b</Key></Object>'
        b"<Object><Key> c </Key><VersionId>v</VersionId></Object><Quiet>true</Quiet></Delete>"
    )
    members = wire.parse(s3_request("POST", "/b", "delete", body))
    assert members["Delete"] == {"Objects": [{"Key": "a&b"}, {"Key": " c ", "VersionId": "v"}], "Quiet": True}
    assert "Delete" not in wire.parse(s3_request("POST", "/b", "delete"))


def test_xml_attributes(wire: Wire) -> None:
    body = BytesBody(
        b"<AccessControlPolicy><AccessControlList><Grant>"
        b'<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>1</ID></Grantee>'
        b"<Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>"
    )
    members = wire.parse(s3_request("PUT", "/b", "acl", body))
    grant = {"Grantee": {"Type": "CanonicalUser", "ID": "1"}, "Permission": "READ"}
    assert members["AccessControlPolicy"] == {"Grants": [grant]}


@pytest.mark.parametrize(
    "body",
    [
        b"<Delete>",
        b"no xml",
        b"\xff\xfe",
        b'<!DOCTYPE a [<!ENTITY b "c">]><Delete><Object><Key>&b;</Key></Object></Delete>',
        b"<Delete><Quiet>maybe</Quiet></Delete>",
    ],
)
def test_documents_that_s3_refuses(wire: Wire, body: bytes) -> None:
    with pytest.raises(MalformedXML):
        wire.parse(s3_request("POST", "/b", "delete", BytesBody(body)))


def test_fields_that_s3_refuses(wire: Wire) -> None:
    with pytest.raises(InvalidArgument) as raised:
        wire.parse(s3_request("GET", "/b", "max-keys=many"))
    assert raised.value.message == "Provided max-keys not an integer or within integer range"
    assert raised.value.members == {"ArgumentName": "max-keys", "ArgumentValue": "many"}


def test_lists_of_forms_in_the_order_of_their_numbers(wire: Wire) -> None:
    form = b"&".join(b"Tags.member.%d.Key=k%d&Tags.member.%d.Value=" % (n, n, n) for n in (10, 2, 1))
    members = wire.parse(form_request("iam", b"Action=TagRole&RoleName=r&" + form))
    assert members == {"RoleName": "r", "Tags": [{"Key": f"k{n}", "Value": ""} for n in (1, 2, 10)]}


def test_empty_lists_of_forms(wire: Wire) -> None:
    assert wire.parse(form_request("iam", b"Action=TagRole&Tags=")) == {"Tags": []}


def test_names_of_ec2(wire: Wire) -> None:
    form = (
        b"Action=RunInstances&MinCount=1&MaxCount=2&SecurityGroupId.1=sg-1&TagSpecification.1.ResourceType=instance"
        b"&TagSpecification.1.Tag.1.Key=Name&TagSpecification.1.Tag.1.Value=a+b&Monitoring.Enabled=true"
        b"&BlockDeviceMapping.1.Ebs.VolumeSize=8"
    )
    assert wire.parse(form_request("ec2", form)) == {
        "MinCount": 1,
        "MaxCount": 2,
        "SecurityGroupIds": ["sg-1"],
        "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "a b"}]}],
        "Monitoring": {"Enabled": True},
        "BlockDeviceMappings": [{"Ebs": {"VolumeSize": 8}}],
    }


@pytest.mark.parametrize(
    ("service", "form", "error"),
    [
        ("iam", b"Action=ListRoles&MaxItems=ten", MalformedInput),
        ("iam", b"Action=ListRoles&MaxItems.a=1", MalformedInput),
        ("iam", b"Action=TagRole&Tags.member.x.Key=1", MalformedInput),
        ("iam", b"Action=TagRole&Tags=1&Tags.member.1.Key=1", MalformedInput),
        ("iam", b"Action=TagRole&Tags.member.1.Key=1&Tags.member.1=1", MalformedInput),
        ("iam", b"Action=TagRole&Tags." + b"a." * 100 + b"=1", MalformedInput),
        ("ec2", b"Action=RunInstances&MinCount=one", InvalidParameterValue),
    ],
)
def test_forms_that_cannot_be_read(wire: Wire, service: str, form: bytes, error: type[ServiceError]) -> None:
    with pytest.raises(error):
        wire.parse(form_request(service, form))


FUZZED = [
    json_request("SageMaker.CreateModel", b""),
    json_request("AWSGlue.CreateTable", b""),
    form_request("iam", b""),
    form_request("ec2", b""),
    s3_request("POST", "/b", "delete"),
    Request("PUT", "/FeatureGroup/f", "", signed("sagemaker"), BytesBody(b"")),
    Request(
        "POST",
        "/service/GraniteServiceVersion20100801/operation/PutMetricData",
        "",
        {"smithy-protocol": "x"},
        BytesBody(b""),
    ),
]
ROUTING = Router(Models(("sagemaker", "glue", "iam", "ec2", "s3", "sagemaker-featurestore-runtime", "cloudwatch")), "")


@given(st.sampled_from(FUZZED), st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(http: Request, body: bytes) -> None:
    wire = Wire(Models(()), ROUTING)
    action = b"Action=CreateUser&" if "form" in http.headers.get("content-type", "") else b""
    http.body = BytesBody(action + body)
    with suppress(ServiceError):
        wire.parse(http)


@pytest.mark.parametrize("deep", [b'{"Filters":' * 5000, b'{"SearchExpression":{"SubExpressions":[' * 5000])
def test_deep_documents_are_refused(wire: Wire, deep: bytes) -> None:
    with pytest.raises(SerializationException):
        wire.parse(json_request("SageMaker.Search", deep))
    nested = b'{"SearchExpression":' + b'{"SubExpressions":[' * 400 + b"]}" * 400 + b"}"
    with pytest.raises(SerializationException):
        wire.parse(json_request("SageMaker.Search", nested))
