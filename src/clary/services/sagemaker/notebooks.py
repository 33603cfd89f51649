"""Notebook instances and their lifecycle configurations."""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from clary import notebook_access
from clary.controllers import states
from clary.controllers.states import transition
from clary.errors import ValidationException

from . import kinds
from .jobs import check_role
from .kinds import LIFECYCLE_CONFIG, NOTEBOOK_INSTANCE, Family, delete, describe, find, listing

if TYPE_CHECKING:
    from clary.api import sagemaker as api
    from clary.context import Context
    from clary.services.service import Members
    from clary.store.records import Record

UNSUPPORTED = ("DefaultCodeRepository", "AdditionalCodeRepositories", "AcceleratorTypes")
UNSUPPORTED_FILTERS = (
    "NotebookInstanceLifecycleConfigNameContains",
    "DefaultCodeRepositoryContains",
    "AdditionalCodeRepositoryEquals",
)
DEFAULTS = {"DirectInternetAccess": "Enabled", "VolumeSizeInGB": 5, "RootAccess": "Enabled"}


def _no_filters(request: Members) -> tuple[tuple[str, str], ...]:
    _refuse(request, UNSUPPORTED_FILTERS)
    return ()


class NotebookInstances(Family):
    """JupyterLab on an instance of one's own."""

    def create_notebook_instance(
        self, ctx: Context, request: api.CreateNotebookInstanceInput
    ) -> api.CreateNotebookInstanceOutput:
        """Checks what can be checked at once and hands the instance to its controller."""
        self._check(ctx, request)
        host = ctx.endpoint.partition("://")[2]
        path = f"{notebook_access.PREFIX}{ctx.region}/{request['NotebookInstanceName']}"
        record = kinds.create(
            self._platform,
            ctx,
            NOTEBOOK_INSTANCE,
            {**DEFAULTS, **request},
            status="Pending",
            # AWS tells the address without its scheme.
            observed={"Url": f"{host}{path}"},
            due=ctx.now,
        )
        return {"NotebookInstanceArn": record.arn}

    def start_notebook_instance(self, ctx: Context, request: api.StartNotebookInstanceInput) -> None:
        """Starts a stopped instance again; its SageMaker folder is as it was."""
        self._move(ctx, request, "Pending", ("Stopped", "Failed"))

    def stop_notebook_instance(self, ctx: Context, request: api.StopNotebookInstanceInput) -> None:
        """Ends the instance's processes; only its SageMaker folder is kept."""
        self._move(ctx, request, "Stopping", ("InService",))

    def delete_notebook_instance(self, ctx: Context, request: api.DeleteNotebookInstanceInput) -> None:
        """Removes a stopped instance with its folder."""
        self._move(ctx, request, "Deleting", ("Failed", "Stopped"))

    def update_notebook_instance(self, ctx: Context, request: api.UpdateNotebookInstanceInput) -> None:
        """Changes a stopped instance; the next start uses it."""
        self._check(ctx, request)
        record = self._find(ctx, request)
        if request.get("VolumeSizeInGB", record.spec["VolumeSizeInGB"]) < record.spec["VolumeSizeInGB"]:
            raise ValidationException("VolumeSizeInGB can only be made larger.")
        changes = {name: value for name, value in request.items() if not name.startswith("Disassociate")}

        def updating(current: Record) -> Record:
            spec = {**current.spec, **changes}
            if request.get("DisassociateLifecycleConfig"):
                spec.pop("LifecycleConfigName", None)
            return self._moved(ctx, replace(current, spec=spec), "Updating", ("Stopped", "Failed"))

        self._platform.records.edit(record, updating)

    def create_presigned_notebook_instance_url(
        self, ctx: Context, request: api.CreatePresignedNotebookInstanceUrlInput
    ) -> api.CreatePresignedNotebookInstanceUrlOutput:
        """A link that opens the instance once, within five minutes."""
        record = self._find(ctx, request)
        if record.status != "InService":
            raise ValidationException(_cannot(record, "create a presigned URL for", ("InService",)))
        seconds = request.get("SessionExpirationDurationInSeconds")
        length = timedelta(seconds=seconds) if seconds else notebook_access.SESSION
        token = notebook_access.new_token()
        self._platform.records.edit(record, lambda current: notebook_access.with_link(current, token, length, ctx.now))
        path = notebook_access.base_path(record)
        return {"AuthorizedUrl": f"{ctx.endpoint}{path}?{notebook_access.TOKEN}={token}"}

    describe_notebook_instance = describe(NOTEBOOK_INSTANCE)
    list_notebook_instances = listing(NOTEBOOK_INSTANCE, _no_filters)

    def _find(self, ctx: Context, request: Members) -> Record:
        return find(self._platform, ctx, NOTEBOOK_INSTANCE, request["NotebookInstanceName"])

    def _check(self, ctx: Context, request: Members) -> None:
        _refuse(request, UNSUPPORTED)
        if request.get("DirectInternetAccess") == "Disabled":
            raise ValidationException("Clary does not support DirectInternetAccess Disabled yet.")
        if "RoleArn" in request:
            check_role(
                self._platform, ctx, request["RoleArn"], NOTEBOOK_INSTANCE.arn(ctx, request["NotebookInstanceName"])
            )
        if "LifecycleConfigName" in request:
            find(self._platform, ctx, LIFECYCLE_CONFIG, request["LifecycleConfigName"])

    def _move(self, ctx: Context, request: Members, to: str, allowed: tuple[str, ...]) -> None:
        record = self._find(ctx, request)
        self._platform.records.edit(record, lambda current: self._moved(ctx, current, to, allowed))

    def _moved(self, ctx: Context, record: Record, to: str, allowed: tuple[str, ...]) -> Record:
        if record.status not in allowed:
            raise ValidationException(_cannot(record, f"transition to ({to}) for", allowed))
        observed = {name: value for name, value in record.observed.items() if name != "FailureReason"}
        moved = transition(states.NOTEBOOK_INSTANCE, replace(record, observed=observed), to, ctx.now)
        return replace(moved, due=ctx.now)


class LifecycleConfigs(Family):
    """Scripts that run when a notebook instance is created and each time it starts."""

    def create_notebook_instance_lifecycle_config(
        self, ctx: Context, request: api.CreateNotebookInstanceLifecycleConfigInput
    ) -> api.CreateNotebookInstanceLifecycleConfigOutput:
        """Remembers the scripts."""
        _check_scripts(request)
        return {"NotebookInstanceLifecycleConfigArn": kinds.create(self._platform, ctx, LIFECYCLE_CONFIG, request).arn}

    def update_notebook_instance_lifecycle_config(
        self, ctx: Context, request: api.UpdateNotebookInstanceLifecycleConfigInput
    ) -> None:
        """Puts other scripts in the place of those given; instances run them at their next start."""
        _check_scripts(request)
        record = find(self._platform, ctx, LIFECYCLE_CONFIG, request["NotebookInstanceLifecycleConfigName"])
        self._platform.records.edit(
            record, lambda current: replace(current, spec={**current.spec, **request}, modified=ctx.now)
        )

    describe_notebook_instance_lifecycle_config = describe(LIFECYCLE_CONFIG)
    list_notebook_instance_lifecycle_configs = listing(LIFECYCLE_CONFIG)
    delete_notebook_instance_lifecycle_config = delete(LIFECYCLE_CONFIG)


def _check_scripts(request: Members) -> None:
    for member in ("OnCreate", "OnStart"):
        for script in request.get(member, ()):
            try:
                base64.b64decode(script.get("Content", ""), validate=True)
            except binascii.Error:
                raise ValidationException(f"The content of {member} must be base64-encoded.") from None


def _refuse(request: Members, members: tuple[str, ...]) -> None:
    for member in members:
        if request.get(member):
            raise ValidationException(f"Clary does not support {member} yet.")


def _cannot(record: Record, what: str, allowed: tuple[str, ...]) -> str:
    return (
        f"Status ({record.status}) not in ([{', '.join(allowed)}]). Unable to {what} Notebook Instance ({record.arn})"
    )
