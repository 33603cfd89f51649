from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from tests.cloud import Cloud

GROUP = "/team/app"


@pytest.fixture
def logs(cloud: Cloud) -> Any:
    client = cloud.client("logs")
    client.create_log_group(logGroupName=GROUP, tags={"team": "a"})
    return client


def put(logs: Any, stream: str, *messages: str) -> int:
    now = int(time.time() * 1000)
    logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
    events = [{"timestamp": now + index, "message": message} for index, message in enumerate(messages)]
    logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)
    return now


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_events_come_back_in_pages(cloud: Cloud, logs: Any) -> None:
    cloud.parts.platform.logs.delete_group(f"123456789012/eu-west-1/{GROUP}")
    put(logs, "s", *(str(number) for number in range(5)))
    where = {"logGroupName": GROUP, "logStreamName": "s", "limit": 2}
    first = logs.get_log_events(**where, startFromHead=True)
    assert [event["message"] for event in first["events"]] == ["0", "1"]
    second = logs.get_log_events(**where, nextToken=first["nextForwardToken"])
    assert [event["message"] for event in second["events"]] == ["2", "3"]
    third = logs.get_log_events(**where, nextToken=second["nextForwardToken"])
    assert [event["message"] for event in third["events"]] == ["4"]
    end = logs.get_log_events(**where, nextToken=third["nextForwardToken"])
    assert end["events"] == []
    assert end["nextForwardToken"] == third["nextForwardToken"]
    back = logs.get_log_events(**where, nextToken=third["nextBackwardToken"])
    assert [event["message"] for event in back["events"]] == ["2", "3"]


def test_without_a_start_the_newest_events_come(cloud: Cloud, logs: Any) -> None:
    cloud.parts.platform.logs.delete_group(f"123456789012/eu-west-1/{GROUP}")
    put(logs, "s", "old", "new")
    newest = logs.get_log_events(logGroupName=GROUP, logStreamName="s", limit=1)
    assert [event["message"] for event in newest["events"]] == ["new"]


def test_filters(cloud: Cloud, logs: Any) -> None:
    cloud.parts.platform.logs.delete_group(f"123456789012/eu-west-1/{GROUP}")
    put(logs, "a/1", "ERROR disk full", "INFO fine")
    put(logs, "b", "ERROR net down")

    def found(**options: Any) -> list[str]:
        return [event["message"] for event in logs.filter_log_events(logGroupName=GROUP, **options)["events"]]

    assert sorted(found(filterPattern="ERROR")) == ["ERROR disk full", "ERROR net down"]
    assert found(filterPattern="ERROR -net") == ["ERROR disk full"]
    assert found(filterPattern='"disk full"') == ["ERROR disk full"]
    assert sorted(found(filterPattern="?fine ?down")) == ["ERROR net down", "INFO fine"]
    assert found(filterPattern="%f[a-z]+e%") == ["INFO fine"]
    assert found(logStreamNamePrefix="a/", filterPattern="INFO") == ["INFO fine"]
    with pytest.raises(ClientError) as error:
        found(filterPattern="{ $.level = 1 }")
    assert code(error) == "NotImplemented"


def test_pages_hold_a_megabyte_at_most(cloud: Cloud, logs: Any) -> None:
    cloud.parts.platform.logs.delete_group(f"123456789012/eu-west-1/{GROUP}")
    put(logs, "a", *("x" * 400_000 for _ in range(2)))
    now = int(time.time() * 1000)
    more = [{"timestamp": now + 5 + index, "message": "y" * 400_000} for index in range(2)]
    logs.put_log_events(logGroupName=GROUP, logStreamName="a", logEvents=more)
    page = logs.get_log_events(logGroupName=GROUP, logStreamName="a", startFromHead=True)
    assert len(page["events"]) == 2
    rest = logs.get_log_events(logGroupName=GROUP, logStreamName="a", nextToken=page["nextForwardToken"])
    assert [event["message"][0] for event in rest["events"]] == ["y", "y"]
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=GROUP)
    assert [len(found["events"]) for found in pages] == [3, 1]


def test_streams_are_described_in_pages(cloud: Cloud, logs: Any) -> None:
    cloud.parts.platform.logs.delete_group(f"123456789012/eu-west-1/{GROUP}")
    for name in ("j/1", "j/2", "k"):
        put(logs, name, "x")
    pages = logs.get_paginator("describe_log_streams").paginate(
        logGroupName=GROUP, logStreamNamePrefix="j/", PaginationConfig={"PageSize": 1}
    )
    assert [stream["logStreamName"] for page in pages for stream in page["logStreams"]] == ["j/1", "j/2"]


def test_groups_and_retention(logs: Any) -> None:
    logs.create_log_group(logGroupName="/team/web")
    logs.put_retention_policy(logGroupName=GROUP, retentionInDays=7)
    groups = logs.describe_log_groups(logGroupNamePrefix="/team/")["logGroups"]
    assert [group["logGroupName"] for group in groups] == ["/team/app", "/team/web"]
    assert groups[0]["retentionInDays"] == 7
    assert logs.list_tags_log_group(logGroupName=GROUP)["tags"] == {"team": "a"}
    logs.delete_retention_policy(logGroupName=GROUP)
    assert "retentionInDays" not in logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"][0]
    with pytest.raises(ClientError) as error:
        logs.put_retention_policy(logGroupName=GROUP, retentionInDays=8)
    assert code(error) == "InvalidParameterException"


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda logs: logs.create_log_group(logGroupName=GROUP), "ResourceAlreadyExistsException"),
        (lambda logs: logs.delete_log_group(logGroupName="none"), "ResourceNotFoundException"),
        (lambda logs: logs.describe_log_streams(logGroupName="none"), "ResourceNotFoundException"),
        (lambda logs: logs.get_log_events(logGroupName=GROUP, logStreamName="x"), "ResourceNotFoundException"),
        (
            lambda logs: logs.put_log_events(
                logGroupName=GROUP, logStreamName="x", logEvents=[{"timestamp": 1, "message": "x"}]
            ),
            "ResourceNotFoundException",
        ),
        (lambda logs: logs.create_log_group(logGroupName="no spaces"), "InvalidParameterException"),
    ],
)
def test_errors(logs: Any, call: Any, expected: str) -> None:
    with pytest.raises(ClientError) as error:
        call(logs)
    assert code(error) == expected


def test_events_of_other_times_are_refused(cloud: Cloud, logs: Any) -> None:
    cloud.parts.platform.logs.delete_group(f"123456789012/eu-west-1/{GROUP}")
    logs.create_log_stream(logGroupName=GROUP, logStreamName="s")
    now = int(time.time() * 1000)
    events = [{"timestamp": moment, "message": "x"} for moment in (1, now, now + 90_000_000)]
    answer = logs.put_log_events(logGroupName=GROUP, logStreamName="s", logEvents=events)
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 2}
    assert len(logs.get_log_events(logGroupName=GROUP, logStreamName="s")["events"]) == 1
    with pytest.raises(ClientError) as error:
        logs.put_log_events(logGroupName=GROUP, logStreamName="s", logEvents=[events[1], events[0]])
    assert code(error) == "InvalidParameterException"
