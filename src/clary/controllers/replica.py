"""One model server of an endpoint or transform job: brought up, asked whether it is well, taken down."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from clary.agent.bundle import remove
from clary.agent.workload import Workload
from clary.algorithms.catalogue import resolve
from clary.controllers.contract import PACKAGES, base_environment, package_folder, size
from clary.controllers.frameworks import in_framework
from clary.controllers.identity import SECRET, environment, role_context
from clary.controllers.images import own_image
from clary.controllers.joblog import JobLog, ensure_group
from clary.controllers.staging import Source, Stager, StagingError, unpack
from clary.controllers.unix_http import UnixConnection

if TYPE_CHECKING:
    from pathlib import Path

    from clary.compute.base import Backend, Handle
    from clary.platform import Platform
    from clary.store.records import Record

PING_TIMEOUT_S = 2.0
"""How long a container may take to answer /ping, as on AWS."""

REFUSAL = "The model could not be loaded."
"""How our model server begins its answer when loading has failed for good."""

REFUSAL_BYTES = 512
GRACE_S = 30.0
SOCKET_INSIDE = "/run/clary/serve.sock"


@dataclass(frozen=True, slots=True)
class Server:
    """What a replica serves: a model with the resources of its variant."""

    name: str
    """Tells the replicas of one record apart, e.g. `AllTraffic/0`."""
    container: dict[str, Any]
    role_arn: str
    instance_type: str
    memory_bytes: int = 0
    """Overrides that of the instance type (serverless)."""
    environment: tuple[tuple[str, str], ...] = ()
    isolated: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a model server is ready; `refusal` is its word when it says that it never will be."""

    ready: bool
    refusal: str = ""


class Replicas:
    """Brings up the model servers of records, and takes them down again."""

    def __init__(self, platform: Platform, backend: Backend) -> None:
        self._platform = platform
        self._backend = backend

    def start(self, record: Record, server: Server) -> Handle:
        """Unpacks the model and starts the server; the same server twice is one.

        Raises:
            StagingError: the model cannot be had.
        """
        bundle = self.bundle(record, server.name)
        identity = f"{record.kind}/{record.account}/{record.region}/{record.name}/{server.name}"
        handle = self._backend.find(identity, bundle)
        if handle is not None:
            return handle
        remove(bundle)
        self._unpack(record, server, bundle / "ml" / "model")
        return self._backend.start(self._workload(record, server, bundle, identity))

    def health(self, record: Record, name: str) -> Health:
        """What the server answers to /ping."""
        return ping(self.socket(record, name))

    def socket(self, record: Record, name: str) -> Path:
        """The Unix socket at which the server listens."""
        return self.bundle(record, name) / "run" / "serve.sock"

    def bundle(self, record: Record, name: str) -> Path:
        """The folder of one server; short, because the path of a Unix socket may have 107 bytes only."""
        identity = "/".join((record.kind, record.account, record.region, record.name, name))
        return self._platform.settings.home / "e" / hashlib.sha256(identity.encode()).hexdigest()[:12]

    def stop(self, handle: Handle) -> None:
        """Asks the server to end."""
        self._backend.stop(handle, GRACE_S)

    def remove(self, record: Record, name: str, handle: Handle) -> None:
        """Ends the server at once and removes its folder."""
        self._backend.delete(handle)
        remove(self.bundle(record, name))

    def take_over_log(self, record: Record, name: str, group: str, stream: str) -> None:
        """Moves new lines of the server's log into its stream."""
        log = JobLog(self.bundle(record, name) / "log", f"{record.account}/{record.region}/{group}", stream)
        if log.take_over(self._platform):
            ensure_group(self._platform, record, group)

    def _unpack(self, record: Record, server: Server, target: Path) -> None:
        target.mkdir(parents=True)
        role = server.role_arn
        stager = Stager(
            self._platform, lambda operation: role_context(self._platform, record, role, "s3", operation), role
        )
        source = server.container.get("ModelDataSource", {}).get("S3DataSource")
        if source and source["CompressionType"] == "None":
            stager.download(Source(source["S3Uri"]), target)
            return
        uri = source["S3Uri"] if source else server.container.get("ModelDataUrl")
        if not uri:
            return
        archive = target.parent / "model.tar.gz"
        stager.fetch(uri, archive)
        unpack(archive, target, uri)

    def _workload(self, record: Record, server: Server, bundle: Path, identity: str) -> Workload:
        variables = server.container.get("Environment", {})
        own = own_image(self._platform, record, server.container["Image"], server.role_arn)
        image = own.stands_for if own else resolve(server.container["Image"])
        command = image.serve(variables) if image else None
        if image is None or command is None:
            raise StagingError(f"The image {server.container['Image']} is not for inference.")
        vcpus, memory = size(server.instance_type)
        packages = package_folder(self._platform.settings.home, server.role_arn)
        workload = Workload(
            id=identity,
            bundle=bundle,
            command=command,
            env={
                **base_environment(),
                **({} if server.isolated else environment(self._platform, record, record.observed[SECRET])),
                **image.environment,
                PACKAGES: packages.target,
                **variables,
                **dict(server.environment),
                "CLARY_SERVE_SOCKET": SOCKET_INSIDE,
            },
            cpus=vcpus,
            memory_bytes=server.memory_bytes or memory,
            instance_type="" if server.memory_bytes else server.instance_type,
            network=not server.isolated,
            binds=(packages,),
            warm=self._platform.settings.warm_workers,
        )
        if own:
            return own.serving(workload, self._platform.settings.endpoint)
        return in_framework(self._platform, image, workload)


def ping(path: Path) -> Health:
    """Asks a model server whether it is ready for requests."""
    connection = UnixConnection(path, PING_TIMEOUT_S)
    try:
        connection.request("GET", "/ping")
        answer = connection.getresponse()
        text = answer.read(REFUSAL_BYTES).decode("utf-8", "replace")
    except (OSError, HTTPException):
        return Health(ready=False)
    finally:
        connection.close()
    return Health(ready=answer.status == 200, refusal=text if text.startswith(REFUSAL) else "")
