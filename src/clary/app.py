"""Builds the platform from the settings and runs it; the only place where the parts meet."""

from __future__ import annotations

import asyncio
import errno
import math
import os
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from threading import Semaphore
from typing import TYPE_CHECKING

import uvicorn

from clary import first_run, notebook_access, plugins
from clary.asgi import WebSockets
from clary.audit.parameters import Parameters
from clary.audit.trail import Trail
from clary.audit.upkeep import Upkeep
from clary.auth.authorize import Authorizer
from clary.auth.credentials import Credentials
from clary.auth.sigv4 import Authenticator
from clary.bucket_host import WEBSITE_PREFIX
from clary.clock import SystemClock
from clary.compute.probe import probe
from clary.connection import Connection
from clary.controllers import image_storage, storage_metrics
from clary.controllers.bucket_lifecycle import BucketLifecycleController
from clary.controllers.bucket_logging import BucketLoggingController
from clary.controllers.bucket_notification import BucketNotificationController
from clary.controllers.bucket_replication import BucketReplicationController
from clary.controllers.capacity import Capacity, Need, gpus
from clary.controllers.endpoint import EndpointController
from clary.controllers.identity import PREFIX, CredentialsPage
from clary.controllers.instance import InstanceController
from clary.controllers.instance_metadata import PREFIX as METADATA_PREFIX
from clary.controllers.instance_metadata import MetadataPage
from clary.controllers.log_group import LogGroupController
from clary.controllers.loop import Controller, Loop
from clary.controllers.modest import Modest
from clary.controllers.monitoring_execution import MonitoringExecutionController
from clary.controllers.monitoring_schedule import MonitoringScheduleController
from clary.controllers.notebook_instance import NotebookInstanceController
from clary.controllers.processing_job import ProcessingJobController
from clary.controllers.training_job import TrainingJobController
from clary.controllers.transform_job import TransformJobController
from clary.controllers.tuning_job import TuningJobController
from clary.gateway import Gateway
from clary.gateways import Gateways
from clary.http import Request, Response
from clary.invoke import Invoker
from clary.notebook_proxy import NotebookProxy
from clary.platform import Platform
from clary.protocol.model import Models
from clary.protocol.route import Router
from clary.protocol.validate import Validators
from clary.proxy import Proxy
from clary.registry.page import Registry
from clary.registry_access import PREFIX as REGISTRY_PREFIX
from clary.services.s3.cors import CorsHeaders
from clary.services.s3.watch import RequestWatch
from clary.store.audit import FOLDER, Segments, open_index
from clary.store.engines import open_database
from clary.store.keyring import Keyring
from clary.store.logs import Logs
from clary.store.metrics import Metrics
from clary.store.objects.opening import open_objects
from clary.store.records import Records
from clary.store.spool import Spool
from clary.tls import Authority, TlsTunnel
from clary.website import WebsitePage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clary.asgi import Receive, Scope, Send
    from clary.clock import Clock
    from clary.compute.base import Backend
    from clary.settings import Settings
    from clary.store.database import Database


BACKLOG = 2048
MOST_BESIDE = 4
"""Steps at the same time of what S3 does by itself, so that slow receivers hold up no jobs."""

GATEWAYS_END_S = 3.0
WEB_SOCKET_BYTES = 1 << 40
"""Notebooks send whole files through web sockets; only the memory sets a limit."""


NAMED = (
    "application-autoscaling",
    "athena",
    "events",
    "glue",
    "sagemaker-featurestore-runtime",
    "sagemaker-metrics",
)
"""Services of the workflow that are not offered yet: their requests are understood, so that the refusal names them."""


@dataclass(slots=True)
class Parts:
    """The platform together with what only the composition root needs."""

    platform: Platform
    database: Database
    gateway: Gateway
    notebooks: NotebookProxy
    upkeep: Upkeep
    watch: RequestWatch

    def close(self) -> None:
        """Writes what waits to be written, and closes the stores."""
        self.platform.objects.close()
        self.upkeep.stop()
        self.watch.flush()
        self.database.close()


def build(settings: Settings, clock: Clock) -> Parts:
    """The parts of the platform, nothing running yet."""
    database = open_database(settings)
    records = Records(database)
    offered = plugins.services()
    models = Models([*offered, *(name for name in NAMED if name not in offered)])
    keyring = Keyring.at(settings.key_path)
    credentials = Credentials(records, clock, settings.account, keyring)
    authorizer = Authorizer(records, clock)
    segments = Segments(settings.home / FOLDER, clock)
    audit = open_index(settings, database)
    trail = Trail(segments, Parameters(models), authorizer, settings)
    invoke = Invoker(offered, models, Validators(), authorizer, trail)
    platform = Platform(
        settings=settings,
        clock=clock,
        records=records,
        objects=open_objects(settings, database, keyring),
        logs=Logs(database),
        metrics=Metrics(database),
        spool=Spool(settings.home / "capture"),
        proxy=Proxy(),
        invoke=invoke,
        models=models,
        credentials=credentials,
        authorizer=authorizer,
        keyring=keyring,
        audit=audit,
    )
    wire = (models, Router(models, settings.s3_domain))
    gateway = Gateway(settings, clock, database, wire, Authenticator(credentials, clock, settings.s3_domain), invoke)
    gateway.add_page(PREFIX, CredentialsPage(platform))
    gateway.add_page(METADATA_PREFIX, MetadataPage(platform))
    gateway.add_page("/_clary/health", _health)
    gateway.add_page(WEBSITE_PREFIX, WebsitePage(platform, gateway.handle))
    gateway.add_headers("s3", CorsHeaders(platform))
    watch = RequestWatch(platform)
    gateway.observe("s3", watch)
    notebooks = NotebookProxy(platform)
    gateway.add_page(notebook_access.PREFIX, notebooks.page)
    gateway.add_page(REGISTRY_PREFIX, Registry(platform, database).page)
    upkeep = Upkeep(segments, audit, clock, timedelta(days=settings.audit_days))
    return Parts(platform, database, gateway, notebooks, upkeep, watch)


def controllers(platform: Platform, backend: Backend) -> list[Controller]:
    """One controller for every kind of record that runs."""
    machine = Need(math.inf, sys.maxsize) if backend.elsewhere else Need(os.cpu_count() or 1, gpus())
    capacity = Capacity(machine, platform.settings.job_parallelism, wake=lambda job: _touch(platform, job))
    room = Semaphore(MOST_BESIDE)
    beside: list[Controller] = [
        BucketLifecycleController(platform),
        BucketNotificationController(platform),
        BucketReplicationController(platform),
        BucketLoggingController(platform),
        storage_metrics.StorageMetricsController(platform),
        image_storage.ImageStorageController(platform),
    ]
    return [
        TrainingJobController(platform, backend, capacity),
        ProcessingJobController(platform, backend, capacity),
        EndpointController(platform, backend),
        LogGroupController(platform),
        TransformJobController(platform, backend, capacity),
        TuningJobController(platform),
        MonitoringScheduleController(platform),
        MonitoringExecutionController(platform),
        NotebookInstanceController(platform, backend),
        InstanceController(platform, backend),
        *(Modest(each, room) for each in beside),
    ]


class CannotListen(Exception):
    """A port cannot be had."""


class Server:
    """A running platform: HTTP on the event loop, controllers in threads, workloads in processes of their own."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock | None = None,
        on_ready: Callable[[], None] = lambda: None,
        on_gateways: Callable[[Sequence[int]], None] = lambda _: None,
    ) -> None:
        self.settings = settings
        self._clock = clock or SystemClock()
        self._on_ready = on_ready
        self._on_gateways = on_gateways
        self._http: _Http | None = None

    def run(self) -> None:
        """Serves until `stop` or a signal; blocks.

        Raises:
            CannotListen: somebody else has the port, or that of the TLS tunnel.
        """
        listener = listen(self.settings)
        config = http_config(self.settings)
        self._http = _Http(config)
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(self._serve(config, listener))

    def stop(self) -> None:
        """Ends `run` from another thread; workloads go on."""
        if self._http is not None:
            self._http.should_exit = True

    async def _serve(self, config: uvicorn.Config, listener: socket.socket) -> None:
        assert self._http is not None  # noqa: S101  # set by run
        pool = ThreadPoolExecutor(16, thread_name_prefix="handler")
        # The probe waits for processes of its own; meanwhile the parts are built.
        machine = pool.submit(
            probe,
            isolation=self.settings.isolation,
            containers=self.settings.containers,
            folder=self.settings.home,
        )
        parts = build(self.settings, self._clock)
        platform = parts.platform
        platform.records.resume(self._clock.now())
        platform.invoke.attach(platform, asyncio.get_running_loop(), pool)
        platform.credentials.bootstrap()
        first_run.prepare(platform)
        storage_metrics.begin(platform)
        image_storage.begin(platform)
        platform.sandboxes = machine.result().isolation != "none"
        platform.engine = machine.result().engine
        backend = plugins.backend(self.settings.compute)(
            self.settings.home / "run", machine.result(), warm=self.settings.warm_workers
        )
        backend.on_change(lambda workload: _touch(platform, workload))
        loop = Loop(platform.records, self._clock, controllers(platform, backend))
        config.app = parts.notebooks.web_socket
        web_sockets = WebSockets(config, self._http.server_state)
        accept = partial(Connection, parts.gateway.handle, web_sockets, self._http.server_state)
        config.http = lambda **_: accept()  # type: ignore[assignment]  # makes protocols, as a class would
        self._http.gateways = gateways = Gateways(
            self.settings, listener, lambda received: accept(received=received), self._on_gateways
        )
        platform.objects.open()
        loop.start()
        parts.upkeep.start()
        tunnel = TlsTunnel(self.settings, Authority(self.settings.home / "tls"))
        try:
            await _open(tunnel, self.settings)
            listening = asyncio.create_task(self._http.serve(sockets=[listener]))
            while not (self._http.started or listening.done()):
                await asyncio.sleep(0.005)
            self._on_ready()
            gateways.start()
            await listening
        finally:
            tunnel.stop()
            await asyncio.to_thread(loop.stop)
            backend.close()
            pool.shutdown()
            parts.close()


class _Http(uvicorn.Server):
    """Ends the gateways while it ends itself: when that is done it repeats the signal, which ends the process."""

    gateways: Gateways | None = None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.gateways is not None:
            await asyncio.gather(super().shutdown(sockets), self.gateways.stop())


def http_config(settings: Settings) -> uvicorn.Config:
    """How the HTTP server runs; what it serves is not known yet."""
    return uvicorn.Config(
        _closed, host=settings.host, port=settings.port, loop="uvloop", lifespan="off", log_level="warning",
        access_log=False, backlog=BACKLOG, server_header=False, proxy_headers=False, timeout_graceful_shutdown=10,
        interface="asgi3", ws="websockets-sansio", ws_max_size=WEB_SOCKET_BYTES,
    )  # fmt: skip


def listen(settings: Settings) -> socket.socket:
    """Takes the port, before anything else is done, as a second server would spoil the work of the first.

    Raises:
        CannotListen: somebody else has it.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    deadline = time.monotonic() + (GATEWAYS_END_S if settings.gateways else 0)
    while True:
        try:
            return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
        except OSError as error:
            # The gateways of a server that was killed need a moment to see it.
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                where = f"{settings.host}, port {settings.port}"
                raise CannotListen(f"cannot listen at {where}: {_reason(error)}") from error
        time.sleep(0.05)


async def _open(tunnel: TlsTunnel, settings: Settings) -> None:
    try:
        await tunnel.start()
    except OSError as error:
        where = f"{settings.host}, port {settings.tunnel_port} (CLARY_PROXY_PORT)"
        raise CannotListen(f"cannot listen at {where}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    """Names that cannot be looked up have numbers of their own."""
    return str(error) if isinstance(error, socket.gaierror) or not error.errno else os.strerror(error.errno)


def _touch(platform: Platform, workload: str) -> None:
    """Makes the record of a workload due; its id begins with the record's identity."""
    kind, account, region, name = workload.split("/")[:4]
    platform.records.touch(kind, account, region, name, platform.clock.now())


async def _health(_: Request) -> Response:
    return Response(200, {"content-type": "application/json"}, b'{"status":"ok"}')


async def _closed(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  # what an application takes
    raise RuntimeError("no web sockets are served here")
