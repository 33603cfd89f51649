from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clary.store.keyring import KEY_BYTES, Keyring, WrongKey

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_sealed_is_opened_by_the_same_file_for_the_same_purpose_only(tmp_path: Path) -> None:
    sealed = Keyring.at(tmp_path / "key").seal(b"secret", "access key")
    again = Keyring.at(tmp_path / "key")
    assert again.open(sealed, "access key") == b"secret"
    assert b"secret" not in sealed
    with pytest.raises(WrongKey):
        again.open(sealed, "object")
    with pytest.raises(WrongKey):
        again.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "access key")
    with pytest.raises(WrongKey):
        again.open(b"", "access key")
    with pytest.raises(WrongKey):
        Keyring.at(tmp_path / "other").open(sealed, "access key")


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    Keyring.at(tmp_path / "new" / "key")
    path = tmp_path / "new" / "key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["key"]
    path.chmod(0o640)
    with pytest.raises(ValueError, match="others may read"):
        Keyring.at(path)


@pytest.mark.parametrize("size", [0, KEY_BYTES - 1, KEY_BYTES + 1])
def test_a_file_without_a_key_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "key"
    path.write_bytes(bytes(size))
    path.chmod(0o600)
    with pytest.raises(ValueError, match="does not hold"):
        Keyring.at(path)
