"""Instance profiles put on instances after their launch; the metadata service obeys at once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from . import filters, kinds, launch
from .errors import IncorrectInstanceState, MissingParameter, NoSuchAssociation
from .resources import Family

if TYPE_CHECKING:
    from clary.context import Context
    from clary.services.service import Document
    from clary.store.records import Record

_PREFIX = "iip-assoc-"


class Profiles(Family):
    """At most one profile an instance; the id of an association follows from that of the instance."""

    def associate_iam_instance_profile(self, ctx: Context, request: Document) -> Document:
        """Puts a profile on an instance that has none."""
        record = self._resources.find(ctx, kinds.INSTANCE, request["InstanceId"])
        if record.observed.get("IamInstanceProfile"):
            raise IncorrectInstanceState(f"There is an existing association for instance {record.name}")
        return {"IamInstanceProfileAssociation": self._put(ctx, record, request)}

    def replace_iam_instance_profile_association(self, ctx: Context, request: Document) -> Document:
        """Puts another profile on an instance."""
        record = self._associated(ctx, request["AssociationId"])
        return {"IamInstanceProfileAssociation": self._put(ctx, record, request)}

    def disassociate_iam_instance_profile(self, ctx: Context, request: Document) -> Document:
        """Takes the profile off an instance."""
        record = self._associated(ctx, request["AssociationId"])
        told = {**_association(record), "State": "disassociating"}
        self._set(record, None)
        return {"IamInstanceProfileAssociation": told}

    def describe_iam_instance_profile_associations(self, ctx: Context, request: Document) -> Document:
        """Which instances have which profiles."""
        wanted = request.get("AssociationIds") or ()
        if wanted:
            records = [self._associated(ctx, identifier) for identifier in wanted]
        else:
            records = [record for record in self._resources.all(ctx, kinds.INSTANCE) if _has_profile(record)]
        return filters.describe("IamInstanceProfileAssociations", map(_association, records), request, _FILTERS)

    def _put(self, ctx: Context, record: Record, request: Document) -> Document:
        profile = launch.profile(self._resources, ctx, request["IamInstanceProfile"])
        if profile is None:
            raise MissingParameter("The request must contain the parameter IamInstanceProfile")
        return {**_association(self._set(record, profile)), "State": "associating"}

    def _set(self, record: Record, profile: Document | None) -> Record:
        return self._resources.records.edit(
            record, lambda now: replace(now, observed={**now.observed, "IamInstanceProfile": profile})
        )

    def _associated(self, ctx: Context, identifier: str) -> Record:
        name = f"{kinds.INSTANCE.prefix}-{identifier.removeprefix(_PREFIX)}"
        record = self._resources.get(ctx, kinds.INSTANCE, name) if identifier.startswith(_PREFIX) else None
        if record is None or not _has_profile(record):
            raise NoSuchAssociation(f"An invalid association-id of '{identifier}' was given")
        return record


def _has_profile(record: Record) -> bool:
    return bool(record.observed.get("IamInstanceProfile")) and record.status != "terminated"


def _association(record: Record) -> Document:
    return {
        "AssociationId": f"{_PREFIX}{record.name.removeprefix('i-')}",
        "InstanceId": record.name,
        "IamInstanceProfile": record.observed["IamInstanceProfile"],
        "State": "associated",
    }


_FILTERS = filters.table("InstanceId State")
