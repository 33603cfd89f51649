"""The artefact of algorithms whose format on AWS is private: arrays, with a note that says whose they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE_NAME = "model_algo-1"
NOTE_NAME = "clary.json"


def save(model_dir: Path, algorithm: str, arrays: Mapping[str, Any]) -> None:
    """Write the arrays of a model."""
    with (model_dir / FILE_NAME).open("wb") as file:
        np.savez(file, **dict(arrays))
    note = {"algorithm": algorithm, "format": "numpy npz", "file": FILE_NAME}
    (model_dir / NOTE_NAME).write_text(json.dumps(note), encoding="utf-8")


def load(model_dir: Path) -> dict[str, Any]:
    """The arrays of a model."""
    with np.load(model_dir / FILE_NAME, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
