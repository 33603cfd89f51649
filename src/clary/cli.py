"""The command line: `clary up | env | run | status | down | doctor`."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from configparser import ConfigParser
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clary import __version__, first_run
from clary.clock import SystemClock
from clary.commands import audit, destination, explain, gateway, interrupt, lifecycle, policy, scrub
from clary.settings import Settings, load
from clary.store.database import DatabaseError
from clary.store.engines import open_database, place
from clary.store.keyring import Keyring, UnusableKey
from clary.store.records import Records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from clary.compute.probe import Machine

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0
SESSION = timedelta(hours=12)
STATE = "server.json"
"""Tells where the server of a home folder answers, while it does."""

LOG = "clary.log"
HOME_BYTES = 75
"""The longest path below it is that of a notebook's socket; the kernel's structure holds 107 bytes."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status."""
    options = parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        status = command(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Who reads has seen enough, as `head` has; nothing may be written at the end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (_Refused, ValueError, DatabaseError) as error:
        print(f"clary: {error}", file=sys.stderr)
        return 1
    return status


class _Refused(Exception):
    """The command cannot be done; the text says why."""


def parser() -> argparse.ArgumentParser:
    """The commands and their arguments."""
    clary = argparse.ArgumentParser(prog="clary", description="A machine-learning platform that you own.")
    clary.add_argument("--version", action="version", version=f"clary {__version__}")
    commands = clary.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument("--home", type=Path, help="the folder that holds everything (CLARY_HOME, else ~/.clary)")
        sub.set_defaults(command=command)
        return sub

    up = add("up", up_command, "Start the platform.")
    up.add_argument("--port", type=int, help="the port of all services (default 4100)")
    up.add_argument("--host", help="the address to bind (default 127.0.0.1)")
    up.add_argument("--detach", action="store_true", help="go to the background once it answers")
    add("env", env_command, 'Print shell exports for clients: eval "$(clary env)".')
    run = add("run", run_command, "Run one command with everything an AWS client needs in its environment.")
    run.add_argument("--role", nargs="?", const=first_run.ROLE, help="act as a session of this role instead of as root")
    run.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="the command and its arguments")
    add("status", status_command, "Tell whether the platform runs, and where.")
    add("down", down_command, "Stop the platform; workloads go on and are found again at the next start.")
    add(
        "doctor",
        doctor_command,
        "Tell what this machine allows: isolation, limits, virtual machines, containers, GPUs.",
    )
    for each in (audit, destination, explain, gateway, interrupt, lifecycle, policy, scrub):
        each.add(commands)
    return clary


def up_command(options: argparse.Namespace) -> int:
    """`clary up`: serve until stopped, or in the background."""
    settings = load(os.environ, home=options.home, port=options.port, host=options.host)
    running = _running(settings.home)
    if running:
        raise _Refused(f"already running at {running['endpoint']} (process {running['pid']})")
    _make_home(settings.home)
    first = not first_run.profile(settings.home).exists()
    if options.detach:
        _start_detached(settings)
        _greet(settings, first=first)
        return 0
    return _serve(settings, first=first)


def env_command(options: argparse.Namespace) -> int:
    """`clary env`: exports for a shell."""
    settings = _served(options)
    for name, value in environment(settings).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def run_command(options: argparse.Namespace) -> int:
    """`clary run`: one command with the whole environment, the TLS tunnel included."""
    argv = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
    if not argv:
        raise _Refused("nothing to run: clary run -- python script.py")
    settings = _served(options)
    variables = {**os.environ, **environment(settings), **tunnel_environment(settings)}
    if options.role:
        variables.update(_assume(options.role, settings))
    try:
        return subprocess.run(argv, env=variables, check=False).returncode  # noqa: S603  # what the user typed
    except FileNotFoundError as error:
        raise _Refused(f"{argv[0]}: {error.strerror}") from error


def status_command(options: argparse.Namespace) -> int:
    """`clary status`: one line."""
    settings = load(os.environ, home=options.home)
    running = _running(settings.home)
    if not running:
        print(f"Clary is not running (home {settings.home})")
        return 3
    beside = "".join(f", {pid}" for pid in running.get("gateways", ()))
    processes = f"process{'es' if beside else ''} {running['pid']}{beside}"
    print(f"Clary {running['version']} answers at {running['endpoint']} ({processes}, home {settings.home})")
    return 0


def down_command(options: argparse.Namespace) -> int:
    """`clary down`: stop and wait."""
    settings = load(os.environ, home=options.home)
    running = _running(settings.home)
    if not running:
        raise _Refused(f"not running (home {settings.home})")
    os.kill(running["pid"], signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while _alive(running["pid"]):
        if time.monotonic() > deadline:
            raise _Refused(f"process {running['pid']} does not end")
        time.sleep(0.05)
    return 0


def doctor_command(options: argparse.Namespace) -> int:
    """`clary doctor`: what was tried on this machine, and what came of it."""
    from clary.compute.probe import probe  # noqa: PLC0415  # the other commands need none of the compute part

    settings = load(os.environ, home=options.home)
    folder = settings.home if settings.home.exists() else None
    machine = probe(isolation=settings.isolation, containers=settings.containers, folder=folder)
    rows = [
        ("isolation", machine.isolation + (f" ({machine.reason})" if machine.reason else "")),
        ("as root", "yes" if machine.root else "no"),
        ("inputs", f"copied ({machine.copies})" if machine.copies else "linked and served, not copied"),
        ("network isolation", "yes" if machine.network else "no"),
        ("limits", ", ".join(sorted(machine.cgroups)) or "affinity and a memory watchdog (no control groups)"),
        ("KVM", "yes" if machine.kvm else "no"),
        ("GPUs", ", ".join(machine.gpus) or "none"),
        ("container engines", ", ".join(machine.containers) or "no Docker or podman socket"),
        ("images", _where_images_run(machine, settings.containers)),
        ("processors", str(os.cpu_count())),
        ("home", str(settings.home)),
    ]
    for name, value in rows:
        print(f"{name:<18} {value}")
    return 0


def _where_images_run(machine: Machine, wanted: str) -> str:
    if machine.engine:
        return f"run in the container engine at {machine.engine}"
    if wanted == "engine" or machine.isolation == "none":
        return "cannot run (no sandbox or container engine)"
    return "run in sandboxes"


def environment(settings: Settings) -> dict[str, str]:
    """What AWS clients need to reach the platform as root."""
    parser = ConfigParser()
    parser.read(first_run.profile(settings.home))
    keys = parser["default"]
    return {
        "AWS_ENDPOINT_URL": settings.endpoint,
        "AWS_ACCESS_KEY_ID": keys["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": keys["aws_secret_access_key"],
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(first_run.sdk_config(settings.home)),
        "CLARY_EXECUTION_ROLE": first_run.role_arn(settings),
    }


def tunnel_environment(settings: Settings) -> dict[str, str]:
    """What makes clients with a fixed AWS address reach the platform too."""
    proxy = f"http://127.0.0.1:{settings.tunnel_port}"
    authority = str(settings.home / "tls" / "ca.pem")
    return {
        "HTTPS_PROXY": proxy,
        "https_proxy": proxy,
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "AWS_CA_BUNDLE": authority,
        "REQUESTS_CA_BUNDLE": authority,
    }


def _serve(settings: Settings, *, first: bool) -> int:
    from clary.app import CannotListen, Server  # noqa: PLC0415  # half a second that the other commands need not pay

    state = settings.home / STATE

    def tell(gateways: Sequence[int] = ()) -> None:
        told = {"pid": os.getpid(), "endpoint": settings.endpoint, "port": settings.port, "host": settings.host,
                "version": __version__, "gateways": list(gateways)}  # fmt: skip
        state.write_text(json.dumps(told))

    def ready() -> None:
        tell()
        _greet(settings, first=first)

    with _alone(settings.home):
        state.unlink(missing_ok=True)
        try:
            Server(settings, on_ready=ready, on_gateways=tell).run()
        except (CannotListen, UnusableKey) as error:
            raise _Refused(str(error)) from error
        except DatabaseError as error:
            raise _Refused(f"{place(settings)} cannot be used: {error}") from error
        finally:
            state.unlink(missing_ok=True)
    return 0


def _make_home(home: Path) -> None:
    """The folder that holds everything, for its owner alone."""
    size = len(os.fsencode(home))
    if size > HOME_BYTES:
        raise _Refused(
            f"the home folder's path may have {HOME_BYTES} bytes, because the sockets of model servers lie below it: "
            f"{home} has {size}"
        )
    try:
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o700)
    except OSError as error:
        raise _Refused(f"the home folder {home} cannot be made: {error.strerror}") from error


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Keeps other servers out of the home folder; the lock ends with the process, however that ends."""
    try:
        file = (home / "lock").open("a")
    except OSError as error:
        raise _Refused(f"the home folder {home} cannot be written: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _Refused(f"another server starts or runs in {home}") from error
        yield


def _start_detached(settings: Settings) -> None:
    command = [sys.executable, "-m", "clary.cli", "up", "--home", str(settings.home), "--port", str(settings.port),
               "--host", settings.host]  # fmt: skip
    with (settings.home / LOG).open("ab") as log:
        begin = log.tell()
        process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True
        )
    deadline = time.monotonic() + START_TIMEOUT_S
    while (_running(settings.home) or {}).get("pid") != process.pid:
        if process.poll() is not None or time.monotonic() > deadline:
            raise _Refused(_last_words(settings.home / LOG, begin))
        time.sleep(0.02)


def _last_words(log: Path, begin: int) -> str:
    """Why a server in the background did not start."""
    lines = log.read_bytes()[begin:].decode("utf-8", "replace").splitlines()
    told = [line.removeprefix("clary: ") for line in lines if line.startswith("clary: ")]
    return told[-1] if told else f"it does not start; see {log}"


def _greet(settings: Settings, *, first: bool) -> None:
    print(f"Clary {__version__} answers at {settings.endpoint}")
    if first:
        keys = environment(settings)
        print("Root credentials, shown this once and kept in " + str(first_run.profile(settings.home)) + ":")
        print(f"  AWS_ACCESS_KEY_ID={keys['AWS_ACCESS_KEY_ID']}")
        print(f"  AWS_SECRET_ACCESS_KEY={keys['AWS_SECRET_ACCESS_KEY']}")
    sys.stdout.flush()


def _served(options: argparse.Namespace) -> Settings:
    settings = load(os.environ, home=options.home)
    running = _running(settings.home)
    if not running:
        raise _Refused(f"not running (home {settings.home}); start it with: clary up --detach")
    return load(os.environ, home=options.home, port=running["port"], host=running["host"])


def _assume(role: str, settings: Settings) -> dict[str, str]:
    """Credentials of a role, which STS refuses to root; whoever may read the home folder may have them anyway."""
    from clary.auth.credentials import Credentials  # noqa: PLC0415  # the other commands need no database

    database = open_database(settings)
    records = Records(database)
    arn = role if role.startswith("arn:") else f"arn:aws:iam::{settings.account}:role/{role}"
    record = records.by_arn(arn)
    if record is None:
        raise _Refused(f"there is no role {arn}")
    credentials = Credentials(records, SystemClock(), settings.account, Keyring.at(settings.key_path))
    session = credentials.issue_session(record, "clary-run", SESSION)
    database.close()
    return {
        "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
        "AWS_SESSION_TOKEN": session["SessionToken"],
    }


def _running(home: Path) -> dict[str, Any] | None:
    try:
        state: dict[str, Any] = json.loads((home / STATE).read_text())
    except (OSError, ValueError):
        return None
    return state if _alive(state["pid"]) and _answers(state["endpoint"]) else None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _answers(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/_clary/health", timeout=2) as answer:  # noqa: S310  # our own server
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    sys.exit(main())
