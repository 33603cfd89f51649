"""Small systems for images, made of what this machine has: a shell with some programs, or Python with some modules."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

from tests.oci import layer

PROGRAMS = ("sh", "cat", "id", "ls", "mkdir", "env", "pwd", "sleep", "test", "touch", "rm")
_LOADED = """
import json, sys, {modules}
print(json.dumps([module.__file__ for module in sys.modules.values() if getattr(module, "__file__", None)]))
"""


@cache
def shell() -> bytes:
    """A layer with `/bin/sh` and a few programs."""
    found = [Path(path) for name in PROGRAMS for path in (f"/bin/{name}", f"/usr/bin/{name}") if Path(path).exists()]
    chosen = {path.name: path for path in reversed(found)}
    files = {f"bin/{name}": path for name, path in chosen.items()}
    return _layer({**files, **_libraries(chosen.values())})


@cache
def python(*modules: str) -> bytes:
    """A layer with the interpreter at `/bin/python3`, which can import some modules."""
    program = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    source = _LOADED.format(modules=", ".join((*modules, "encodings.idna", "encodings.latin_1")))
    output = subprocess.run([program, "-I", "-c", source], check=True, capture_output=True).stdout
    loaded = [Path(path) for path in json.loads(output)]
    files = {str(path).lstrip("/"): path for path in (program, *loaded)}
    libraries = _libraries([program.resolve(), *(path for path in loaded if path.suffix == ".so")])
    return _layer({**files, **libraries}, **{"bin/python3": str(program)})


def _libraries(programs: object) -> dict[str, Path]:
    """The libraries that programs load, at the places where they look for them."""
    paths = [str(program) for program in programs]  # type: ignore[attr-defined]  # paths
    output = subprocess.run(["ldd", *paths], check=False, capture_output=True, text=True).stdout
    found = {*re.findall(r"=> (/\S+)", output), *re.findall(r"^\s+(/\S+) \(", output, re.MULTILINE)}
    return {path.lstrip("/"): Path(path) for path in sorted(found)}


def _layer(files: dict[str, Path], **links: str) -> bytes:
    return layer(
        *((name, path.resolve().read_bytes()) for name, path in files.items()), *links.items(),
        ("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\napp:x:1234:1235::/home/app:/bin/sh\n"),
        ("etc/group", b"root:x:0:\napp:x:1235:\nextra:x:77:app\n"), ("root", None), ("tmp", None),
    )  # fmt: skip
