from __future__ import annotations

import re
from dataclasses import fields
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from tools.generate.commands import commands

from clary import settings
from clary.cli import parser
from clary.controllers.states import ALL
from clary.plugins import services
from clary.protocol.model import Models

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
VARIABLE = re.compile(r"\bCLARY_[A-Z0-9_]+")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMES = [field.name for field in fields(settings.Settings)]


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_has_a_variable_and_an_explanation(name: str) -> None:
    row = next(line for line in _lines("settings.md") if line.startswith(f"| `{settings.variable(name)}` |"))
    assert row.split("|")[3].strip()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "home"])
def test_every_setting_is_read_from_its_variable(name: str) -> None:
    value = getattr(settings.load({}), name)
    text = str(int(not value if isinstance(value, bool) else value + 1)) if isinstance(value, int | float) else "0"
    chosen = {"audit": "management", "containers": "engine", "durability": "process", "frameworks": "requested"}
    text = {**chosen, "isolation": "none"}.get(name, text)
    assert getattr(settings.load({settings.variable(name): text}), name) != value


def test_every_command_is_documented() -> None:
    headings = [line for line in _lines("cli.md") if line.startswith("## ")]
    assert headings == [f"## clary {name}" for name in commands(parser())]


def test_every_service_and_operation_is_in_the_coverage() -> None:
    lines = _lines("coverage.md")
    words = {word.strip(",.") for line in lines for word in line.split()}
    models = Models(list(services()))
    for name in (entry.name for entry in entry_points(group="clary.services")):
        assert f"## {name}" in lines
        assert set(models.service(name).operation_names) <= words


def test_every_kind_has_its_diagram() -> None:
    assert [line for line in _lines("states.md") if line.startswith("## ")] == [f"## {table.kind}" for table in ALL]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    inner = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in inner if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_variables_that_pages_name_exist(page: Path) -> None:
    source = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    known = {settings.variable(name) for name in NAMES} | set(VARIABLE.findall(source))
    assert set(VARIABLE.findall(page.read_text())) <= known


def _lines(page: str) -> list[str]:
    return (REFERENCE / page).read_text().splitlines()
