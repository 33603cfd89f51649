from __future__ import annotations

import botocore.session
import pytest

from clary.instance_types import GIB, lookup, offered

NO_INSTANCES = ("ml.geospatial.",)
"""A type whose size AWS does not tell."""


@pytest.mark.parametrize(
    ("name", "vcpus", "gib", "gpus", "accelerators"),
    [
        ("ml.m5.large", 2, 8, 0, 0),
        ("ml.m4.xlarge", 4, 16, 0, 0),
        ("ml.c5.2xlarge", 8, 16, 0, 0),
        ("ml.c5n.9xlarge", 36, 96, 0, 0),
        ("ml.c7i-flex.8xlarge", 32, 64, 0, 0),
        ("r5.24xlarge", 96, 768, 0, 0),
        ("r5.metal", 96, 768, 0, 0),
        ("m7i.metal-24xl", 96, 384, 0, 0),
        ("t3.medium", 2, 4, 0, 0),
        ("t4g.nano", 2, 0.5, 0, 0),
        ("ml.p3.2xlarge", 8, 61, 1, 0),
        ("ml.p5e.48xlarge", 192, 2048, 8, 0),
        ("ml.p6e-gb200.36xlarge", 144, 960, 4, 0),
        ("ml.g6e.24xlarge", 96, 768, 4, 0),
        ("ml.g5.16xlarge", 64, 256, 1, 0),
        ("ml.inf2.24xlarge", 96, 384, 0, 6),
        ("ml.trn1.32xlarge", 128, 512, 0, 16),
        ("m6g.medium", 1, 4, 0, 0),
        ("u7i-12tb.224xlarge", 896, 12288, 0, 0),
    ],
)
def test_sizes_are_those_that_aws_publishes(name: str, vcpus: int, gib: float, gpus: int, accelerators: int) -> None:
    found = lookup(name)
    assert found is not None
    assert (found.vcpus, found.memory_bytes / GIB, found.gpus, found.accelerators) == (vcpus, gib, gpus, accelerators)


@pytest.mark.parametrize("name", ["my-box", "m5", "m5.huge", "m5.3xlarge", "local", ""])
def test_other_names_are_unknown(name: str) -> None:
    assert lookup(name) is None


def test_every_offered_type_is_known_once() -> None:
    names = [found.name for found in offered()]
    assert len(names) == len(set(names)) > 1400


@pytest.mark.parametrize(
    "enumeration",
    [
        "TrainingInstanceType",
        "ProcessingInstanceType",
        "TransformInstanceType",
        "ProductionVariantInstanceType",
        "InstanceType",
        "AppInstanceType",
    ],
)
def test_every_type_of_sagemaker_is_known(enumeration: str) -> None:
    names = botocore.session.get_session().get_service_model("sagemaker").shape_for(enumeration).enum
    assert [name for name in names if not (lookup(name) or name == "system" or name.startswith(NO_INSTANCES))] == []


def test_most_types_of_ec2_are_known() -> None:
    names = botocore.session.get_session().get_service_model("ec2").shape_for("InstanceType").enum
    assert len([name for name in names if lookup(name)]) > 0.97 * len(names)
