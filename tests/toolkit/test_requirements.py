from __future__ import annotations

from typing import TYPE_CHECKING

from clary.toolkit.requirements import install, top_level_names
from tests.toolkit.container import needs_installer

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_satisfied_requirements_install_nothing(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# what a script wants\nnumpy>=1\n\nboto3  # any\n")
    assert install(requirements, {"CLARY_ENV_CACHE": str(tmp_path / "cache")}) is None


@needs_installer
def test_local_paths_are_never_shared(tmp_path: Path, wheels: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"{wheels}/clary_example-1.0-py3-none-any.whl\n")
    cache = tmp_path / "cache"
    overlay = install(requirements, {"CLARY_ENV_CACHE": str(cache)})
    assert overlay is not None
    assert not cache.exists()
    assert "clary_example" in top_level_names(overlay)


@needs_installer
def test_same_requirements_share_one_folder(tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_FIND_LINKS", "PIP_FIND_LINKS"):
        monkeypatch.setenv(name, str(wheels))
    for name in ("UV_NO_INDEX", "PIP_NO_INDEX"):
        monkeypatch.setenv(name, "1")
    environ = {"CLARY_ENV_CACHE": str(tmp_path / "cache")}
    overlays = []
    for job in ("a", "b"):
        requirements = tmp_path / job / "requirements.txt"
        requirements.parent.mkdir()
        requirements.write_text("clary-example==1.0\n")
        overlays.append(install(requirements, environ))
    assert overlays[0] == overlays[1]
    assert overlays[0] is not None
    assert (overlays[0] / "clary_example.py").exists()
