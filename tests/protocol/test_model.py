from __future__ import annotations

import pytest
from botocore.loaders import Loader

from clary.protocol.model import Models

from .wire import SERVICES


@pytest.mark.parametrize("service", SERVICES)
def test_metadata_without_loading_is_the_models(service: str) -> None:
    assert Models(SERVICES).metadata(service) == Loader().load_service_model(service, "service-2")["metadata"]


def test_models_are_loaded_once() -> None:
    models = Models(SERVICES)
    assert models.service("sts") is models.service("sts")
    assert models.operation("sts", "AssumeRole") is models.operation("sts", "AssumeRole")
    assert models.signing_name("cloudwatch") == "monitoring"


def test_what_is_not_served() -> None:
    models = Models(("sts",))
    with pytest.raises(KeyError):
        models.service("iam")
    with pytest.raises(KeyError):
        models.operation("sts", "Dance")
