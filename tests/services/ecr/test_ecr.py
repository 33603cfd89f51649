from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.oci import INDEX, MANIFEST, digest, image, layer

if TYPE_CHECKING:
    from tests.cloud import Cloud
    from tests.oci import Registry

NAME = "team/model"
HELLO = layer(("hello", b"hello"))
REGION, ACCOUNT = "eu-west-1", "123456789012"
ARN = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{NAME}"


def refused(call: Any, **request: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**request)
    return str(caught.value.response["Error"]["Code"])


def test_a_repository_tells_where_to_push(ecr: Any) -> None:
    made = ecr.create_repository(repositoryName=NAME, tags=[{"Key": "team", "Value": "a"}])["repository"]
    assert made["repositoryUri"] == f"127.0.0.1:4100/{NAME}"
    assert (made["repositoryArn"], made["registryId"], made["imageTagMutability"]) == (ARN, ACCOUNT, "MUTABLE")
    assert ecr.describe_repositories()["repositories"] == [made]
    assert ecr.list_tags_for_resource(resourceArn=ARN)["tags"] == [{"Key": "team", "Value": "a"}]


def test_errors_are_those_of_aws(ecr: Any) -> None:
    ecr.create_repository(repositoryName=NAME)
    assert refused(ecr.create_repository, repositoryName=NAME) == "RepositoryAlreadyExistsException"
    assert refused(ecr.create_repository, repositoryName="Capitals") == "InvalidParameterException"
    for call in (ecr.delete_repository, ecr.list_images, ecr.describe_images, ecr.get_repository_policy):
        assert refused(call, repositoryName="nowhere") == "RepositoryNotFoundException"
    assert refused(ecr.describe_repositories, repositoryNames=["nowhere"]) == "RepositoryNotFoundException"
    assert refused(ecr.list_images, repositoryName=NAME, registryId="999999999999") == "RepositoryNotFoundException"
    assert refused(ecr.get_repository_policy, repositoryName=NAME) == "RepositoryPolicyNotFoundException"
    assert refused(ecr.get_lifecycle_policy, repositoryName=NAME) == "LifecyclePolicyNotFoundException"
    assert refused(ecr.list_tags_for_resource, resourceArn=f"{ARN}x") == "RepositoryNotFoundException"
    assert refused(ecr.list_images, repositoryName=NAME, nextToken="?") == "InvalidParameterException"


@pytest.mark.parametrize(
    "option",
    [
        {"encryptionConfiguration": {"encryptionType": "KMS"}},
        {"imageTagMutability": "IMMUTABLE_WITH_EXCLUSION"},
        {"registryId": "999999999999"},
    ],
)
def test_what_is_not_supported_is_refused(ecr: Any, option: dict[str, Any]) -> None:
    assert refused(ecr.create_repository, repositoryName=NAME, **option) == "NotImplemented"
    assert ecr.describe_repositories()["repositories"] == []


def test_repositories_come_in_pages(ecr: Any) -> None:
    names = [f"r{number}" for number in range(5)]
    for name in names:
        ecr.create_repository(repositoryName=name)
    pages = ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 2})
    assert [each["repositoryName"] for page in pages for each in page["repositories"]] == names


def test_images_can_be_described(ecr: Any, registry: Registry) -> None:
    pushed = image(HELLO)
    registry.push(NAME, pushed, "v1")
    registry.push(NAME, pushed, "v2")
    registry.push(NAME, image(HELLO, User="1"), "moved")
    registry.push(NAME, image(HELLO, User="2"), "moved")
    details = ecr.describe_images(repositoryName=NAME)["imageDetails"]
    assert len(details) == 3
    (found,) = [detail for detail in details if detail["imageDigest"] == pushed.digest]
    assert found["imageTags"] == ["v1", "v2"]
    assert found["imageSizeInBytes"] == len(HELLO) + len(pushed.config)
    tagged = ecr.list_images(repositoryName=NAME, filter={"tagStatus": "TAGGED"})["imageIds"]
    assert {each["imageTag"] for each in tagged} == {"v1", "v2", "moved"}
    assert len(ecr.list_images(repositoryName=NAME, filter={"tagStatus": "UNTAGGED"})["imageIds"]) == 1
    assert refused(ecr.describe_images, repositoryName=NAME, imageIds=[{"imageTag": "x"}]) == "ImageNotFoundException"


def test_images_can_be_got_and_put_elsewhere(ecr: Any, registry: Registry) -> None:
    pushed = image(HELLO)
    registry.push(NAME, pushed, "v1")
    asked = [{"imageTag": "v1"}, {"imageTag": "absent"}, {"imageDigest": pushed.digest}]
    answer = ecr.batch_get_image(repositoryName=NAME, imageIds=asked)
    assert [each["imageManifest"].encode() for each in answer["images"]] == [pushed.manifest] * 2
    assert [each["failureCode"] for each in answer["failures"]] == ["ImageNotFound"]
    text = answer["images"][0]["imageManifest"]
    ecr.put_image(repositoryName=NAME, imageManifest=text, imageTag="v2")
    assert refused(ecr.put_image, repositoryName=NAME, imageManifest=text, imageTag="v2") == (
        "ImageAlreadyExistsException"
    )
    assert registry.pull(NAME, "v2").manifest == pushed.manifest


def test_tags_may_be_immutable(ecr: Any, registry: Registry) -> None:
    ecr.put_image_tag_mutability(repositoryName=NAME, imageTagMutability="IMMUTABLE")
    assert registry.push(NAME, image(HELLO), "v1").status == 201
    assert registry.push(NAME, image(HELLO), "v1").status == 201
    answer = registry.push(NAME, image(HELLO, User="1"), "v1")
    assert (answer.status, answer.code) == (400, "TAG_INVALID")
    assert "because the tag is immutable" in answer.body.decode()


def test_an_image_goes_with_its_last_tag(ecr: Any, registry: Registry) -> None:
    pushed = image(HELLO)
    for tag in ("v1", "v2"):
        registry.push(NAME, pushed, tag)
    for tag, left in (("v1", 1), ("v2", 0)):
        gone = ecr.batch_delete_image(repositoryName=NAME, imageIds=[{"imageTag": tag}])["imageIds"]
        assert gone == [{"imageDigest": pushed.digest, "imageTag": tag}]
        assert len(ecr.describe_images(repositoryName=NAME)["imageDetails"]) == left
    absent = ecr.batch_delete_image(repositoryName=NAME, imageIds=[{"imageTag": "v1"}])
    assert absent["failures"][0]["failureCode"] == "ImageNotFound"


def test_an_image_goes_by_its_digest_with_all_tags(ecr: Any, registry: Registry) -> None:
    pushed = image(HELLO)
    for tag in ("v1", "v2"):
        registry.push(NAME, pushed, tag)
    gone = ecr.batch_delete_image(repositoryName=NAME, imageIds=[{"imageDigest": pushed.digest}])["imageIds"]
    assert [each["imageTag"] for each in gone] == ["v1", "v2"]
    assert json.loads(registry("GET", f"/v2/{NAME}/tags/list").body)["tags"] == []


def test_an_image_stays_as_long_as_a_list_names_it(ecr: Any, registry: Registry) -> None:
    one = image(HELLO)
    registry.push(NAME, one, "one")
    entry = {"mediaType": MANIFEST, "digest": one.digest, "size": len(one.manifest)}
    text = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]})
    ecr.put_image(repositoryName=NAME, imageManifest=text, imageTag="all")
    answer = ecr.batch_delete_image(repositoryName=NAME, imageIds=[{"imageDigest": one.digest}, {"imageTag": "one"}])
    assert [each["failureCode"] for each in answer["failures"]] == ["ImageReferencedByManifestList"]
    assert answer["imageIds"] == [{"imageDigest": one.digest, "imageTag": "one"}]
    assert registry.pull(NAME, one.digest).manifest == one.manifest
    ecr.batch_delete_image(repositoryName=NAME, imageIds=[{"imageTag": "all"}])
    ecr.batch_delete_image(repositoryName=NAME, imageIds=[{"imageDigest": one.digest}])
    assert ecr.list_images(repositoryName=NAME)["imageIds"] == []


def test_a_repository_with_images_goes_only_by_force(cloud: Cloud, ecr: Any, registry: Registry) -> None:
    registry.push(NAME, image(HELLO))
    assert refused(ecr.delete_repository, repositoryName=NAME) == "RepositoryNotEmptyException"
    ecr.delete_repository(repositoryName=NAME, force=True)
    assert ecr.describe_repositories()["repositories"] == []
    assert cloud.parts.platform.objects.index.is_empty(f"ecr/{ACCOUNT}/{REGION}")
    ecr.create_repository(repositoryName=NAME)
    assert registry("GET", f"/v2/{NAME}/tags/list").body == json.dumps({"name": NAME, "tags": []}).encode().replace(
        b" ", b""
    )


def test_layers_can_be_uploaded_by_the_api(ecr: Any, registry: Registry) -> None:
    upload = ecr.initiate_layer_upload(repositoryName=NAME)
    named = {"repositoryName": NAME, "uploadId": upload["uploadId"]}
    half = len(HELLO) // 2
    part = ecr.upload_layer_part(**named, partFirstByte=0, partLastByte=half - 1, layerPartBlob=HELLO[:half])
    assert part["lastByteReceived"] == half - 1
    gap = {"partFirstByte": half + 1, "partLastByte": len(HELLO) - 1, "layerPartBlob": HELLO[half + 1 :]}
    assert refused(ecr.upload_layer_part, **named, **gap) == "InvalidLayerPartException"
    ecr.upload_layer_part(**named, partFirstByte=half, partLastByte=len(HELLO) - 1, layerPartBlob=HELLO[half:])
    ecr.complete_layer_upload(**named, layerDigests=[digest(HELLO)])
    assert registry("GET", f"/v2/{NAME}/blobs/{digest(HELLO)}").body == HELLO
    found = ecr.batch_check_layer_availability(repositoryName=NAME, layerDigests=[digest(HELLO), digest(b"x")])
    assert [each["layerAvailability"] for each in found["layers"]] == ["AVAILABLE", "UNAVAILABLE"]


def test_an_upload_by_the_api_can_fail(ecr: Any, registry: Registry) -> None:
    named = {"repositoryName": NAME, "uploadId": ecr.initiate_layer_upload(repositoryName=NAME)["uploadId"]}
    assert refused(ecr.complete_layer_upload, **named, layerDigests=[digest(HELLO)]) == "EmptyUploadException"
    ecr.upload_layer_part(**named, partFirstByte=0, partLastByte=len(HELLO) - 1, layerPartBlob=HELLO)
    assert refused(ecr.complete_layer_upload, **named, layerDigests=[digest(b"x")]) == "InvalidLayerException"
    assert refused(ecr.complete_layer_upload, **named, layerDigests=[digest(HELLO)]) == "UploadNotFoundException"


def test_a_repository_policy_counts(cloud: Cloud, ecr: Any, registry: Registry) -> None:
    registry.push(NAME, image(HELLO), "v1")
    iam = cloud.client("iam")
    iam.create_user(UserName="ada")
    theirs = cloud.client("ecr", iam.create_access_key(UserName="ada")["AccessKey"])
    asked = {"repositoryName": NAME, "imageIds": [{"imageTag": "v1"}]}
    assert refused(theirs.batch_get_image, **asked) == "AccessDeniedException"
    principal = {"AWS": f"arn:aws:iam::{ACCOUNT}:user/ada"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "ecr:BatchGetImage"}
    text = json.dumps({"Version": "2012-10-17", "Statement": statement})
    assert ecr.set_repository_policy(repositoryName=NAME, policyText=text)["policyText"] == text
    assert ecr.get_repository_policy(repositoryName=NAME)["policyText"] == text
    assert len(theirs.batch_get_image(**asked)["images"]) == 1
    ecr.delete_repository_policy(repositoryName=NAME)
    assert refused(theirs.batch_get_image, **asked) == "AccessDeniedException"
    assert refused(ecr.set_repository_policy, repositoryName=NAME, policyText="{") == "InvalidParameterException"


def test_tags_and_lifecycle_policies_are_kept(ecr: Any, registry: Registry) -> None:
    ecr.tag_resource(resourceArn=ARN, tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    ecr.untag_resource(resourceArn=ARN, tagKeys=["a"])
    assert ecr.list_tags_for_resource(resourceArn=ARN)["tags"] == [{"Key": "b", "Value": "2"}]
    ecr.put_lifecycle_policy(repositoryName=NAME, lifecyclePolicyText='{"rules": []}' + " " * 100)
    assert ecr.get_lifecycle_policy(repositoryName=NAME)["lifecyclePolicyText"].startswith('{"rules"')
    ecr.delete_lifecycle_policy(repositoryName=NAME)
    assert refused(ecr.get_lifecycle_policy, repositoryName=NAME) == "LifecyclePolicyNotFoundException"
