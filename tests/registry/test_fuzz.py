"""Whatever a client sends, it is told what is wrong with it."""

from __future__ import annotations

import json
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.oci import MANIFEST, Registry
from tests.services.ecr.conftest import ecr, registry, send

__all__ = ["ecr", "registry", "send"]

NONE = f"sha256:{'0' * 64}"
METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
WORDS = [
    "team/model",
    "team",
    "nowhere",
    "..",
    "%00",
    "%ff",
    "%2F",
    "",
    "blobs",
    "uploads",
    "manifests",
    "tags",
    "list",
]
PATHS = st.lists(
    st.sampled_from([*WORDS, "_catalog", "referrers", NONE, "sha256:x", "latest", "a b", "x" * 400]), max_size=6
)
QUERIES = st.sampled_from(
    [
        "",
        f"?digest={NONE}",
        "?digest=x",
        "?mount=x&from=y",
        "?n=-1",
        "?n=0&last=z",
        "?token=abc",
        "?token=%ff",
        "?%00=%ff",
    ]
)
HEADERS = st.sampled_from([{}, {"content_type": MANIFEST}, {"content_range": "5-6"}, {"range": "bytes=5-1"}])
NAMES = ["mediaType", "manifests", "layers", "config", "digest", "size", "platform", "urls", "os", "architecture"]
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner), max_leaves=12
)
once = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@once
@given(METHODS, PATHS, QUERIES, st.binary(max_size=20), HEADERS)
def test_no_request_breaks_the_registry(
    registry: Registry, method: str, path: list[str], query: str, body: bytes, headers: dict[str, str]
) -> None:
    answer = registry(method, f"/v2/{quote('/'.join(path), safe='%/:')}{query}", body, **headers)
    assert answer.status < 500


@once
@given(DOCUMENTS)
def test_no_manifest_breaks_the_registry(registry: Registry, document: object) -> None:
    text = json.dumps(document).encode()
    assert registry("PUT", "/v2/team/model/manifests/any", text, content_type=MANIFEST).status < 500
    assert registry("GET", "/v2/team/model/tags/list").status == 200
