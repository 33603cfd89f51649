from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clary.settings import load

if TYPE_CHECKING:
    from pathlib import Path


def test_variables_are_parsed_and_overrides_win(tmp_path: Path) -> None:
    environ = {"CLARY_HOME": str(tmp_path), "CLARY_PORT": "5000", "CLARY_WARM_WORKERS": "no", "CLARY_LONG_POLL_S": "0"}
    settings = load(environ, port=6000, host=None)
    assert (settings.home, settings.port, settings.warm_workers, settings.long_poll_s) == (tmp_path, 6000, False, 0.0)
    assert settings.host == "127.0.0.1"
    assert settings.tunnel_port == 6001


def test_the_endpoint_is_one_that_workloads_can_reach() -> None:
    assert load({"CLARY_HOST": "0.0.0.0"}).endpoint == "http://127.0.0.1:4100"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CLARY_PORT", "many"),
        ("CLARY_WARM_WORKERS", "maybe"),
        ("CLARY_ISOLATION", "some"),
        ("CLARY_CONTAINERS", "tcp://127.0.0.1:2375"),
    ],
)
def test_a_variable_that_does_not_parse_is_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        load({name: value})


@pytest.mark.parametrize("value", ["auto", "sandbox", "engine", "unix:///run/docker.sock"])
def test_images_run_where_the_setting_says(value: str) -> None:
    assert load({"CLARY_CONTAINERS": value}).containers == value
