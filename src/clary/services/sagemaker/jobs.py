"""What training, processing, transform and tuning jobs have in common."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clary import arn
from clary.algorithms.catalogue import Image, resolve
from clary.auth import entities
from clary.controllers.states import States, transition
from clary.errors import ValidationException

from .errors import ResourceInUse
from .kinds import Family, Kind, find

if TYPE_CHECKING:
    from datetime import datetime

    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document, Handler
    from clary.store.records import Record

SAGEMAKER = "sagemaker.amazonaws.com"


def check_role(platform: Platform, ctx: Context, role_arn: str, source_arn: str = "") -> None:
    """Refuses a role that SageMaker may not assume for a resource, or for whatever resource of the region.

    Raises:
        ValidationException: the role is not there or does not trust SageMaker, in AWS's words.
    """
    role = platform.records.by_arn(role_arn)
    source = source_arn or arn.build("sagemaker", ctx.region, ctx.account, "*")
    if role is None or role.kind != entities.ROLE or not platform.authorizer.trusts_service(role, SAGEMAKER, source):
        raise ValidationException(
            f"Could not assume role {role_arn}. Please ensure that the role exists and allows principal "
            f"'{SAGEMAKER}' to assume the role."
        )


def image(uri: str) -> Image:
    """What an image URI stands for here.

    Raises:
        ValidationException: Clary has no environment for it.
    """
    found = resolve(uri)
    if found is None:
        raise ValidationException(
            f"Clary cannot run the image {uri}: it runs SageMaker's framework images and built-in algorithms in "
            "environments of its own, and no other images yet."
        )
    return found


def stop(kind: Kind, states: States) -> Handler:
    """The Stop operation of a kind of job."""

    def handler(self: Family, ctx: Context, request: Document) -> None:
        record = find(self._platform, ctx, kind, request[kind.name_member])

        def stopping(current: Record) -> Record:
            if current.status == "Stopping":
                return current
            if current.status != "InProgress":
                raise ValidationException(
                    f"The request was rejected because the {_words(kind)} is in status {current.status}."
                )
            return replace(transition(states, current, "Stopping", ctx.now), due=ctx.now)

        self._platform.records.edit(record, stopping)

    handler.__doc__ = f"Asks a {kind.noun} to stop; it ends as Stopped once its processes are gone."
    return handler  # type: ignore[return-value]  # becomes a method of the family


def delete_finished(kind: Kind, states: States) -> Handler:
    """The Delete operation of a kind of job."""

    def handler(self: Family, ctx: Context, request: Document) -> None:
        record = find(self._platform, ctx, kind, request[kind.name_member])
        if record.status not in states.terminal:
            raise ResourceInUse(f"The {_words(kind)} {record.name} is in status {record.status}; stop it first.")
        self._platform.records.delete(record)

    handler.__doc__ = f"Removes a {kind.noun} that has ended."
    return handler  # type: ignore[return-value]  # becomes a method of the family


def secondary(status: str, message: str, now: datetime) -> dict[str, Any]:
    """An entry of SecondaryStatusTransitions."""
    return {"Status": status, "StartTime": now, "StatusMessage": message}


def s3_uri(uri: str, member: str) -> None:
    """Refuses what is no S3 address.

    Raises:
        ValidationException: in AWS's words.
    """
    if not uri.startswith("s3://") or not uri[5:].split("/", maxsplit=1)[0]:
        raise ValidationException(f"The S3 URI {uri!r} at {member} is not valid: it must begin with s3://BUCKET.")


def _words(kind: Kind) -> str:
    return kind.name.replace("-", " ")
