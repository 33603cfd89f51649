"""Where things lie in a container."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders and files below `/opt/ml`, or below `CLARY_ML_ROOT` where private mounts are refused."""

    root: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Layout:
        """The layout that the environment asks for."""
        return cls(Path(environ.get("CLARY_ML_ROOT") or "/opt/ml"))

    @property
    def code(self) -> Path:
        """The user's training code."""
        return self.root / "code"

    @property
    def model(self) -> Path:
        """The model: written by training, read by serving."""
        return self.root / "model"

    @property
    def input(self) -> Path:
        """Configuration and data of the job."""
        return self.root / "input"

    @property
    def config(self) -> Path:
        """The JSON files that describe the job."""
        return self.root / "input" / "config"

    @property
    def output(self) -> Path:
        """Results besides the model."""
        return self.root / "output"

    @property
    def failure(self) -> Path:
        """The reason of a failure, read by the platform."""
        return self.output / "failure"

    @property
    def success(self) -> Path:
        """Exists once the user's script ended well."""
        return self.output / "success"

    def channel(self, name: str) -> Path:
        """The data of one input channel."""
        return self.root / "input" / "data" / name

    def local(self, path: str) -> Path:
        """Where a path of the contract really lies: `/opt/ml/...` is moved along with the root."""
        below = path.removeprefix("/opt/ml/")
        return self.root / below if below != path else Path(path)

    def write_failure(self, text: str) -> None:
        """Leave the reason of a failure for the platform."""
        self.output.mkdir(parents=True, exist_ok=True)
        self.failure.write_text(text, encoding="utf-8")
