"""Every setting, read once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNIX = "unix://"
"""How the address of a Unix socket begins."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user may choose; `docs/reference/settings.md` explains each."""

    home: Path
    """Everything that Clary keeps lies below this folder."""
    host: str = "127.0.0.1"
    """The address to bind."""
    port: int = 4100
    """The port of all services."""
    proxy_port: int = 0
    """Port of the TLS proxy for clients with a fixed AWS address; 0 means the port after `port`."""
    account: str = "000000000000"
    """The number of the AWS account that the platform plays."""
    region: str = "us-east-1"
    """The region of calls whose signature names none, and of clients that `clary env` and `clary run` set up."""
    durability: Literal["disk", "process"] = "disk"
    """`disk`: acknowledged writes survive power loss; `process`: they survive the end of the process only."""
    long_poll_s: float = 25.0
    """How long a Describe of a running job may be held for the SageMaker SDK v2, which sleeps a lot by itself."""
    s3_domain: str = ""
    """Domain under which buckets are also addressed as host names."""
    database: str = ""
    """Where records and the index of objects live: empty for a file below `home`, or `postgresql://user@host/database`."""
    objects: str = ""
    """Where the bytes of objects live: empty for `home`, or `s3://BUCKET/PREFIX?endpoint=URL&region=NAME` in any S3
    server; keys are found as AWS clients find them, or named by `profile`, `access_key_id`, `secret_access_key`."""
    key_file: str = ""
    """The file with the key that seals secrets at rest; empty for `key` below `home`, made at the first start."""
    encrypt: bool = False
    """Encrypt the bytes of all objects at rest, with keys sealed by that of `key_file`."""
    gateways: int = 0
    """Processes that serve S3, IAM and STS beside the first one; 0: the first one serves everything."""
    audit: Literal["all", "management"] = "all"
    """Which calls the audit log keeps: all, or those alone that are about resources rather than about their data."""
    audit_days: int = 90
    """How long the audit log keeps them."""
    compute: str = "process"
    """Where workloads run: `process`, on this machine; `ray://HOST:PORT`, jobs and endpoints on the Ray cluster with
    that Ray Client server; `ray://`, on the one to which this machine belongs; or another entry point of the group
    `clary.compute`."""
    isolation: Literal["auto", "none"] = "auto"
    """`auto` uses what this machine allows; `none` runs workloads as plain processes."""
    containers: str = "auto"
    """Where images of one's own run: `auto`, in sandboxes or, where the machine allows none, in the container engine
    that is found; `sandbox`, in sandboxes only; `engine`, in that engine; `unix://PATH`, in the one at that socket."""
    warm_workers: bool = True
    """Keep an interpreter with the usual libraries imported, from which jobs are forked."""
    frameworks: Literal["installed", "requested"] = "installed"
    """Where scripts run: `installed`, with the frameworks of Clary's own environment, whatever version an image names;
    `requested`, in an environment that uv makes with that version when it is not the installed one."""
    job_parallelism: int = 0
    """Most jobs at the same time; 0 means as many as their instance types have room for."""
    instance_quota: int = 1000
    """How many instances of one type an account may use at once for one purpose, until it asks for more."""

    @property
    def tunnel_port(self) -> int:
        """The port of the TLS proxy."""
        return self.proxy_port or self.port + 1

    @property
    def key_path(self) -> Path:
        """The file with the key that seals secrets at rest."""
        return Path(self.key_file).expanduser() if self.key_file else self.home / "key"

    @property
    def endpoint(self) -> str:
        """The address under which workloads on this machine reach the platform."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::", ""} else self.host  # noqa: S104  # compared, not bound
        return f"http://{host}:{self.port}"


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"CLARY_{name.upper()}"


def load(environ: Mapping[str, str], **overrides: object) -> Settings:
    """The settings from `CLARY_*` variables, narrowed by explicit overrides that are not None.

    Raises:
        ValueError: a variable does not parse.
    """
    values: dict[str, object] = {"home": Path(environ.get(variable("home")) or Path.home() / ".clary")}
    for name, kind in _KINDS.items():
        text = environ.get(variable(name))
        if text is not None:
            values[name] = _parse(name, kind, text)
    values.update({name: value for name, value in overrides.items() if value is not None})
    for name, choices in _CHOICES.items():
        if not _is_choice(str(values.get(name, choices[0])), choices):
            raise ValueError(f"{variable(name)}: {values[name]!r} is none of {', '.join(choices)}")
    if not 0 < int(str(values.get("port", 1))) < 65535:
        raise ValueError(f"the port {values['port']} is not between 1 and 65534")
    values["home"] = Path(str(values["home"])).expanduser().resolve()
    return Settings(**values)  # type: ignore[arg-type]  # checked by _KINDS


def environment(settings: Settings) -> dict[str, str]:
    """The variables from which `load` makes the same settings."""
    values = {name: getattr(settings, name) for name in ("home", *_KINDS)}
    return {variable(name): str(int(value) if isinstance(value, bool) else value) for name, value in values.items()}


_KINDS: Mapping[str, type] = {
    "host": str,
    "port": int,
    "proxy_port": int,
    "account": str,
    "region": str,
    "durability": str,
    "long_poll_s": float,
    "s3_domain": str,
    "database": str,
    "objects": str,
    "key_file": str,
    "encrypt": bool,
    "gateways": int,
    "audit": str,
    "audit_days": int,
    "compute": str,
    "isolation": str,
    "containers": str,
    "frameworks": str,
    "warm_workers": bool,
    "job_parallelism": int,
    "instance_quota": int,
}


_CHOICES: Mapping[str, tuple[str, ...]] = {
    "audit": ("all", "management"),
    "containers": ("auto", "sandbox", "engine", UNIX),
    "durability": ("disk", "process"),
    "frameworks": ("installed", "requested"),
    "isolation": ("auto", "none"),
}


def _is_choice(value: str, choices: Sequence[str]) -> bool:
    return value in choices or any(value.startswith(choice) for choice in choices if choice.endswith("://"))


def _parse(name: str, kind: type, text: str) -> object:
    try:
        if kind is bool:
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]
        return kind(text)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{variable(name)}: {text!r} is not a valid {kind.__name__}") from error
