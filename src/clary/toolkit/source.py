"""Brings the user's code into the container."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from clary.toolkit.archive import unpack

if TYPE_CHECKING:
    from collections.abc import Mapping


class NoCodeError(Exception):
    """The user's code is not where the job says."""


def place(source: str, target: Path, environ: Mapping[str, str]) -> None:
    """Fill `target` from an S3 archive, a local archive or a local folder, unless it already holds code.

    Raises:
        NoCodeError: there is nothing at `source`.
    """
    if target.is_dir() and any(target.iterdir()):
        return
    target.mkdir(parents=True, exist_ok=True)
    if source.startswith("s3://"):
        with tempfile.TemporaryDirectory() as folder:
            _unpack(_download(source, Path(folder), environ), target)
        return
    path = Path(source.removeprefix("file://"))
    if path.is_dir():
        if path.resolve() != target.resolve():
            shutil.copytree(path, target, dirs_exist_ok=True)
    elif path.is_file():
        _unpack(path, target)
    else:
        raise NoCodeError(f"There is no user code at {source!r}.")


def _download(uri: str, folder: Path, environ: Mapping[str, str]) -> Path:
    import boto3  # noqa: PLC0415  # takes 0.3 s, and the platform usually has placed the code already

    bucket, _, key = uri.removeprefix("s3://").partition("/")
    endpoint = environ.get("S3_ENDPOINT_URL") or environ.get("AWS_ENDPOINT_URL")
    path = folder / Path(key).name
    boto3.client("s3", endpoint_url=endpoint).download_file(bucket, key, str(path))
    return path


def _unpack(archive: Path, target: Path) -> None:
    if not tarfile.is_tarfile(archive):
        shutil.copy(archive, target)
        return
    unpack(archive, target)
