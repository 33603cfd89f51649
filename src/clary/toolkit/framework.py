"""Which framework version the image asked for, and which one runs."""

from __future__ import annotations

import os
import platform
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DISTRIBUTIONS = {
    "scikit-learn": ("scikit_learn",),
    "xgboost": ("xgboost", "xgboost_cpu"),
    "pytorch": ("torch",),
    "tensorflow": ("tensorflow", "tensorflow_cpu"),
    "huggingface": ("transformers",),
}
"""Names of the frameworks in file names of installed packages."""


def announcement(environ: Mapping[str, str]) -> str:
    """The first line of the log: asked and running versions."""
    requested = environ.get("CLARY_FRAMEWORK_REQUESTED", "")
    name = requested.partition(" ")[0]
    running = f"Python {platform.python_version()}"
    if name in DISTRIBUTIONS:
        running = f"{name} {_installed(DISTRIBUTIONS[name]) or 'not installed'}, {running}"
    return f"Framework requested: {requested or 'none'}. Running: {running}."


def _installed(distributions: tuple[str, ...]) -> str:
    # Reads folder names, because importlib.metadata would delay every script by some 20 ms.
    prefixes = tuple(f"{name}-" for name in distributions)
    for folder in filter(os.path.isdir, sys.path):
        for entry in os.listdir(folder):  # noqa: PTH208  # pathlib would build an object for each of hundreds of names
            if entry.startswith(prefixes) and entry.endswith(".dist-info"):
                return entry.removesuffix(".dist-info").partition("-")[2]
    return ""
