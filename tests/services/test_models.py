"""Services against the models of botocore: their operations and their errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from clary.errors import ServiceError
from clary.plugins import services
from clary.protocol.model import Models
from clary.services.service import method_name, operation_names

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICES = services()
UNMODELLED = {"InvalidParameterValue", "ValidationError"}
"""What AWS answers of every service in the query protocol, so that no model has it ("Common Error Types")."""

by_service = pytest.mark.parametrize("name", SERVICES)


@pytest.fixture(scope="module")
def models() -> Models:
    return Models(list(SERVICES))


@by_service
def test_public_methods_are_operations(models: Models, name: str) -> None:
    operations = {method_name(operation) for operation in models.service(name).operation_names}
    for family in SERVICES[name].families:
        assert set(operation_names(family)) <= operations, family


@by_service
def test_every_operation_says_what_it_is_for(name: str) -> None:
    silent = [
        f"{family.__name__}.{method}"
        for family in SERVICES[name].families
        for method in operation_names(family)
        if not getattr(family, method).__doc__
    ]
    assert silent == []


@by_service
def test_errors_are_answered_as_they_are_modelled(models: Models, name: str) -> None:
    modelled = {shape.error_code: shape for shape in models.service(name).error_shapes}
    for error in _errors(name):
        shape = modelled.get(error.code)
        if shape is not None:
            assert error.status == shape.metadata.get("error", {}).get("httpStatusCode", error.status), error
        elif name not in {"s3", "ec2"}:  # their models have next to no errors
            assert error.code in UNMODELLED


def test_errors_of_s3_have_the_statuses_that_its_model_lists(models: Models) -> None:
    text = str(models.service("s3").shape_for("Error").members["Code"].documentation)
    listed = dict(re.findall(r"<i>Code:</i> *(\w+).*?<i>HTTP Status Code:</i> *(\d+)", text, re.DOTALL))
    errors = [error for error in _errors("s3") if error.code in listed]
    assert len(errors) > 20
    assert [error.code for error in errors if error.status != int(listed[error.code])] == []


def _errors(name: str) -> Iterator[type[ServiceError]]:
    """The errors that the modules of a service define."""
    package = f"clary.services.{name.replace('-', '_')}"
    waiting = ServiceError.__subclasses__()
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        if f"{error.__module__}.".startswith(f"{package}."):
            yield error
