from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
PRIVATE = ("/[w]ork/(?=[.a-z])", "/tmp/[u]venv", "/tmp/[b]rief", "[b]ash_jobs", "[i]ndex-url .*://")
"""Paths and hosts of machines on which Clary was written; the brackets keep this file from naming them."""


def test_no_file_names_a_machine_of_its_authors() -> None:
    pattern = re.compile("|".join(rf"(?<![\w}}])(?:{word})" for word in PRIVATE))
    found = [
        f"{name}:{number}: {line.strip()}"
        for name in _tracked()
        for number, line in enumerate((ROOT / name).read_text(errors="replace").splitlines(), start=1)
        if pattern.search(line)
    ]
    assert found == []


def _tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.splitlines() if (ROOT / name).is_file()]
