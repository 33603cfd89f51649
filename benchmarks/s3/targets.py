"""The servers that are compared, each with a bucket and somebody who may use it."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.processes import cpu_seconds, tree_memory_mb
from benchmarks.report import median
from benchmarks.servers import clary, free_port, peer, program, python
from benchmarks.signed import Signer
from benchmarks.sockets import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.server import ClaryServer

BUCKET = "bench"
KEYS = 400
SMALL = os.urandom(1000)
LARGE = os.urandom(1 << 16) * 1024
GATEWAYS = 1
"""Beside the control process, which serves as well: as many processes together as there are processors here."""
IN_MEMORY = "in memory"
NGINX = Path("/usr/sbin/nginx")
ACCOUNT = "000000000000"
USER_POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": ["s3:ListAllMyBuckets", "s3:GetBucketLocation"], "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:AbortMultipartUpload"],
            "Resource": f"arn:aws:s3:::{BUCKET}/*",
            "Condition": {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}},
        },
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{BUCKET}"},
        {"Effect": "Deny", "Action": "s3:*", "Resource": f"arn:aws:s3:::{BUCKET}/secret/*"},
    ],
}
BUCKET_POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "Writers",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/bench"},
            "Action": ["s3:PutObject", "s3:ListMultipartUploadParts"],
            "Resource": f"arn:aws:s3:::{BUCKET}/*",
        },
        {
            "Sid": "NothingUnversionedGoes",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:DeleteObjectVersion",
            "Resource": f"arn:aws:s3:::{BUCKET}/*",
        },
    ],
}
"""The user may read by the one policy and write by the other, so both decide."""


@dataclass
class Target:
    """A server with a bucket and a key that may use it; what was measured of it by name."""

    name: str
    durability: str
    signer: Signer
    pid: int
    writable: bool = True
    figures: dict[str, list[float]] = field(default_factory=dict)

    def note(self, figure: str, value: float) -> None:
        self.figures.setdefault(figure, []).append(value)

    def median(self, figure: str) -> float | None:
        return median(self.figures[figure]) if figure in self.figures else None

    def cpu_s(self) -> float:
        return cpu_seconds(self.pid)

    def memory_mb(self) -> float:
        return tree_memory_mb(self.pid)


@contextmanager
def target(name: str) -> Iterator[Target]:
    """The server of that name, started.

    Raises:
        RuntimeError: it does not start.
    """
    with ExitStack() as stack:
        yield _STARTED[name.partition(" ")[0]](stack, name)


def make_bucket(signer: Signer) -> None:
    load(signer.address, [signer.request("s3", "PUT", f"/{BUCKET}")], 1, 0.0)


def _clary(stack: ExitStack, name: str, durability: str, **settings: str) -> Target:
    variables = {"CLARY_WARM_WORKERS": "0", "CLARY_DURABILITY": durability, **settings}
    server = stack.enter_context(clary(None, **variables))
    assert server.process is not None
    told = "flushed to the disk" if durability == "disk" else "nothing flushed"
    return Target(name, told, user_of(server), server.process.pid)


def user_of(server: ClaryServer) -> Signer:
    """A user whose rights come from a policy of its own and from that of the bucket."""
    iam, s3 = server.client("iam"), server.client("s3")
    iam.create_user(UserName="bench")
    iam.put_user_policy(UserName="bench", PolicyName="bench", PolicyDocument=json.dumps(USER_POLICY))
    key = iam.create_access_key(UserName="bench")["AccessKey"]
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(BUCKET_POLICY))
    return Signer(("127.0.0.1", server.port), key["AccessKeyId"], key["SecretAccessKey"])


def _rclone(stack: ExitStack, name: str) -> Target:
    port = free_port()
    command = [str(python("rclone").with_name("rclone")), "serve", "s3", "--addr", f"127.0.0.1:{port}"]
    options = ["--auth-key", "benchkey,benchsecret", "--vfs-cache-mode", "off", "--config", "none", "objects"]
    address, pid = stack.enter_context(program("rclone", [*command, *options], port))
    signer = Signer(address, "benchkey", "benchsecret")
    make_bucket(signer)
    return Target(name, "nothing flushed", signer, pid)


def _moto(stack: ExitStack, name: str) -> Target:
    port = free_port()
    address, pid = stack.enter_context(peer("moto", ["-m", "moto.server", "-p", str(port)], port))
    return _emulator(name, Signer(address, "key", "secret"), pid)


def _ministack(stack: ExitStack, name: str) -> Target:
    port = free_port()
    variables = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "SERVICES": "s3", "LOG_LEVEL": "WARNING"}
    address, pid = stack.enter_context(peer("ministack", ["-m", "ministack"], port, variables))
    return _emulator(name, Signer(address, "test", "test"), pid)


def _localstack(stack: ExitStack, name: str) -> Target:
    port = free_port()
    variables = {"GATEWAY_LISTEN": f"127.0.0.1:{port}", "SERVICES": "s3", "DISABLE_EVENTS": "1"}
    variables["SKIP_SSL_CERT_DOWNLOAD"] = "1"
    address, pid = stack.enter_context(peer("localstack", ["-m", "localstack.runtime.main"], port, variables))
    return _emulator(name, Signer(address, "test", "test"), pid)


def _emulator(name: str, signer: Signer, pid: int) -> Target:
    make_bucket(signer)
    return Target(name, IN_MEMORY, signer, pid)


def _nginx(stack: ExitStack, name: str) -> Target:
    if not NGINX.exists():
        raise RuntimeError("the Debian package nginx-light is not installed")
    port = free_port()
    root = Path(stack.enter_context(TemporaryDirectory(prefix="nginx-root-")))
    (root / BUCKET / "small").mkdir(parents=True)
    (root / BUCKET / "large").write_bytes(LARGE)
    for number in range(KEYS):
        (root / BUCKET / "small" / str(number)).write_bytes(SMALL)
    directives = (
        f"daemon off; worker_processes auto; pid nginx.pid; error_log stderr; user root; events {{}} "
        f"http {{ access_log off; sendfile on; keepalive_requests 1000000; client_body_temp_path body; "
        f"proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi; "
        f"server {{ listen 127.0.0.1:{port}; root {root}; }} }}"
    )
    # The configuration must lie in a file: options on the command line may not hold blocks.
    script = 'printf "%s" "$NGINX_CONF" > nginx.conf; exec "$0" -p "$PWD" -c nginx.conf'
    command = ["/bin/sh", "-c", script, str(NGINX)]
    address, pid = stack.enter_context(program("nginx", command, port, {"NGINX_CONF": directives}))
    return Target(name, "reads only", Signer(address, "none", "none"), pid, writable=False)


_STARTED: dict[str, Callable[[ExitStack, str], Target]] = {
    "disk": lambda stack, name: _clary(stack, name, "disk"),
    "process": lambda stack, name: _clary(stack, name, "process"),
    "gateways": lambda stack, name: _clary(stack, name, "process", CLARY_GATEWAYS=str(GATEWAYS)),
    "rclone": _rclone,
    "moto": _moto,
    "ministack": _ministack,
    "localstack": _localstack,
    "nginx": _nginx,
}
