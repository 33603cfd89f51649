"""What import-linter does not see: imports for types, and libraries of others."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

SOURCE = Path(__file__).parents[1] / "src" / "clary"
AGENT = sorted((SOURCE / "agent").glob("*.py"))
SERVICES = sorted((SOURCE / "services").rglob("*.py"))
RUNNERS = ("clary.agent", "clary.app", "clary.compute", "clary.gateway", "clary.toolkit")
"""What a service may not even name: it writes records, and controllers run them."""


@pytest.mark.parametrize("path", AGENT, ids=lambda path: path.name)
def test_the_agent_starts_with_the_standard_library_only(path: Path) -> None:
    at_once = ast.parse(path.read_text()).body
    roots = {name.partition(".")[0] for name in _names(at_once)}
    assert roots <= sys.stdlib_module_names | {"clary"}


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_services_do_not_name_what_runs_workloads(path: Path) -> None:
    assert [name for name in _imported(path) if name.startswith(RUNNERS)] == []


def _imported(path: Path) -> list[str]:
    return _names(ast.walk(ast.parse(path.read_text())))


def _names(nodes: Iterable[ast.AST]) -> list[str]:
    names: list[str] = []
    for node in nodes:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append("clary" if node.level else str(node.module))
    return names
