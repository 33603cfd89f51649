"""`python -m tools.generate [--check]`: writes the generated files, or tells which of them are out of date."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from clary.cli import parser
from clary.controllers.states import ALL
from clary.plugins import services
from clary.protocol.model import Models

from .commands import commands_page
from .coverage import coverage_page
from .permissions import permissions_page
from .settings import settings_page
from .states import states_page
from .stubs import stub

ROOT = Path(__file__).resolve().parents[2]
TYPES = Path("src/clary/api")
PAGES = Path("docs/reference")


def main() -> None:
    """Writes or checks.

    Raises:
        SystemExit: a check found a difference.
    """
    options = argparse.ArgumentParser(description="Write the generated files.")
    options.add_argument("--check", action="store_true", help="write nothing; fail when a file is out of date")
    check = options.parse_args().check
    wanted = contents()
    changed = [path for path, text in wanted.items() if _present(path) != text]
    left_over = [path for path in _generated() if path not in wanted]
    if check:
        sys.exit("\n".join(f"{path} is out of date: run scripts/generate" for path in changed + left_over) or 0)
    for path in changed:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(wanted[path])
    for path in left_over:
        (ROOT / path).unlink()


def contents() -> dict[Path, str]:
    """The text of every generated file, by its path in the repository."""
    offered = dict(sorted(services().items()))
    models = Models(list(offered))
    types = {
        TYPES / f"{name.replace('-', '_')}.pyi": stub(models.service(name), service)
        for name, service in offered.items()
    }
    pages = {
        "cli.md": commands_page(parser()),
        "coverage.md": coverage_page(offered, models),
        "permissions.md": permissions_page(offered, models),
        "settings.md": settings_page(),
        "states.md": states_page(ALL),
    }
    return types | {PAGES / name: text for name, text in pages.items()}


def _present(path: Path) -> str | None:
    return (ROOT / path).read_text() if (ROOT / path).is_file() else None


def _generated() -> list[Path]:
    found = [*(ROOT / TYPES).glob("*.pyi"), *(ROOT / PAGES).glob("*.md")]
    return sorted(path.relative_to(ROOT) for path in found)


if __name__ == "__main__":
    main()
