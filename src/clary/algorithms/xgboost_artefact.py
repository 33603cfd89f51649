"""Boosters as files."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import xgboost

if TYPE_CHECKING:
    from pathlib import Path


def save(booster: Any, path: Path) -> None:
    """Write a booster so that `Booster.load_model` reads it, whatever the file is called."""
    # The library warns about names without an extension, but AWS's artefact has none.
    new = path.with_name(f".{path.name}.ubj")
    booster.save_model(new)
    new.rename(path)


def load(path: Path) -> Any:
    """A booster saved by the library in any of its formats, or pickled as containers before 1.3-1 did."""
    data = path.read_bytes()
    booster = xgboost.Booster()
    try:
        booster.load_model(bytearray(data))
    except xgboost.core.XGBoostError:
        pickled = pickle.loads(data)  # noqa: S301  # the artefact is the account's own, as on AWS
        return pickled.get_booster() if hasattr(pickled, "get_booster") else pickled
    return booster
