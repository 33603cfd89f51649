from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from tests.cloud import Cloud

START = datetime(2026, 5, 1, 10, tzinfo=UTC)


@pytest.fixture
def namespace() -> str:
    return f"Tests/{uuid.uuid4().hex}"


@pytest.fixture
def cloudwatch(cloud: Cloud, namespace: str) -> Any:
    client = cloud.client("cloudwatch")
    dimensions = [{"Name": "Job", "Value": "a"}]
    data = [
        {"MetricName": "loss", "Dimensions": dimensions, "Timestamp": START + timedelta(seconds=second), "Value": value}
        for second, value in ((0, 4.0), (30, 2.0), (60, 1.0))
    ]
    client.put_metric_data(Namespace=namespace, MetricData=data)
    return client


def statistics(client: Any, namespace: str, **changes: Any) -> list[dict[str, Any]]:
    request = {
        "Namespace": namespace,
        "MetricName": "loss",
        "Dimensions": [{"Name": "Job", "Value": "a"}],
        "StartTime": START,
        "EndTime": START + timedelta(minutes=5),
        "Period": 60,
        "Statistics": ["Average", "Sum", "Minimum", "Maximum", "SampleCount"],
    }
    found: list[dict[str, Any]] = client.get_metric_statistics(**{**request, **changes})["Datapoints"]
    return found


def test_statistics_over_periods(cloudwatch: Any, namespace: str) -> None:
    first, second = statistics(cloudwatch, namespace)
    assert first.pop("Timestamp") == START
    assert first == {"Unit": "None", "Average": 3.0, "Sum": 6.0, "Minimum": 2.0, "Maximum": 4.0, "SampleCount": 2.0}
    assert (second["Timestamp"], second["Average"]) == (START + timedelta(minutes=1), 1.0)
    assert statistics(cloudwatch, namespace, Dimensions=[]) == []


def test_summaries_and_repeated_values(cloudwatch: Any, namespace: str) -> None:
    later = START + timedelta(minutes=3)
    data = [
        {
            "MetricName": "loss",
            "Dimensions": [{"Name": "Job", "Value": "a"}],
            "Timestamp": later,
            "StatisticValues": {"SampleCount": 2, "Sum": 10, "Minimum": 3, "Maximum": 7},
        },
        {
            "MetricName": "loss",
            "Dimensions": [{"Name": "Job", "Value": "a"}],
            "Timestamp": later,
            "Values": [1.0, 2.0],
            "Counts": [3.0, 1.0],
        },
    ]
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)
    (found,) = statistics(cloudwatch, namespace, StartTime=later)
    assert (found["SampleCount"], found["Sum"], found["Minimum"], found["Maximum"]) == (6.0, 15.0, 1.0, 7.0)


def test_metric_data(cloudwatch: Any, namespace: str) -> None:
    metric = {"Namespace": namespace, "MetricName": "loss", "Dimensions": [{"Name": "Job", "Value": "a"}]}
    queries = [{"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Maximum"}}]
    span = {"StartTime": START, "EndTime": START + timedelta(minutes=5)}
    (result,) = cloudwatch.get_metric_data(MetricDataQueries=queries, **span)["MetricDataResults"]
    assert result["Values"] == [1.0, 4.0]
    ascending = cloudwatch.get_metric_data(MetricDataQueries=queries, ScanBy="TimestampAscending", **span)
    assert ascending["MetricDataResults"][0]["Values"] == [4.0, 1.0]


def test_list(cloudwatch: Any, namespace: str) -> None:
    expected = {"Namespace": namespace, "MetricName": "loss", "Dimensions": [{"Name": "Job", "Value": "a"}]}
    assert cloudwatch.list_metrics(Namespace=namespace)["Metrics"] == [expected]
    assert cloudwatch.list_metrics(Namespace=namespace, Dimensions=[{"Name": "Job"}])["Metrics"] == [expected]
    assert cloudwatch.list_metrics(Namespace=namespace, Dimensions=[{"Name": "Other"}])["Metrics"] == []


def test_errors(cloudwatch: Any, namespace: str) -> None:
    with pytest.raises(ClientError, match="StartTime must be less"):
        statistics(cloudwatch, namespace, EndTime=START)
    with pytest.raises(ClientError, match="exceeds the limit"):
        statistics(cloudwatch, namespace, EndTime=START + timedelta(days=30))
    with pytest.raises(ClientError, match="has no value"):
        cloudwatch.put_metric_data(Namespace=namespace, MetricData=[{"MetricName": "x"}])
