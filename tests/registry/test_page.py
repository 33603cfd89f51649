from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.oci import MANIFEST, Registry, digest, image, layer, token
from tests.services.ecr.conftest import ecr, registry, send

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cloud import Cloud
    from tests.oci import Told

__all__ = ["ecr", "registry", "send"]

REPOSITORY = "team/model"
HELLO = layer(("hello", b"hello"), ("folder", None))
LARGE = bytes(range(256)) * 1024


def user(cloud: Cloud, *actions: str, resource: str = "*") -> dict[str, Any]:
    iam = cloud.client("iam")
    iam.create_user(UserName="ada")
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    iam.put_user_policy(UserName="ada", PolicyName="p", PolicyDocument=document)
    keys: dict[str, Any] = iam.create_access_key(UserName="ada")["AccessKey"]
    return keys


def test_what_was_pushed_is_pulled(registry: Registry) -> None:
    pushed = image(HELLO, LARGE, Entrypoint=["/hello"])
    answer = registry.push(REPOSITORY, pushed, "v1")
    assert answer.status == 201
    assert answer.headers["docker-content-digest"] == pushed.digest
    for reference in ("v1", pushed.digest):
        pulled = registry.pull(REPOSITORY, reference)
        assert (pulled.manifest, pulled.config, pulled.layers) == (pushed.manifest, pushed.config, [HELLO, LARGE])


def test_an_image_may_be_pushed_again(registry: Registry) -> None:
    pushed = image(HELLO)
    assert [registry.push(REPOSITORY, pushed).status for _ in range(2)] == [201, 201]


def test_a_tag_leads_to_the_last_image(registry: Registry) -> None:
    registry.push(REPOSITORY, image(HELLO))
    newer = image(HELLO, User="1000")
    registry.push(REPOSITORY, newer)
    assert registry("HEAD", f"/v2/{REPOSITORY}/manifests/latest").headers["docker-content-digest"] == newer.digest


def test_the_head_of_a_manifest_tells_what_the_whole_would(registry: Registry) -> None:
    pushed = image(HELLO)
    registry.push(REPOSITORY, pushed)
    head = registry("HEAD", f"/v2/{REPOSITORY}/manifests/latest")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-type"] == MANIFEST
    assert head.headers["content-length"] == str(len(pushed.manifest))


def test_everybody_must_say_who_they_are(send: Callable[..., Told], registry: Registry) -> None:
    for wrong in ("", token("AWS", "nonsense"), token("root", "x"), "!"):
        answer = Registry(send, wrong)("GET", "/v2/")
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
        assert answer.headers["www-authenticate"].startswith('Basic realm="http://127.0.0.1:4100/"')
    assert registry("GET", "/v2/").status == 200


def test_a_token_ends_after_twelve_hours(cloud: Cloud, registry: Registry) -> None:
    cloud.clock.shift = timedelta(hours=11, minutes=59)
    assert registry("GET", "/v2/").status == 200
    cloud.clock.shift = timedelta(hours=12, minutes=1)
    assert registry("GET", "/v2/").status == 401


def test_a_token_ends_with_its_user(cloud: Cloud, ecr: Any, send: Callable[..., Told]) -> None:
    keys = user(cloud, "ecr:*")
    theirs = Registry.of(send, cloud.client("ecr", keys))
    assert theirs("GET", "/v2/").status == 200
    iam = cloud.client("iam")
    iam.delete_access_key(UserName="ada", AccessKeyId=keys["AccessKeyId"])
    iam.delete_user_policy(UserName="ada", PolicyName="p")
    iam.delete_user(UserName="ada")
    assert theirs("GET", "/v2/").status == 401


def test_a_token_opens_nothing_but_the_registry(cloud: Cloud, ecr: Any) -> None:
    data = ecr.get_authorization_token()["authorizationData"][0]
    word = base64.b64decode(data["authorizationToken"]).decode().removeprefix("AWS:")
    assert cloud.root["aws_secret_access_key"] not in base64.urlsafe_b64decode(word).decode()
    assert data["proxyEndpoint"] == "http://127.0.0.1:4100"


def test_who_may_only_pull_cannot_push(cloud: Cloud, registry: Registry, send: Callable[..., Told]) -> None:
    registry.push(REPOSITORY, image(HELLO))
    keys = user(
        cloud, "ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer",
        "ecr:BatchCheckLayerAvailability",
    )  # fmt: skip
    reader = Registry.of(send, cloud.client("ecr", keys))
    assert reader.pull(REPOSITORY).layers == [HELLO]
    refused = reader("POST", f"/v2/{REPOSITORY}/blobs/uploads/")
    assert (refused.status, refused.code) == (403, "DENIED")
    assert "ecr:InitiateLayerUpload" in refused.body.decode()
    refused = reader("PUT", f"/v2/{REPOSITORY}/manifests/x", image(HELLO).manifest)
    assert (refused.status, refused.code) == (403, "DENIED")


def test_a_permission_may_be_for_one_repository(
    cloud: Cloud, ecr: Any, registry: Registry, send: Callable[..., Told]
) -> None:
    ecr.create_repository(repositoryName="other")
    for name in (REPOSITORY, "other"):
        registry.push(name, image(HELLO))
    arn = f"arn:aws:ecr:eu-west-1:123456789012:repository/{REPOSITORY}"
    keys = user(cloud, "ecr:BatchGetImage", resource=arn)
    password = Registry.of(send, ecr)  # of root, so that the user need not be allowed to get one
    assert password("GET", "/v2/other/manifests/latest").status == 200
    cloud.client("iam").put_user_policy(
        UserName="ada", PolicyName="token",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": {
            "Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"}}),
    )  # fmt: skip
    theirs = Registry.of(send, cloud.client("ecr", keys))
    assert theirs("GET", f"/v2/{REPOSITORY}/manifests/latest").status == 200
    assert theirs("GET", "/v2/other/manifests/latest").status == 403


def test_pulls_are_in_the_audit_log(cloud: Cloud, registry: Registry) -> None:
    registry.push(REPOSITORY, image(HELLO), "audited")
    registry("GET", f"/v2/{REPOSITORY}/manifests/audited")
    trail = cloud.client("cloudtrail")
    names = {event["EventName"] for event in trail.lookup_events()["Events"]}
    assert {"GetAuthorizationToken", "InitiateLayerUpload", "PutImage", "BatchGetImage"} <= names


def test_bytes_that_are_not_what_they_claim_are_refused(registry: Registry) -> None:
    refused = registry.upload(REPOSITORY, HELLO, claimed=digest(b"else"))
    assert (refused.status, refused.code) == (400, "DIGEST_INVALID")
    assert registry("HEAD", f"/v2/{REPOSITORY}/blobs/{digest(b'else')}").status == 404


def test_an_upload_may_come_in_pieces(registry: Registry) -> None:
    where = registry("POST", f"/v2/{REPOSITORY}/blobs/uploads/").headers["location"]
    half = len(LARGE) // 2
    sent = registry("PATCH", where, LARGE[:half], content_range=f"0-{half - 1}")
    assert (sent.status, sent.headers["range"]) == (202, f"0-{half - 1}")
    lost = registry("PATCH", where, LARGE[half + 1 :], content_range=f"{half + 1}-{len(LARGE) - 1}")
    assert (lost.status, lost.headers["range"]) == (416, f"0-{half - 1}")
    assert registry("GET", where).headers["range"] == f"0-{half - 1}"
    made = registry("PUT", f"{where}?digest={digest(LARGE)}", LARGE[half:])
    assert made.status == 201
    assert registry("GET", made.headers["location"]).body == LARGE
    assert registry("GET", where).code == "BLOB_UPLOAD_UNKNOWN"


def test_an_upload_may_be_a_single_request(registry: Registry) -> None:
    made = registry("POST", f"/v2/{REPOSITORY}/blobs/uploads/?digest={digest(HELLO)}", HELLO)
    assert made.status == 201
    assert registry("GET", f"/v2/{REPOSITORY}/blobs/{digest(HELLO)}").body == HELLO


def test_an_upload_may_be_given_up(registry: Registry) -> None:
    where = registry("POST", f"/v2/{REPOSITORY}/blobs/uploads/").headers["location"]
    assert registry("DELETE", where).status == 204
    assert registry("PATCH", where, b"x").code == "BLOB_UPLOAD_UNKNOWN"


def test_an_empty_layer_is_one(registry: Registry) -> None:
    assert registry.upload(REPOSITORY, b"").status == 201
    answer = registry("GET", f"/v2/{REPOSITORY}/blobs/{digest(b'')}")
    assert (answer.status, answer.body) == (200, b"")


def test_a_layer_may_come_from_another_repository(ecr: Any, registry: Registry) -> None:
    ecr.create_repository(repositoryName="other")
    registry.upload(REPOSITORY, LARGE)
    mounted = registry("POST", f"/v2/other/blobs/uploads/?mount={digest(LARGE)}&from={REPOSITORY}")
    assert mounted.status == 201
    ecr.delete_repository(repositoryName=REPOSITORY, force=True)
    assert registry("GET", f"/v2/other/blobs/{digest(LARGE)}").body == LARGE


def test_what_cannot_be_mounted_is_uploaded(ecr: Any, registry: Registry) -> None:
    ecr.create_repository(repositoryName="other")
    for source in (REPOSITORY, "nowhere"):
        answer = registry("POST", f"/v2/other/blobs/uploads/?mount={digest(b'absent')}&from={source}")
        assert answer.status == 202


def test_a_part_of_a_layer_can_be_had(registry: Registry) -> None:
    registry.upload(REPOSITORY, LARGE)
    answer = registry("GET", f"/v2/{REPOSITORY}/blobs/{digest(LARGE)}", range="bytes=10-19")
    assert (answer.status, answer.body) == (206, LARGE[10:20])
    assert answer.headers["content-range"] == f"bytes 10-19/{len(LARGE)}"


def test_an_image_needs_its_layers(registry: Registry) -> None:
    answer = registry("PUT", f"/v2/{REPOSITORY}/manifests/v1", image(HELLO).manifest, content_type=MANIFEST)
    assert (answer.status, answer.code) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert digest(HELLO) in answer.body.decode()


def test_a_manifest_pushed_by_digest_must_have_it(registry: Registry) -> None:
    registry.push(REPOSITORY, image(HELLO))
    answer = registry("PUT", f"/v2/{REPOSITORY}/manifests/{digest(b'x')}", image(HELLO).manifest, content_type=MANIFEST)
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff\xfe", b'{"mediaType": "text/plain"}'])
def test_what_is_no_manifest_is_refused(registry: Registry, body: bytes) -> None:
    answer = registry("PUT", f"/v2/{REPOSITORY}/manifests/v1", body, content_type=MANIFEST)
    assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")


def test_an_index_needs_its_images(registry: Registry) -> None:
    only = image(HELLO)
    kind = "application/vnd.oci.image.index.v1+json"
    index = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [
        {"mediaType": MANIFEST, "digest": only.digest, "size": len(only.manifest),
         "platform": {"os": "linux", "architecture": "amd64"}}]}).encode()  # fmt: skip
    refused = registry("PUT", f"/v2/{REPOSITORY}/manifests/all", index, content_type=kind)
    assert (refused.status, refused.code) == (400, "MANIFEST_BLOB_UNKNOWN")
    registry.push(REPOSITORY, only, "one")
    assert registry("PUT", f"/v2/{REPOSITORY}/manifests/all", index, content_type=kind).status == 201
    assert registry("GET", f"/v2/{REPOSITORY}/manifests/all").headers["content-type"] == kind


def test_repositories_are_not_made_by_a_push(registry: Registry) -> None:
    for answer in (
        registry("POST", "/v2/nowhere/blobs/uploads/"),
        registry("GET", "/v2/nowhere/manifests/latest"),
        registry("GET", "/v2/nowhere/tags/list"),
    ):
        assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")


def test_what_is_not_there_is_told_so(registry: Registry) -> None:
    assert registry("GET", f"/v2/{REPOSITORY}/manifests/latest").code == "MANIFEST_UNKNOWN"
    assert registry("GET", f"/v2/{REPOSITORY}/blobs/{digest(b'x')}").code == "BLOB_UNKNOWN"
    assert registry("GET", f"/v2/{REPOSITORY}/referrers/{digest(b'x')}").status == 404
    assert registry("POST", f"/v2/{REPOSITORY}/tags/list").status == 405


def test_tags_come_in_pages(registry: Registry) -> None:
    for tag in ("c", "a", "b"):
        registry.push(REPOSITORY, image(HELLO, User=tag), tag)
    assert json.loads(registry("GET", f"/v2/{REPOSITORY}/tags/list").body) == {
        "name": REPOSITORY, "tags": ["a", "b", "c"],
    }  # fmt: skip
    first = registry("GET", f"/v2/{REPOSITORY}/tags/list?n=2")
    assert json.loads(first.body)["tags"] == ["a", "b"]
    following = first.headers["link"].partition(">")[0].removeprefix("<")
    assert json.loads(registry("GET", following).body)["tags"] == ["c"]


def test_repositories_can_be_listed(registry: Registry) -> None:
    assert json.loads(registry("GET", "/v2/_catalog").body) == {"repositories": [REPOSITORY]}


def test_a_manifest_can_be_deleted(registry: Registry) -> None:
    registry.push(REPOSITORY, image(HELLO))
    assert registry("DELETE", f"/v2/{REPOSITORY}/manifests/latest").status == 202
    assert registry("GET", f"/v2/{REPOSITORY}/manifests/latest").status == 404


def test_a_link_needs_no_password_but_ends(
    cloud: Cloud, ecr: Any, registry: Registry, send: Callable[..., Told]
) -> None:
    registry.upload(REPOSITORY, LARGE)
    url = ecr.get_download_url_for_layer(repositoryName=REPOSITORY, layerDigest=digest(LARGE))["downloadUrl"]
    parts = urlsplit(url)
    path = f"{parts.path}?{parts.query}"
    assert Registry(send, "")("GET", path).body == LARGE
    assert Registry(send, "")("GET", path.replace(digest(LARGE), digest(b"x"))).status == 401
    cloud.clock.shift = timedelta(hours=2)
    assert Registry(send, "")("GET", path).status == 401


def test_a_bucket_that_is_a_host_may_have_such_keys(cloud: Cloud, send: Callable[..., Told]) -> None:
    answer, body = cloud.send("GET", "http://x/v2/key", {"host": "pictures.s3.amazonaws.com"}, b"")
    assert answer.status == 404
    assert b"NoSuchBucket" in body
