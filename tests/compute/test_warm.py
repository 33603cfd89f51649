"""Workloads inside forks of the warm interpreter."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from clary.compute.process import ProcessBackend
from clary.compute.warm import WarmInterpreter
from tests.compute.conftest import MIB, Bench

if TYPE_CHECKING:
    from pathlib import Path

    from clary.compute.probe import Machine

TRAIN = """
import os, sys, xgboost, numpy as np
from sklearn.ensemble import RandomForestClassifier
from joblib import Parallel, delayed
x = np.random.rand(400, 10); y = (x[:, 0] > .5).astype(int)
print(RandomForestClassifier(20, n_jobs=2).fit(x, y).score(x, y) > .9)
print(xgboost.train({"nthread": 2}, xgboost.DMatrix(x, y), 20).num_boosted_rounds())
print(sum(Parallel(n_jobs=2)(delayed(abs)(i) for i in range(-3, 0))))
print(__name__, os.path.basename(__file__), sys.argv[1:], os.getcwd())
"""

SPAWN = """
import multiprocessing as mp

def double(x):
    return 2 * x

if __name__ == "__main__":
    with mp.get_context("spawn").Pool(1) as pool:
        print(pool.map(double, [1, 2]))
"""


def _script(bench: Bench, name: str, text: str) -> str:
    folder = bench.folder / name / "ml" / "code"
    folder.mkdir(parents=True)
    (folder / "train.py").write_text(text)
    return "/opt/ml/code/train.py"


def test_training_with_openmp_and_joblib_works_in_a_fork(warm_bench: Bench) -> None:
    script = _script(warm_bench, "train", TRAIN)
    seen = warm_bench.run("train", "python", script, "--depth", "3", warm=True, memory_bytes=1024 * MIB, cpus=2)
    where = "/opt/ml" if seen.isolation == "namespaces" else str(warm_bench.folder / "train" / "ml")
    assert warm_bench.log("train") == ["True", "20", "6", f"__main__ train.py ['--depth', '3'] {where}"]
    assert seen.exit_code == 0


def test_the_main_module_can_be_found_by_spawned_processes(warm_bench: Bench) -> None:
    script = _script(warm_bench, "spawn", SPAWN)
    warm_bench.run("spawn", "python", script, warm=True)
    assert warm_bench.log("spawn") == ["[2, 4]"]


@pytest.mark.parametrize(
    ("code", "exit_code", "last"),
    [
        ("pass", 0, ""),
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('bad data')", 1, "bad data"),
        ("raise ValueError('boom')", 1, "ValueError: boom"),
        ("import os; os.kill(os.getpid(), 9)", 137, ""),
        (
            "import threading, time; threading.Thread(target=lambda: (time.sleep(.1), print('thread'))).start()",
            0,
            "thread",
        ),
        ("import atexit; atexit.register(print, 'bye')", 0, "bye"),
    ],
)
def test_the_end_is_that_of_an_ordinary_interpreter(warm_bench: Bench, code: str, exit_code: int, last: str) -> None:
    name = f"end-{abs(hash(code))}"
    assert warm_bench.run(name, "python", "-c", code, warm=True).exit_code == exit_code
    assert (warm_bench.log(name) or [""])[-1] == last


def test_a_traceback_shows_the_users_frames_only(warm_bench: Bench) -> None:
    script = _script(warm_bench, "trace", "def f():\n    1 / 0\nf()\n")
    warm_bench.run("trace", "python", script, warm=True)
    log = warm_bench.log("trace")
    assert log[0] == "Traceback (most recent call last):"
    assert next(line.strip() for line in log if line.startswith("  File")).startswith(
        'File "/opt/ml/code/train.py", line 3'
    )
    assert log[-1] == "ZeroDivisionError: division by zero"


def test_libraries_are_imported_already_and_random_numbers_differ(warm_bench: Bench) -> None:
    code = (
        "import sys; print('sklearn' in sys.modules); import random, numpy; print(random.random(), numpy.random.rand())"
    )
    for name in ("one", "two"):
        warm_bench.run(name, "python", "-c", code, warm=True)
    one, two = warm_bench.log("one"), warm_bench.log("two")
    assert one[0] == two[0] == "True"
    assert not set(one[1].split()) & set(two[1].split())


def test_thread_pools_follow_the_workloads_processors(warm_bench: Bench) -> None:
    code = "import threadpoolctl as t; print({p['num_threads'] for p in t.threadpool_info()})"
    warm_bench.run("pools", "python", "-c", code, warm=True, cpus=1)
    assert warm_bench.log("pools") == ["{1}"]


def test_the_script_is_compiled_as_a_program_of_its_own(warm_bench: Bench) -> None:
    script = _script(
        warm_bench, "future", "def f(x: int): pass\nprint(f.__annotations__['x'], __builtins__.len([1]))\n"
    )
    warm_bench.run("future", "python", script, warm=True)
    assert warm_bench.log("future") == ["<class 'int'> 1"]


def test_files_left_open_are_written(warm_bench: Bench) -> None:
    warm_bench.run("open", "python", "-c", "f = open('/opt/ml/out', 'w'); f.write('all')", warm=True)
    assert (warm_bench.folder / "open" / "ml" / "out").read_text() == "all"


def test_before_it_is_ready_workloads_start_cold(tmp_path: Path, machine: Machine) -> None:
    backend = ProcessBackend(tmp_path / "compute", machine, warm=True)
    bench = Bench(backend, tmp_path)
    backend.on_change(lambda _: bench.changed.set())
    assert bench.run("cold", "python", "-c", "import sys; print('numpy' in sys.modules)", warm=True).exit_code == 0
    assert bench.log("cold") == ["False"]
    backend.close()


def test_a_dead_interpreter_refuses_once_and_is_replaced(tmp_path: Path) -> None:
    warm = WarmInterpreter(tmp_path / "log", modules=("json",))
    warm.start()
    assert warm.wait_ready(20)
    assert warm.fork(tmp_path)
    assert warm.pid is not None
    os.kill(warm.pid, signal.SIGKILL)
    assert not warm.fork(tmp_path)
    assert not warm.fork(tmp_path)
    assert warm.wait_ready(20)
    assert warm.fork(tmp_path)
    warm.close()


def test_a_missing_library_is_no_obstacle(tmp_path: Path) -> None:
    warm = WarmInterpreter(tmp_path / "log", modules=("json", "no_such_module"))
    warm.start()
    assert warm.wait_ready(20)
    warm.close()


def test_the_interpreter_ends_with_the_platform(tmp_path: Path) -> None:
    platform = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom clary.compute.warm import WarmInterpreter\n"
        "warm = WarmInterpreter(Path(sys.argv[1]) / 'log', modules=('json',))\nwarm.start()\nwarm.wait_ready(20)\n"
        "print(warm.pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", platform, str(tmp_path)], stdout=subprocess.PIPE, check=False)
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(done.stdout)).wait(5)


def test_without_work_its_memory_is_given_back(tmp_path: Path) -> None:
    warm = WarmInterpreter(tmp_path / "log", ["json"], idle_s=0.3)
    warm.start()
    assert warm.pid is not None
    process = psutil.Process(warm.pid)
    psutil.wait_procs([process], timeout=10)
    assert not process.is_running()
    warm.start()
    assert warm.pid not in (None, process.pid)
    warm.close()
