"""The network of model servers in containers, all of which listen at the same port.

Source: "Amazon ECS Local Container Endpoints" for the address.
"""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import TYPE_CHECKING

from clary.agent import relay
from clary.agent.workload import SERVE_SOCKET

if TYPE_CHECKING:
    from clary.agent.engine_api import Engine
    from clary.agent.workload import Workload

NAME = "clary"
_SUBNET = "169.254.170.0/23"
_GATEWAY = "169.254.170.2"
"""This machine, as containers see it: the address from which AWS's clients take credentials without TLS."""
_IP_FREEBIND = 15
"""Option of sockets in Linux: the address may come later, as some engines make a network for its first container."""


def lead_out(workload: Workload, engine: Engine) -> Workload:
    """Begin what carries connections from containers to the platform; gives the workload that finds it there."""
    engine.make_network(NAME, _SUBNET, _GATEWAY)
    listeners, env = [], dict(workload.env)
    for forward in workload.forwards:
        listener = socket.socket()
        listener.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        listener.bind((_GATEWAY, 0))
        listener.listen(128)
        listeners.append(listener)
        place = f"{_GATEWAY}:{listener.getsockname()[1]}"
        env = {name: value.replace(forward.target, place) for name, value in env.items()}
    relay.begin(listeners, [forward.target for forward in workload.forwards])
    return replace(workload, env=env)


def lead_in(workload: Workload, port: int) -> None:
    """Begin what carries requests from the socket of a model server to the port that leads to its container."""
    relay.lead_in(str(workload.bundle / "run" / SERVE_SOCKET), port)
