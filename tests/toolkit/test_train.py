from __future__ import annotations

import io
import signal
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.toolkit.container import needs_installer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.toolkit.container import Container

LAUNCHER = "clary.toolkit.train"


def launch(container: Container, script: str, name: str = "train.py", **env: str) -> subprocess.CompletedProcess[str]:
    container.configure({"sagemaker_program": f'"{name}"', "n": "5"}, {"train": ""})
    container.write(f"code/{name}", script)
    return container.run(LAUNCHER, env=env)


def test_runs_the_script_as_main_in_its_folder(container: Container) -> None:
    done = launch(
        container,
        "import os, pickle, sys, neighbour\n"
        "class Thing: pass\n"
        "pickle.loads(pickle.dumps(Thing()))\n"
        "print('saw', __name__, sys.argv, os.getcwd() == os.environ['SM_MODULE_DIR'])\n"
        "open(os.path.join(os.environ['SM_MODEL_DIR'], 'm'), 'w').write('x')\n",
        CLARY_FRAMEWORK_REQUESTED="scikit-learn 1.2-1",
    )
    assert done.returncode == 1  # there is no neighbour yet
    container.write("code/neighbour.py", "")
    (container.root / "model").mkdir()
    done = container.run(LAUNCHER)
    assert done.returncode == 0, done.stderr
    assert "saw __main__ ['train.py', '-n', '5'] True" in done.stdout
    assert "Training Env:" in done.stdout
    assert "Invoking script with the following command:" in done.stdout
    assert (container.root / "output/success").exists()
    assert container.read("model/m") == "x"


def test_scripts_may_start_processes_of_every_kind(container: Container) -> None:
    done = launch(
        container,
        "import multiprocessing\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "def double(n: int) -> int:\n    return 2 * n\n"
        "if __name__ == '__main__':\n"
        "    print('annotation', double.__annotations__['n'])\n"
        "    for kind in ('fork', 'spawn'):\n"
        "        with ProcessPoolExecutor(1, multiprocessing.get_context(kind)) as pool:\n"
        "            print(kind, list(pool.map(double, [1, 2])))\n",
    )
    assert done.returncode == 0, done.stderr
    assert "annotation <class 'int'>" in done.stdout
    assert "fork [2, 4]" in done.stdout
    assert "spawn [2, 4]" in done.stdout


def test_first_line_says_asked_and_running_version(container: Container) -> None:
    done = launch(container, "", CLARY_FRAMEWORK_REQUESTED="scikit-learn 1.2-1")
    first = done.stdout.splitlines()[0]
    assert first.startswith("Framework requested: scikit-learn 1.2-1. Running: scikit-learn 1.")


def test_failure_file_has_the_trace(container: Container) -> None:
    done = launch(container, "def f():\n    raise ValueError('too bad')\nf()\n")
    assert done.returncode == 1
    lines = container.read("output/failure").splitlines()
    assert lines[0] == "ExecuteUserScriptError:"
    assert lines[1] == "ExitCode 1"
    assert lines[2] == 'ErrorMessage "Traceback (most recent call last):'
    assert 'ValueError: too bad"' in lines
    assert lines[-1].endswith('train.py -n 5"')
    assert "toolkit/train.py" not in container.read("output/failure")
    assert not (container.root / "output/success").exists()


def test_long_traces_keep_their_end(container: Container) -> None:
    launch(container, "def f(n):\n    g(n)\ndef g(n):\n    f(n - 1) if n else 1 / 0\nf(30)\n")
    assert "ZeroDivisionError: division by zero" in container.read("output/failure")[:1024]


@pytest.mark.parametrize(("script", "code"), [("exit(3)", 3), ("exit('no')", 1), ("exit()", 0), ("exit(0)", 0)])
def test_exit_status_is_the_scripts(container: Container, script: str, code: int) -> None:
    assert launch(container, f"import sys\nsys.{script}\n").returncode == code


def test_shell_scripts_run_by_bash(container: Container) -> None:
    done = launch(container, 'echo "args $*"; echo oops >&2; exit 4', "run.sh")
    assert "args -n 5" in done.stdout
    assert done.returncode == 4
    assert 'ErrorMessage "oops"' in container.read("output/failure")


def test_missing_entry_point_is_told(container: Container) -> None:
    container.configure({"sagemaker_program": "absent.py"})
    container.write("code/train.py", "")
    assert container.run(LAUNCHER).returncode == 1
    assert "absent.py" in container.read("output/failure")


def test_code_comes_from_a_local_archive(container: Container, tmp_path: Path) -> None:
    archive = tmp_path / "sourcedir.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo("train.py")
        text = b"print('from the archive')"
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
    container.configure({"sagemaker_program": "train.py", "sagemaker_submit_directory": f'"{archive}"'})
    assert "from the archive" in container.run(LAUNCHER).stdout


def test_sigterm_reaches_the_scripts_handler(container: Container) -> None:
    container.configure({"sagemaker_program": "train.py"})
    container.write(
        "code/train.py",
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: (open('saved', 'w').close(), sys.exit(0)))\n"
        "print('ready')\nsignal.pause()\n",
    )
    command = [sys.executable, "-m", LAUNCHER]
    with subprocess.Popen(command, env=container.environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line == "ready\n":
                break
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert (container.root / "code/saved").exists()


def test_unknown_requirements_fail_the_job(container: Container, tmp_path: Path) -> None:
    container.write("code/requirements.txt", f"--no-index\n{tmp_path}/absent-1.0-py3-none-any.whl\n")
    done = launch(container, "print('ran')")
    assert done.returncode == 1
    assert container.read("output/failure").startswith("InstallRequirementsError:\nExitCode ")
    assert "ran" not in done.stdout


@needs_installer
def test_requirements_lie_beside_the_environment(container: Container, wheels: Path) -> None:
    container.write("code/requirements.txt", f"{wheels}/clary_example-1.0-py3-none-any.whl\n")
    done = launch(
        container,
        "import clary_example, os, subprocess, sys\nprint('value', clary_example.VALUE)\n"
        "subprocess.run([sys.executable, '-c', 'import clary_example'], check=True)\n",
    )
    assert done.returncode == 0, done.stderr
    assert "value 42" in done.stdout
