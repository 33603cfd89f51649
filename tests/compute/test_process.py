"""The whole way of a workload: real agents, real processes."""

from __future__ import annotations

import ast
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from clary.agent import bundle
from clary.agent.supervisor import cgroups_of
from clary.agent.workload import Task
from clary.compute import process
from clary.compute.base import Archive, Bind
from clary.compute.process import ProcessBackend
from tests.compute.conftest import MIB, Bench

if TYPE_CHECKING:
    from clary.compute.probe import Machine

needs_namespaces = pytest.mark.usefixtures("namespaces")


@pytest.fixture
def namespaces(machine: Machine) -> None:
    if machine.isolation == "none":
        pytest.skip(machine.reason)


def test_a_command_runs_and_ends_with_its_exit_code(any_bench: Bench) -> None:
    seen = any_bench.run("exit", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (seen.phase, seen.exit_code, seen.signal, seen.reason) == ("exited", 3, 0, "")
    assert any_bench.log("exit") == ["out", "err"]
    assert seen.started_at is not None
    assert seen.ended_at is not None
    assert seen.started_at <= seen.ended_at


def test_a_signal_is_told_apart_from_an_exit_code(any_bench: Bench) -> None:
    seen = any_bench.run("signal", "sh", "-c", "kill -SEGV $$")
    assert (seen.exit_code, seen.signal) == (139, signal.SIGSEGV)


def test_an_unknown_command_exits_with_127(any_bench: Bench) -> None:
    assert any_bench.run("unknown", "no-such-program").exit_code == 127
    assert "no-such-program" in any_bench.log("unknown")[0]


def test_only_the_given_environment_is_there(any_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "of the platform")
    any_bench.run("env", "python", "-c", "import os; print(*sorted(os.environ))", env={"MINE": "1"}, cpus=2)
    names = set(any_bench.log("env")[0].split())
    assert {"MINE", "OMP_NUM_THREADS", "PATH"} <= names
    assert "SECRET" not in names


def test_starting_the_same_id_twice_gives_the_same_workload(any_bench: Bench) -> None:
    handles = [any_bench.start("twice", "sh", "-c", "echo once; sleep 0.2") for _ in range(3)]
    assert handles[0] == handles[1] == handles[2]
    any_bench.wait(handles[0])
    any_bench.start("twice", "sh", "-c", "echo again")
    assert any_bench.log("twice") == ["once"]


def test_a_workload_is_begun_after_all_when_the_platform_was_killed_before_the_fork(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(process, "_start_cold", lambda _: None)
        handle = bench.start("unborn", "sh", "-c", "exit 3")
    assert bench.backend.poll(handle).phase == "starting"
    before = time.time() - 5
    os.utime(bench.folder / "unborn" / bundle.TASK, (before, before))
    assert bench.wait(handle).exit_code == 3


def test_an_agent_that_is_born_while_somebody_looks_is_not_taken_for_dead(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def not_yet(folder: Path) -> None:
        looks.append(folder)
        # The first look is that of the watcher.
        if len(looks) > 1:
            bundle.write(folder / bundle.STATUS, {"phase": "starting"})

    with monkeypatch.context() as early:
        early.setattr(process, "_start_cold", lambda _: None)
        handle = bench.start("born", "true")
        early.setattr(bundle, "agent_pid", not_yet)
        assert bench.backend.poll(handle).phase == "starting"


def test_an_unknown_workload_is_gone(any_bench: Bench, tmp_path: Path) -> None:
    handle = {"id": "never", "bundle": str(tmp_path / "never"), "isolation": "none"}
    assert any_bench.backend.poll(handle).phase == "gone"
    any_bench.backend.stop(handle, 1)
    any_bench.backend.delete(handle)


def test_stop_lets_a_workload_finish_within_its_grace(any_bench: Bench) -> None:
    handle = any_bench.start(
        "polite", "sh", "-c", "trap 'echo saved; exit 0' TERM; echo up; while :; do sleep 0.02; done"
    )
    any_bench.wait_for_line("polite", "up")
    any_bench.backend.stop(handle, 10)
    seen = any_bench.wait(handle)
    assert (seen.exit_code, seen.reason) == (0, "stopped")
    assert any_bench.log("polite")[-1] == "saved"


def test_stop_kills_after_the_grace(any_bench: Bench) -> None:
    handle = any_bench.start("stubborn", "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.02; done")
    any_bench.wait_for_line("stubborn", "up")
    any_bench.backend.stop(handle, 0.1)
    seen = any_bench.wait(handle)
    assert (seen.signal, seen.reason) == (signal.SIGKILL, "stopped")


def test_a_workload_stopped_before_it_was_born_never_outlives_the_wish(any_bench: Bench) -> None:
    handle = any_bench.start("early", "sleep", "30")
    any_bench.backend.stop(handle, 0)
    assert any_bench.wait(handle).reason == "stopped"


def test_the_agent_enforces_the_run_time(any_bench: Bench) -> None:
    seen = any_bench.run("timeout", "sleep", "30", timeout_s=0.1, grace_s=5)
    assert (seen.reason, seen.signal) == ("timeout", signal.SIGTERM)


def test_daemons_end_with_the_workload(any_bench: Bench) -> None:
    daemon = "import os, time\nif os.fork() == 0:\n os.setsid()\n if os.fork() == 0:\n  time.sleep(77)\ntime.sleep(0.1)"
    any_bench.run("daemon", "python", "-c", daemon)
    assert _alive("time.sleep(77)") == []


def test_a_killed_agent_takes_everything_along(any_bench: Bench) -> None:
    handle = any_bench.start("lost", "sh", "-c", "setsid sleep 7654 & echo up; sleep 7654")
    any_bench.wait_for_line("lost", "up")
    os.kill(bundle.agent_pid(Path(handle["bundle"])) or 0, signal.SIGKILL)
    seen = any_bench.wait(handle)
    assert (seen.phase, seen.reason) == ("exited", "lost")
    psutil.wait_procs(_alive("7654"), timeout=5)
    assert _alive("7654") == []
    assert any_bench.backend.poll(handle) == seen


def test_delete_ends_a_running_workload_and_may_be_repeated(any_bench: Bench) -> None:
    handle = any_bench.start("deleted", "sh", "-c", "echo up; sleep 4321")
    any_bench.wait_for_line("deleted", "up")
    for _ in range(2):
        any_bench.backend.delete(handle)
    psutil.wait_procs(_alive("4321"), timeout=5)
    assert _alive("4321") == []


@pytest.mark.parametrize("warm", [False, True])
def test_a_new_platform_adopts_what_a_killed_one_started(tmp_path: Path, machine: Machine, warm: bool) -> None:
    done = subprocess.run([sys.executable, "-c", STARTER, str(tmp_path), str(int(warm))], check=False)
    assert done.returncode == -signal.SIGKILL
    backend = ProcessBackend(tmp_path / "compute", machine, warm=False)
    bench = Bench(backend, tmp_path)
    backend.on_change(lambda _: bench.changed.set())
    seen = bench.wait({"id": "a", "bundle": str(tmp_path / "a"), "isolation": machine.isolation})
    backend.close()
    assert (seen.exit_code, seen.reason) == (5, "")
    assert bench.log("a") == [f"up {warm}", "down"]


STARTER = """
import os, signal, sys
from pathlib import Path
from clary.compute.base import Workload
from clary.compute.probe import probe
from clary.compute.process import ProcessBackend

home, warm = Path(sys.argv[1]), sys.argv[2] == "1"
backend = ProcessBackend(home / "compute", probe(), warm=warm)
assert not warm or backend.wait_warm(60)
code = "import sys, time; print('up', 'numpy' in sys.modules, flush=True); time.sleep(0.5); print('down'); sys.exit(5)"
backend.start(
    Workload(id="a", bundle=home / "a", env={}, cpus=1, memory_bytes=1 << 28, command=("python", "-c", code), warm=warm)
)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_results_are_packed_after_the_end(any_bench: Bench) -> None:
    model, output = (any_bench.folder / "archive" / name for name in ("model.tar.gz", "output.tar.gz"))
    any_bench.run(
        "archive",
        "sh",
        "-c",
        "mkdir -p /opt/ml/model/code; echo m > /opt/ml/model/weights; echo c > /opt/ml/model/code/a.py",
        archives=(Archive("ml/model", "model.tar.gz"), Archive("ml/output/data", "output.tar.gz")),
    )
    with tarfile.open(model) as tar:
        assert sorted(tar.getnames()) == ["code", "code/a.py", "weights"]
    assert not output.exists()


def test_a_result_folder_that_leads_elsewhere_is_not_packed(any_bench: Bench) -> None:
    target = any_bench.folder / "escape" / "model.tar.gz"
    seen = any_bench.run(
        "escape", "sh", "-c", "ln -s /etc /opt/ml/model", archives=(Archive("ml/model", "model.tar.gz"),)
    )
    assert seen.reason == "archive"
    assert not target.exists()


def test_too_much_memory_is_told_as_such(any_bench: Bench) -> None:
    hog = "import time; x = bytearray(300 << 20); time.sleep(30)"
    seen = any_bench.run("oom", "python", "-c", hog, memory_bytes=100 * MIB)
    assert (seen.reason, seen.signal) == ("oom", signal.SIGKILL)


def test_the_log_is_capped_while_the_workload_goes_on(any_bench: Bench) -> None:
    seen = any_bench.run("chatty", "sh", "-c", "seq 100000; exit 4", log_bytes=10_000)
    assert seen.exit_code == 4
    lines = any_bench.log("chatty")
    assert "dropped" in lines[-1]
    assert lines[:3] == ["1", "2", "3"]
    assert (any_bench.folder / "chatty" / "log").stat().st_size < 11_000


def test_a_full_disk_ends_the_log_but_not_the_workload(any_bench: Bench) -> None:
    folder = any_bench.folder / "full"
    folder.mkdir()
    (folder / "log").symlink_to("/dev/full")
    assert any_bench.run("full", "sh", "-c", "echo lost; sleep 0.05; echo lost; exit 6").exit_code == 6


def test_a_start_that_the_machine_refuses_says_why(any_bench: Bench) -> None:
    seen = any_bench.run("refused", "true", binds=(Bind(Path("/no/such/folder"), "/data"),))
    if seen.isolation == "namespaces":
        assert (seen.exit_code, seen.reason) == (125, "sandbox")
        assert "/data" in seen.message


def test_the_use_of_the_machine_is_measured(any_bench: Bench) -> None:
    code = (
        "import time; x = bytearray(50 << 20)\nwhile time.process_time() < 0.2: pass\n"
        "print('up', flush=True); time.sleep(60)"
    )
    handle = any_bench.start("usage", "python", "-c", code)
    any_bench.wait_for_line("usage", "up")
    usage = any_bench.backend.usage(handle)
    assert usage is not None
    assert 0.1 < usage.cpu_s < 2
    assert 50 * MIB < usage.memory_bytes < 150 * MIB
    any_bench.backend.stop(handle, 0)
    any_bench.wait(handle)
    assert any_bench.backend.usage(handle) is None


def test_a_listener_hears_of_every_phase(bench: Bench) -> None:
    heard: list[str] = []
    bench.backend.on_change(heard.append)
    bench.run("phases", "true")
    assert set(heard) == {"test/phases"}
    assert len(heard) >= 3


@needs_namespaces
def test_the_sandbox_hides_the_machine(bench: Bench, tmp_path: Path) -> None:
    look = (
        "import os; names = {'boot', 'mnt'} & set(os.listdir('/')); "
        "print(os.path.exists(%r), os.getpid(), os.uname().nodename, names); "
        "print(len([p for p in os.listdir('/proc') if p.isdigit()]))"
    )
    bench.run("hidden", "python", "-c", look % str(tmp_path), hostname="algo-7")
    assert bench.log("hidden") == ["False 2 algo-7 set()", "2"]


@needs_namespaces
@pytest.mark.parametrize(
    "deed",
    [
        "mount -t tmpfs none /mnt",
        "mount -o remount,rw /usr",
        "touch /usr/x",
        "touch /x",
        "touch /etc/x",
        "echo x > /proc/sys/kernel/core_pattern",
        "echo h > /proc/sysrq-trigger",
        "mknod /tmp/disk b 254 0",
        "cat /etc/shadow",
        "umount /proc/sys",
        "umount -l /etc/hosts",
        "hostname other",
        "chroot /tmp",
        "echo 99999 > /sys/fs/cgroup/pids/pids.max",
        "unshare -Urm sh -c 'mount -o remount,rw,bind /usr && touch /usr/x'",
        "unshare -Urm sh -c 'umount /proc/sys && echo x > /proc/sys/kernel/core_pattern'",
    ],
)
def test_the_sandbox_cannot_be_changed_from_inside(bench: Bench, deed: str) -> None:
    assert bench.run("escape", "sh", "-c", deed).exit_code != 0


@needs_namespaces
def test_no_file_of_the_agent_is_open_inside(bench: Bench) -> None:
    code = "import os; print({os.readlink(f'/proc/1/fd/{n}').partition(':')[0] for n in os.listdir('/proc/1/fd')})"
    bench.run("files", "python", "-c", code)
    assert set(ast.literal_eval(bench.log("files")[0])) <= {"/dev/null", "pipe"}


@needs_namespaces
def test_host_names_resolve_inside(bench: Bench) -> None:
    code = "import socket; print(*(socket.gethostbyname(n) for n in ('algo-1', 'algo-2', 'localhost')))"
    bench.run("hosts", "python", "-c", code, hosts={"algo-2": "127.0.0.2"})
    assert bench.log("hosts") == ["127.0.0.1 127.0.0.2 127.0.0.1"]


@needs_namespaces
def test_without_network_only_loopback_is_left(bench: Bench) -> None:
    code = (
        "import socket; print([n for _, n in socket.if_nameindex() if n == 'lo'], flush=True)\n"
        "server = socket.create_server(('127.0.0.1', 8080))\n"
        "socket.create_connection(('127.0.0.1', 8080)); print('lo', flush=True)\n"
        "socket.create_connection(('192.0.2.1', 80), 2)"
    )
    assert bench.run("offline", "python", "-c", code, network=False).exit_code == 1
    assert bench.log("offline")[:2] == ["['lo']", "lo"]
    assert "unreachable" in bench.log("offline")[-1]


@needs_namespaces
def test_a_socket_in_the_run_folder_is_reachable_from_outside(bench: Bench) -> None:
    code = (
        "import socket; s = socket.socket(socket.AF_UNIX); s.bind('/run/clary/serve.sock')\n"
        "s.listen(); print('up', flush=True)\n"
        "c, _ = s.accept(); c.sendall(b'hello')"
    )
    handle = bench.start("serve", "python", "-c", code)
    bench.wait_for_line("serve", "up")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(bench.folder / "serve" / "run" / "serve.sock"))
        assert client.recv(16) == b"hello"
    assert bench.wait(handle).exit_code == 0


def test_control_groups_hold_the_processor_share(bench: Bench, machine: Machine) -> None:
    if "cpu" not in machine.cgroups and "unified" not in machine.cgroups:
        pytest.skip("no control group for processors")
    code = "import time\nend = time.monotonic() + 1\nwhile time.monotonic() < end: pass\nprint(time.process_time())"
    bench.run("share", "python", "-c", code, cpus=0.25)
    assert float(bench.log("share")[0]) < 0.5


def test_control_groups_stop_a_fork_bomb(bench: Bench, machine: Machine) -> None:
    if "pids" not in machine.cgroups and "unified" not in machine.cgroups:
        pytest.skip("no control group for processes")
    bomb = (
        "import os, time\ncount = 0\ntry:\n while True:\n  if os.fork() == 0: time.sleep(30)\n  count += 1\n"
        "except OSError: print(count, flush=True)\nos._exit(9)"
    )
    assert bench.run("bomb", "python", "-c", bomb, pids=50).exit_code == 9
    assert int(bench.log("bomb")[0]) < 50


def test_nothing_is_left_behind(bench: Bench) -> None:
    bench.run("clean", "true")
    left = {path.name for path in (bench.folder / "clean").iterdir()}
    assert left == {"agent.lock", "agent.log", "exit.json", "log", "ml", "run", "status.json", "workload.json"}
    task = Task.from_json(bundle.read(bench.folder / "clean" / bundle.TASK) or {})
    assert not any(group.exists() for group in cgroups_of(task).view().values())


def _alive(word: str) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if any(word in part for part in p.info["cmdline"] or [])]


@needs_namespaces
def test_what_a_workload_installs_is_its_own(bench: Bench) -> None:
    place = "import sysconfig, pathlib; p = pathlib.Path(sysconfig.get_path('purelib')); "
    bench.run("install", "python", "-c", place + "(p / 'left_behind.py').write_text('told = 1')")
    assert bench.log("install") == []
    seen = bench.run("look", "python", "-c", place + "print((p / 'left_behind.py').exists())")
    assert (seen.exit_code, bench.log("look")) == (0, ["False"])
    assert not (bench.folder / "install" / bundle.SCRATCH).exists()


def test_a_folder_is_removed_with_what_was_made_unreadable(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").touch()
    (tmp_path / "a" / "link").symlink_to("/nowhere")
    (tmp_path / "a" / "b").chmod(0)
    bundle.remove(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    bundle.remove(tmp_path / "a")


def test_a_workload_ends_with_its_folder(any_bench: Bench) -> None:
    handle = any_bench.start("forgotten", "sleep", "60")
    any_bench.wait(handle, lambda seen: seen.phase == "running")
    folder = any_bench.folder / "forgotten"
    agent = psutil.Process(bundle.agent_pid(folder))
    family = [agent, *agent.children(recursive=True)]
    bundle.remove(folder)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
