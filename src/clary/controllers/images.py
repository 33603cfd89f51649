"""Images of the user's own: pulled from the registry as the execution role, unpacked, and run as they say.

Source: "Use your own training algorithms" and "Custom inference code with hosting services", SageMaker developer
guide; "Image Configuration", OCI Image Format Specification.
"""

from __future__ import annotations

import platform as machine
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from clary.agent.workload import PROXY, Container, Forward
from clary.algorithms.catalogue import Own
from clary.compute.engine import EngineImages, Layer
from clary.compute.roots import Roots
from clary.compute.unpacking import BadLayer
from clary.controllers.contract import NO_SANDBOX, PACKAGES, base_environment
from clary.controllers.identity import role_context
from clary.controllers.staging import StagingError
from clary.errors import ServiceError
from clary.store.images import Images, Manifest, parse, refer
from clary.store.layers import Layers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clary.agent.workload import Workload
    from clary.platform import Platform
    from clary.store.images import Reference
    from clary.store.layers import Repository
    from clary.store.records import Record

PORT = 8080
"""Where SageMaker's containers serve."""

FOLDER = "images"
ENGINE = "engine"
"""Below that folder: what is known about images in a container engine."""

_LOOPBACK = "127.0.0.1"
_PROXY_PORT = 3128
_PROXY_VARIABLES = {
    name: value
    for lower, value in (("https_proxy", f"http://{_LOOPBACK}:{_PROXY_PORT}"), ("no_proxy", f"{_LOOPBACK},localhost"))
    for name in (lower, lower.upper())
}
"""How model servers reach what is outside of their network."""
_ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64"}
_NOT_PULLED = (
    "ClientError: Cannot pull algorithm container. Either the image does not exist or its permissions are incorrect."
)


@dataclass(frozen=True, slots=True)
class OwnImage:
    """An image that is ready to run here."""

    stands_for: Own
    container: Container
    config: Mapping[str, Any]
    """What the image says about its command, in the words of OCI."""

    @property
    def copies(self) -> str:
        """Why its inputs have to be copied; empty when they can be shown as those of other workloads are."""
        return "a container engine shows neither links nor what is served" if self.container.engine else ""

    @property
    def is_root(self) -> bool:
        """Whether its command runs as root."""
        return str(self.config.get("User") or "root").partition(":")[0] in {"0", "root"}

    def inside(self, workload: Workload, argument: Sequence[str], specification: Mapping[str, Any]) -> Workload:
        """The workload as it runs in the image.

        Args:
            workload: what would run in an environment of our own.
            argument: what SageMaker adds to the entry point of the image; none leaves the command of the image.
            specification: may replace the entry point and its arguments.
        """
        ours = base_environment()
        # What tells our own launchers and servers is no business of the image.
        given = {
            name: value
            for name, value in workload.env.items()
            if ours.get(name) != value and not name.startswith("CLARY_")
        }
        return replace(
            workload,
            command=self._command(argument, specification),
            container=replace(self.container, user=str(self.config.get("User") or "")),
            cwd=str(self.config.get("WorkingDir") or "/"),
            env={**_variables(self.config.get("Env") or ()), **given},
            binds=tuple(bind for bind in workload.binds if bind.target != workload.env.get(PACKAGES)),
            # A container of an engine is no plain process.
            notes=tuple(note for note in workload.notes if note != NO_SANDBOX or not self.container.engine),
            warm=False,
        )

    def serving(self, workload: Workload, endpoint: str) -> Workload:
        """The same for a model server, which has a network of its own: others serve at the same port."""
        inside = self.inside(workload, ("serve",), {})
        assert inside.container is not None  # noqa: S101  # just made
        container = replace(inside.container, port=PORT)
        if not workload.network:
            return replace(inside, container=container)
        address = urlsplit(endpoint)
        platform = Forward(_LOOPBACK, address.port or 80, f"{address.hostname}:{address.port}")
        if container.engine:
            return replace(inside, container=container, forwards=(platform,))
        forwards = (platform, Forward(_LOOPBACK, _PROXY_PORT, PROXY))
        env = {**_PROXY_VARIABLES, **inside.env}
        return replace(inside, container=container, env=env, network=False, forwards=forwards)

    def _command(self, argument: Sequence[str], specification: Mapping[str, Any]) -> tuple[str, ...]:
        entry_point = specification.get("ContainerEntrypoint") or self.config.get("Entrypoint") or ()
        own = () if "ContainerEntrypoint" in specification else argument or self.config.get("Cmd") or ()
        command = (*entry_point, *(specification.get("ContainerArguments") or own))
        if not command:
            raise StagingError(f"ClientError: The image {self.stands_for.uri} has no command of its own to run.")
        return command


def own_image(platform: Platform, record: Record, uri: str, role_arn: str) -> OwnImage | None:
    """The image of our registry that a URI names, unpacked; None when it names none of ours.

    Raises:
        StagingError: the role may not have it, it is damaged, or it cannot run here.
    """
    named = refer(uri, record.account, record.region, platform.settings.port)
    if named is None or Images(platform.records).repository(named.place) is None:
        return None
    if not platform.engine and not (platform.sandboxes and platform.settings.containers != "engine"):
        raise StagingError(
            "ClientError: An image of one's own needs a sandbox, which this machine does not allow, or a container "
            "engine, which was not found; `clary doctor` tells why."
        )
    try:
        return _Pull(platform, record, role_arn, named).ready(uri)
    except BadLayer as error:
        raise StagingError(f"ClientError: The image {uri} cannot be unpacked: {error}.") from error
    except OSError as error:
        reason = error.strerror or error
        raise StagingError(f"ClientError: The image {uri} cannot be unpacked: {reason}.") from error


class _Pull:
    """Takes one image out of the registry, as a role."""

    def __init__(self, platform: Platform, record: Record, role_arn: str, named: Reference) -> None:
        self._platform = platform
        self._record = record
        self._role_arn = role_arn
        self._named = named
        self._layers = Layers(platform.objects, platform.clock)

    def ready(self, uri: str) -> OwnImage:
        """The image, unpacked or in the engine unless it has been before."""
        manifest = self._manifest(self._named.identifier)
        if manifest.images:
            manifest = self._manifest({"imageDigest": _for_this_machine(manifest, uri)})
        if manifest.config is None:
            raise StagingError(f"ClientError: The image {uri} is a list of lists, which cannot be run.")
        self._call("GetDownloadUrlForLayer", layerDigest=manifest.config.digest)
        text = b"".join(self._layer(manifest.config.digest))
        config = _config(text, uri)
        own = Own(uri, self._place.name, self._named.tag)
        if self._platform.engine:
            return OwnImage(own, self._in_engine(manifest, text), config)
        roots = Roots(self._platform.settings.home / FOLDER)
        root = roots.get(manifest.digest, (self._layer(layer.digest) for layer in manifest.layers))
        return OwnImage(own, Container(root=root), config)

    def _in_engine(self, manifest: Manifest, config: bytes) -> Container:
        engine = self._platform.engine
        layers = [Layer(each.size, partial(self._layer, each.digest)) for each in manifest.layers]
        images = EngineImages(self._platform.settings.home / FOLDER / ENGINE, engine)
        return Container(engine=engine, image=images.get(manifest.digest, config, layers))

    @property
    def _place(self) -> Repository:
        return self._named.place

    def _manifest(self, identifier: Mapping[str, str]) -> Manifest:
        answer = self._call("BatchGetImage", imageIds=[identifier])
        if not answer["images"]:
            raise StagingError(_NOT_PULLED)
        image = answer["images"][0]
        return parse(image["imageManifest"], image["imageManifestMediaType"])

    def _call(self, operation: str, **request: Any) -> dict[str, Any]:
        context = role_context(self._platform, self._record, self._role_arn, "ecr", operation)
        context = replace(context, region=self._place.region)
        try:
            return self._platform.invoke.call(context, {"repositoryName": self._place.name, **request})
        except ServiceError as error:
            raise StagingError(f"{_NOT_PULLED} ({error.message})") from error

    def _layer(self, digest: str) -> Iterator[bytes]:
        layer = self._layers.find(self._place, digest)
        if layer is None:
            raise StagingError(_NOT_PULLED)
        return self._layers.chunks(layer)


def _variables(listed: Sequence[str]) -> dict[str, str]:
    return {name: value for name, _, value in (each.partition("=") for each in listed)}


def _architecture() -> str:
    return _ARCHITECTURES.get(machine.machine(), machine.machine())


def _for_this_machine(index: Manifest, uri: str) -> str:
    for image in index.images:
        if image.platform == ("linux", _architecture()):
            return image.digest
    raise StagingError(f"ClientError: The image {uri} has no variant for linux/{_architecture()}.")


def _config(text: bytes, uri: str) -> Mapping[str, Any]:
    """What a configuration says about the command; the rest of it counts here only if it is for another machine."""
    try:
        document = orjson.loads(text)
        architecture = document.get("architecture") or _architecture()
        config = document.get("config") or {}
        _variables(config.get("Env") or ())
    except (ValueError, AttributeError) as error:
        raise StagingError(f"ClientError: The image {uri} has no configuration that can be read.") from error
    if architecture != _architecture():
        raise StagingError(
            f"ClientError: The image {uri} is for {architecture}, but this machine is {_architecture()}."
        )
    return config
