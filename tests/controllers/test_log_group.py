from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from clary.controllers.log_group import EVERY, LogGroupController
from clary.store.logs import Window
from clary.store.records import Record

if TYPE_CHECKING:
    from tests.cloud import Cloud

NOW = datetime(2026, 6, 1, tzinfo=UTC)
GROUP = "1/r/g"


def group(**observed: Any) -> Record:
    return Record("log-group", "1", "r", "g", "arn", {}, NOW, NOW, observed=observed)


def test_events_expire_and_the_group_comes_again(cloud: Cloud) -> None:
    logs = cloud.parts.platform.logs
    old, young = (int((NOW - timedelta(days=days)).timestamp() * 1000) for days in (8, 6))
    logs.append(GROUP, "s", [(old, "old"), (young, "young")], young)
    controller = LogGroupController(cloud.parts.platform)
    assert controller.step(group(retentionInDays=7), NOW).due == NOW + EVERY
    assert [event.message for event in logs.events(GROUP, "s", Window())] == ["young"]


def test_without_a_retention_there_is_nothing_to_do(cloud: Cloud) -> None:
    assert LogGroupController(cloud.parts.platform).step(group(), NOW).due is None
