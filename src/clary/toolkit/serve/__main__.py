"""Serves a model with the user's inference script."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from clary.toolkit.formats.content_type import JSON
from clary.toolkit.framework import announcement
from clary.toolkit.layout import Layout
from clary.toolkit.requirements import install, top_level_names
from clary.toolkit.serve.application import failing, hosting, report
from clary.toolkit.serve.server import listen, serve
from clary.toolkit.source import place

if TYPE_CHECKING:
    from pathlib import Path

    from clary.toolkit.serve.message import Application
    from clary.toolkit.serve.script import Script

PREPARED = "CLARY_SERVE_PREPARED"
"""Set for the interpreter that was started anew because of the script's packages."""


def main() -> None:
    """Serve until SIGTERM."""
    print(announcement(os.environ), flush=True)  # noqa: T201  # the log of the endpoint is our standard output
    workers = int(os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS") or 1)
    layout = Layout.of(os.environ)
    listener = listen(os.environ)
    try:
        code = _code_folder(layout)
        _use_requirements(code / "requirements.txt")
    except Exception as error:  # noqa: BLE001  # the endpoint shall show the reason, whatever it is
        reason = report(error)
        serve(lambda: failing(reason), listener)
    else:
        serve(lambda: _load(layout, code, workers), listener, workers)


def _code_folder(layout: Layout) -> Path:
    """Where the script lies: given by S3 address or folder, or packed with the model."""
    submitted = os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY", "")
    if submitted.startswith("s3://"):
        place(submitted, layout.code, os.environ)
        return layout.code
    named = [layout.local(submitted.removeprefix("file://"))] if submitted else []
    candidates = [*named, layout.model / "code", layout.code]
    return next((folder for folder in candidates if folder.is_dir()), layout.model)


def _use_requirements(requirements: Path) -> None:
    if os.environ.get(PREPARED) or not requirements.is_file():
        return
    overlay = install(requirements, os.environ)
    if overlay is None:
        return
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(overlay), os.environ.get("PYTHONPATH")]))
    if any(name in sys.modules for name in top_level_names(overlay)):
        # Modules that this interpreter has loaded cannot be replaced.
        os.environ[PREPARED] = "1"
        os.execv(sys.executable, [sys.executable, "-m", "clary.toolkit.serve"])  # noqa: S606
    sys.path.insert(0, str(overlay))


def _load(layout: Layout, code: Path, workers: int) -> Application:
    try:
        return hosting(_script(layout, code), workers=workers)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # the script is the user's and may raise anything
        return failing(f"The model could not be loaded. {report(error)}")


def _script(layout: Layout, code: Path) -> Script:
    # numpy and all above it is imported only after the script's own packages are on the path.
    from clary.toolkit.serve.frameworks import FRAMEWORKS  # noqa: PLC0415
    from clary.toolkit.serve.script import Script as Loaded  # noqa: PLC0415
    from clary.toolkit.serve.script import load_script  # noqa: PLC0415

    framework = FRAMEWORKS[os.environ.get("CLARY_FRAMEWORK", "sklearn")]()
    module = load_script(code / os.environ.get("SAGEMAKER_PROGRAM", "inference.py"))
    return Loaded(module, framework, layout.model, os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", JSON))


if __name__ == "__main__":
    main()
