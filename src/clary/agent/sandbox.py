"""The view of the disk and of the system that a workload gets."""

from __future__ import annotations

import errno
import os
import shutil
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clary.agent import container, inputs, linux
from clary.agent.workload import ML_ROOT, RUN_ROOT, Bind, Container, Forward

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_HOST = "/.host"
"""Where the machine's own root is while the new one is assembled."""

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix", "/gnu")

# An allow-list, because /etc also holds passwords and private keys, which a sandbox run by root could read.
_SETTINGS = (
    "alternatives", "bash.bashrc", "ca-certificates", "ca-certificates.conf", "crypto-policies", "debian_version",
    "environment", "fonts", "gai.conf", "group", "host.conf", "inputrc", "ld.so.cache", "ld.so.conf", "ld.so.conf.d",
    "locale.alias", "locale.conf", "localtime", "login.defs", "lsb-release", "magic", "mime.types", "nsswitch.conf",
    "OpenCL", "os-release", "passwd", "pki", "profile", "profile.d", "protocols", "python3", "python3.11",
    "redhat-release", "services", "shells", "ssl/certs", "ssl/openssl.cnf", "terminfo", "timezone", "vulkan",
)  # fmt: skip
# What installing packages needs besides.
_PACKAGE_SETTINGS = ("apt", "dpkg", "skel", "pam.d", "security", "default", "deluser.conf", "adduser.conf", "subuid")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_GPUS = ("nvidia*", "dri", "kfd")
_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
# Files through which root steers the whole machine even without capabilities.
_CONTROLS = ("bus", "fs", "irq", "sys", "sysrq-trigger")
_SECRETS = ("kcore", "keys", "kmsg", "timer_list")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a sandbox shows."""

    base: Path
    """An empty folder of this machine, on which the new root is assembled."""
    hostname: str
    hosts: Mapping[str, str]
    """Addresses by name."""
    binds: tuple[Bind, ...]
    cgroups: Mapping[str, Path]
    memory_bytes: int
    network: bool
    forwards: tuple[Forward, ...] = ()
    layers: Path
    """Where changes to folders are kept that are shown with a layer of their own."""
    changeable: tuple[str, ...] = ()
    """Folders of the machine that are shown with such a layer."""
    root: Path | None = None
    """Where the writable system is kept."""
    container: Container | None = None
    """The system that is shown instead of the machine's own."""
    shown: inputs.Shown | None = None
    """Data that are shown without having been copied."""


def enter(view: View, relay: socket.socket | None = None) -> None:
    """Move the calling process, the first of a new process namespace, into `view`.

    `relay` receives a listening socket for each of the view's forwards.

    Raises:
        OSError: the machine refuses a step; the process is then of no further use.
    """
    flags = linux.CLONE_NEWNS | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS
    linux.unshare(flags if view.network else flags | linux.CLONE_NEWNET)
    socket.sethostname(view.hostname)
    if not view.network:
        _network(view.forwards, relay)
    _new_root(view)
    _system(view)
    _settings(view)
    for bind in sorted(view.binds, key=lambda bind: Path(bind.target).parts):
        if bind.target not in view.changeable or not _layered(bind.target, view.layers):
            _show(bind.source, bind.target, writable=bind.writable)
    if view.shown is not None:
        inputs.show(view.shown, _HOST)
    if view.root is not None:
        _package_folders(view.root)
    _processes()
    _devices(view.memory_bytes)
    for name, folder in view.cgroups.items():
        _show(folder, f"/sys/fs/cgroup/{name}".rstrip("/"))
    linux.unmount(_HOST)
    Path(_HOST).rmdir()
    if view.container is None:
        linux.make_readonly("/", recursive=False)
    linux.drop_privileges()


def folders(scratch: Path, bundle: Path, root: Path | None) -> Iterator[Bind]:
    """The writable folders of a workload: the thrown-away ones, or those that an instance keeps in `root`."""
    kept = scratch if root is None else root
    names = (
        ("/tmp", "/var/tmp", "/root") if root is None else ("/tmp", "/root", "/home", "/opt", "/srv", "/var")  # noqa: S108  # the sandbox's own
    )  # paths inside
    for name in names:
        path = kept / name.strip("/")
        path.mkdir(parents=True, exist_ok=True)
        if name.endswith("tmp"):
            path.chmod(0o1777)
        yield Bind(path, name, writable=True)
    if root is not None:
        (root / "etc").mkdir(exist_ok=True)
    yield Bind(bundle / "ml", ML_ROOT, writable=True)
    yield Bind(bundle / "run", RUN_ROOT, writable=True)


def contents(bundle: Path) -> Iterator[Bind]:
    """The writable folders of a workload in the system of an image: what the image has beside them stays in sight."""
    for folder in sorted((bundle / "ml").iterdir()):
        if any(folder.iterdir()) or folder.name != "code":
            yield Bind(folder, f"{ML_ROOT}/{folder.name}", writable=True)
    yield Bind(bundle / "run", RUN_ROOT, writable=True)


def _network(forwards: tuple[Forward, ...], relay: socket.socket | None) -> None:
    """A socket belongs to the network where it was made, so one made here can be served outside."""
    linux.raise_loopback()
    listeners = []
    for index, forward in enumerate(forwards):
        if not forward.address.startswith("127."):
            linux.add_loopback_address(forward.address, index)
        listeners.append(socket.create_server((forward.address, forward.port), backlog=128))
    if relay is not None:
        socket.send_fds(relay, [b"listeners"], [listener.fileno() for listener in listeners])


def _new_root(view: View) -> None:
    base = view.base
    linux.mount("", "/", "", linux.MS_REC | linux.MS_PRIVATE)
    if view.container is not None:
        container.mount(view.container, base, view.layers)
    else:
        linux.mount("tmpfs", str(base), "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=755,size=16m")
    (base / _HOST.strip("/")).mkdir()
    linux.pivot_root(str(base), f"{base}{_HOST}")
    os.chdir("/")


def _system(view: View) -> None:
    root = view.root
    for name in _SYSTEM if view.container is None else ():
        source = Path(f"{_HOST}{name}")
        if source.is_symlink():
            Path(name).symlink_to(source.readlink())
        elif source.is_dir() and not (name == "/usr" and root is not None and _layered(name, root)):
            _show(Path(name), name)
    _show(Path("/sys"), "/sys")


def _layered(name: str, root: Path) -> bool:
    """Show a folder with a layer of its own for changes, kept in `root`; False where that cannot be."""
    if Path(f"{_HOST}{name}").stat().st_uid != os.getuid():
        # An ordinary user's namespace does not know the owner of the system, so nobody inside could change it anyway.
        return False
    layer = Path(f"{_HOST}{root}") / ".layers" / name.strip("/").replace("/", "-")
    for part in ("upper", "work"):
        (layer / part).mkdir(parents=True, exist_ok=True)
    Path(name).mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={_HOST}{name},upperdir={layer}/upper,workdir={layer}/work,userxattr"
    try:
        linux.mount("overlay", name, "overlay", linux.MS_NODEV, options)
    except OSError:
        return False
    return True


def _package_folders(root: Path) -> None:
    """What apt expects in /var besides what it makes by itself."""
    if Path(f"{_HOST}/var/lib/dpkg").exists() and _is_plain(Path("/var/lib/dpkg")):
        _layered("/var/lib/dpkg", root)
    for name in ("cache/apt/archives/partial", "lib/apt/lists/partial", "log/apt", "tmp"):
        place = Path("/var", name)
        if _is_plain(place):
            place.mkdir(parents=True, exist_ok=True)


def _is_plain(path: Path) -> bool:
    """Whether no link leads elsewhere: an instance may have left one to the machine, which is in sight at `_HOST`."""
    return path.resolve() == path


def _settings(view: View) -> None:
    etc = _folder("/etc")
    if view.container is not None:
        pass
    elif view.root is None:
        _show_settings(etc)
    else:
        _show(view.root / "etc", "/etc", writable=True)
        _copy_settings(etc)
    _replace(etc / "hostname", f"{view.hostname}\n".encode())
    _replace(etc / "hosts", _addresses({view.hostname: "127.0.0.1", **view.hosts}).encode())
    with suppress(OSError):
        _replace(etc / "resolv.conf", _resolver())


def _addresses(hosts: Mapping[str, str]) -> str:
    lines = [f"{address} {name}" for name, address in hosts.items()]
    return "\n".join(["127.0.0.1 localhost", "::1 localhost ip6-localhost", *lines, ""])


def _replace(path: Path, content: bytes) -> None:
    """Write a file anew: what an instance has left there may be a link to a file of the machine."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def _copy_settings(etc: Path) -> None:
    """Give an instance its own settings at its first start."""
    for name in (*_SETTINGS, *_PACKAGE_SETTINGS):
        source, place = Path(f"{_HOST}/etc/{name}"), etc / name
        if place.exists() or not _is_plain(place):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, place, symlinks=True, copy_function=_copy_public)
        elif source.exists():
            _copy_public(source, place)


def _copy_public(source: str | Path, place: str | Path) -> None:
    """Copy a file that every user of the machine may read; others are secrets."""
    if Path(source).lstat().st_mode & 0o004:
        shutil.copy2(source, place, follow_symlinks=False)


def _show_settings(etc: Path) -> None:
    for name in _SETTINGS:
        source = Path(f"{_HOST}/etc/{name}")
        if source.is_symlink():
            (etc / name).parent.mkdir(parents=True, exist_ok=True)
            (etc / name).symlink_to(source.readlink())
        elif source.exists():
            _show(Path(f"/etc/{name}"), f"/etc/{name}")
    (etc / "mtab").symlink_to("/proc/self/mounts")


def _resolver() -> bytes:
    path = Path(f"{_HOST}/etc/resolv.conf")
    while path.is_symlink():
        target = path.readlink()
        path = Path(f"{_HOST}{target}") if target.is_absolute() else path.parent / target
    return path.read_bytes()


def _processes() -> None:
    _folder("/proc")
    linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
    for name in _CONTROLS:
        path = f"/proc/{name}"
        if Path(path).exists():
            linux.mount(path, path, "", linux.MS_BIND | linux.MS_REC)
            linux.make_readonly(path)
    for name in _SECRETS:
        if Path(f"/proc/{name}").exists():
            linux.mount(f"{_HOST}/dev/null", f"/proc/{name}", "", linux.MS_BIND)


def _devices(memory_bytes: int) -> None:
    _folder("/dev")
    linux.mount("tmpfs", "/dev", "tmpfs", linux.MS_NOSUID | linux.MS_NOEXEC, "mode=755,size=64k")
    for name in _DEVICES:
        _show(Path(f"/dev/{name}"), f"/dev/{name}", writable=True)
    for pattern in _GPUS:
        for device in Path(f"{_HOST}/dev").glob(pattern):
            _show(Path("/dev") / device.name, f"/dev/{device.name}", writable=True)
    for name, target in _DEVICE_LINKS.items():
        Path(f"/dev/{name}").symlink_to(target)
    flags = linux.MS_NOSUID | linux.MS_NOEXEC
    Path("/dev/pts").mkdir()
    linux.mount("devpts", "/dev/pts", "devpts", flags, "newinstance,ptmxmode=0666,mode=620")
    Path("/dev/shm").mkdir()  # noqa: S108  # the sandbox's own
    linux.mount("tmpfs", "/dev/shm", "tmpfs", flags | linux.MS_NODEV, f"mode=1777,size={memory_bytes}")  # noqa: S108


def _show(source: Path, target: str, *, writable: bool = False) -> None:
    """Bind `source`, a path of the machine, to `target`, a path of the new root."""
    origin, place = Path(f"{_HOST}{source}"), container.inside(target, _HOST)
    if origin.is_dir():
        place.mkdir(parents=True, exist_ok=True)
    elif not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    linux.mount(str(origin), str(place), "", linux.MS_BIND | linux.MS_REC)
    if not writable:
        linux.make_readonly(str(place))


def _folder(name: str) -> Path:
    """A folder at the top of the new root."""
    path = container.inside(name, _HOST)
    if path != Path(name):
        raise OSError(errno.ENOTDIR, "the image has made it a link", name)
    path.mkdir(exist_ok=True)
    return path
