"""All that is asked of Ray: where hosts run, whether they live, and their end."""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import ray
from ray.exceptions import ActorDiedError, GetTimeoutError, RayActorError, RayError
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from clary.compute.ray.cluster import Dead, Node, Size, Unreachable
from clary.compute.ray.host import Host
from clary.compute.ray.wire import Address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ray.util.placement_group import PlacementGroup

    from clary.compute.ray.cluster import Wish

_LOG = logging.getLogger(__name__)
ANSWER_S = 1.0
"""How long to wait for an actor, which may have no room yet."""

_T = TypeVar("_T")


class NodeHost(Host):
    """A host as an actor; when its process ends, in whatever way, so does the workload."""

    def __init__(self, name: str, secret: str) -> None:
        context = ray.get_runtime_context()
        super().__init__(name, secret, ray.util.get_node_ip_address(), context.namespace)
        self._head = context.gcs_address
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while self.is_wanted(self._head):
            time.sleep(1)
        os._exit(1)


class Placement:
    """The hosts of one platform on a Ray cluster; a call connects anew where that is needed.

    Args:
        address: that of a Ray Client server, `HOST:PORT`; empty for the cluster to which this machine belongs.
        namespace: that of the actors.
    """

    def __init__(self, address: str, namespace: str) -> None:
        self._address = f"ray://{address}" if address else "auto"
        self._namespace = namespace
        self._lock = threading.Lock()
        self._asked: dict[str, Any] = {}
        """What waits for hosts that have no room yet."""
        self._left = False

    def nodes(self) -> list[Node]:
        """The living machines of the cluster.

        Raises:
            Unreachable: Ray does not answer, or tells of none.
        """
        found = [
            Node(one["NodeManagerAddress"], _size(one["Resources"])) for one in self._call(ray.nodes) if one["Alive"]
        ]
        if not found:
            raise Unreachable("it has no living node")
        return found

    def place(self, wish: Wish) -> None:
        """Ask for a host; one of this name that is there already is it.

        Raises:
            Unreachable: Ray does not answer.
        """
        self._call(lambda: self._place(wish))

    def find(self, name: str) -> Address | None:
        """Where a host listens; None while it waits for room.

        Raises:
            Dead: it has died, or never was.
            Unreachable: Ray does not answer.
        """
        return self._call(lambda: self._find(name))

    def names(self) -> list[str]:
        """The names of all hosts of this platform that have not been ended.

        Raises:
            Unreachable: Ray does not answer.
        """
        listed: Sequence[dict[str, str]] = self._call(lambda: ray.util.list_named_actors(all_namespaces=True))
        return [one["name"] for one in listed if one["namespace"] == self._namespace]

    def groups(self) -> list[str]:
        """The groups of hosts of this platform that have not been ended.

        Raises:
            Unreachable: Ray does not answer.
        """
        listed: dict[str, dict[str, Any]] = self._call(ray.util.placement_group_table)
        ours = f"{self._namespace}:"
        names = [one["name"] for one in listed.values() if one["state"] != "REMOVED"]
        return [name.removeprefix(ours) for name in names if name.startswith(ours)]

    def end(self, name: str, group: str) -> None:
        """End a host, and with it its workload, wherever it is, and its group; safe to repeat. Either may be empty.

        Raises:
            Unreachable: Ray does not answer.
        """
        self._call(lambda: self._end(name, group))

    def close(self) -> None:
        """Leave the cluster; hosts stay."""
        self._left = True
        with self._lock, suppress(Exception):  # whatever state the connection is in
            ray.shutdown()

    def _call(self, function: Callable[[], _T]) -> _T:
        try:
            self._connect()
            return function()
        except Dead:
            raise
        except (RayError, ConnectionError, RuntimeError, ValueError) as error:
            raise Unreachable(str(error)) from error
        except Exception as error:
            # The client raises plain exceptions once its connection is gone.
            if type(error) is not Exception:
                raise
            raise Unreachable(str(error)) from error

    def _connect(self) -> None:
        with self._lock:
            if self._left:
                raise ConnectionError("the platform has left the cluster")
            if ray.is_initialized():
                return
            with suppress(Exception):  # what is left of a broken connection
                ray.shutdown()
            ray.init(
                self._address, namespace=self._namespace, log_to_driver=False, logging_level=logging.ERROR,
            )  # fmt: skip

    def _place(self, wish: Wish) -> None:
        options: dict[str, Any] = {}
        if wish.group:
            options["scheduling_strategy"] = PlacementGroupSchedulingStrategy(
                self._group(wish), placement_group_bundle_index=wish.index
            )
        ray.remote(NodeHost).options(
            name=wish.name,
            namespace=self._namespace,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=0,
            num_cpus=wish.size.cpus,
            num_gpus=wish.size.gpus,
            memory=wish.size.memory_bytes,
            **options,
        ).remote(wish.name, wish.secret)

    def _group(self, wish: Wish) -> PlacementGroup:
        """The hosts that come together come one after the other, so that the first of them makes the group."""
        name = f"{self._namespace}:{wish.group}"
        with self._lock:
            try:
                return ray.util.get_placement_group(name)
            except ValueError:
                return ray.util.placement_group(
                    [wish.bundle] * wish.count, strategy="STRICT_SPREAD", name=name, lifetime="detached"
                )

    def _find(self, name: str) -> Address | None:
        try:
            actor = ray.get_actor(name, namespace=self._namespace)
        except ValueError as error:
            raise Dead("there is no such actor any more") from error
        answer = self._asked.pop(name, None) or actor.address.remote()
        try:
            return Address(*ray.get(answer, timeout=ANSWER_S))
        except GetTimeoutError:
            self._asked[name] = answer
            return None
        except ActorDiedError as error:
            raise Dead(" ".join(str(error).split())) from error
        except RayActorError as error:
            raise Unreachable(str(error)) from error

    def _end(self, name: str, group: str) -> None:
        if name:
            with suppress(ValueError, RayActorError):
                ray.kill(ray.get_actor(name, namespace=self._namespace))
        if group:
            with suppress(ValueError):
                ray.util.remove_placement_group(ray.util.get_placement_group(f"{self._namespace}:{group}"))


def _size(resources: dict[str, float]) -> Size:
    return Size(resources.get("CPU", 0.0), int(resources.get("memory", 0)), resources.get("GPU", 0.0))
