"""CloudWatch metrics: put, list, and statistics over periods."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from clary.errors import ServiceError
from clary.services.service import Check, Document, Service, in_thread
from clary.store.metrics import Metric, Point

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clary.api import cloudwatch as api
    from clary.context import Context
    from clary.platform import Platform

STATISTICS = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
MOST_DATA_POINTS = 1440
PAGE = 500
MOST_DIGITS = 12


class InvalidParameterValue(ServiceError):
    """A parameter has a value that it may not have."""

    code = "InvalidParameterValue"


class InvalidParameterCombination(ServiceError):
    """Parameters that exclude each other, or ask for too much."""


class Metrics:
    """Data points by namespace, name and dimensions."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def put_metric_data(self, ctx: Context, request: api.PutMetricDataInput) -> None:
        """Adds data points."""
        points = [
            (_metric(request["Namespace"], datum), point)
            for datum in request.get("MetricData", ())
            for point in _points(datum, ctx.now.timestamp())
        ]
        self._platform.metrics.put(_scope(ctx), points)

    @in_thread
    def list_metrics(self, ctx: Context, request: api.ListMetricsInput) -> api.ListMetricsOutput:
        """The metrics seen, narrowed by namespace, name and dimensions."""
        dimensions = {wish["Name"]: wish["Value"] for wish in request.get("Dimensions", ()) if "Value" in wish}
        names = {wish["Name"] for wish in request.get("Dimensions", ())}
        found = [
            metric
            for metric in self._platform.metrics.find(
                _scope(ctx), request.get("Namespace", ""), request.get("MetricName", ""), dimensions
            )
            if names <= metric.dimensions.keys()
        ]
        start = _start(request.get("NextToken", "0"))
        answer: api.ListMetricsOutput = {"Metrics": [_members(metric) for metric in found[start : start + PAGE]]}
        if len(found) > start + PAGE:
            answer["NextToken"] = str(start + PAGE)
        return answer

    @in_thread
    def get_metric_statistics(self, ctx: Context, request: api.GetMetricStatisticsInput) -> Document:
        """Statistics of one metric over periods of equal length."""
        start, end, period = request["StartTime"].timestamp(), request["EndTime"].timestamp(), request["Period"]
        if start >= end:
            raise InvalidParameterValue("The parameter StartTime must be less than the parameter EndTime.")
        if (end - start) / period > MOST_DATA_POINTS:
            raise InvalidParameterCombination(
                f"You have requested up to {int((end - start) / period)} datapoints, which exceeds the limit of "
                f"{MOST_DATA_POINTS}. You may reduce the datapoints requested by increasing Period, or decreasing the "
                "time range."
            )
        if request.get("ExtendedStatistics"):
            raise InvalidParameterValue("Clary does not support ExtendedStatistics (percentiles) yet.")
        points = self._read(ctx, _metric(request["Namespace"], request), start, end)
        wanted = request.get("Statistics", ())
        unit = request.get("Unit")
        data = [
            {
                "Timestamp": datetime.fromtimestamp(moment, UTC),
                "Unit": group[0].unit,
                **{name: _statistic(name, group) for name in wanted},
            }
            for moment, group in _periods(points, start, period).items()
            if unit is None or group[0].unit == unit
        ]
        return {"Label": request["MetricName"], "Datapoints": data}

    @in_thread
    def get_metric_data(self, ctx: Context, request: api.GetMetricDataInput) -> api.GetMetricDataOutput:
        """One statistic each of several metrics over periods of equal length."""
        start, end = request["StartTime"].timestamp(), request["EndTime"].timestamp()
        descending = request.get("ScanBy", "TimestampDescending") == "TimestampDescending"
        results = []
        for query in request["MetricDataQueries"]:
            if "MetricStat" not in query:
                raise InvalidParameterValue("Clary does not support metric math (Expression) yet.")
            if query.get("ReturnData", True):
                results.append(self._result(ctx, query, (start, end), descending=descending))
        return {"MetricDataResults": results, "Messages": []}

    def _result(
        self, ctx: Context, query: api.MetricDataQuery, span: tuple[float, float], *, descending: bool
    ) -> api.MetricDataResult:
        stat = query["MetricStat"]
        if stat["Stat"] not in STATISTICS:
            raise InvalidParameterValue(f"Clary does not support the statistic {stat['Stat']} yet.")
        metric = _metric(stat["Metric"]["Namespace"], stat["Metric"])
        periods = _periods(self._read(ctx, metric, *span), span[0], stat["Period"])
        order = sorted(periods, reverse=descending)
        return {
            "Id": query["Id"],
            "Label": query.get("Label", metric.name),
            "Timestamps": [datetime.fromtimestamp(moment, UTC) for moment in order],
            "Values": [_statistic(stat["Stat"], periods[moment]) for moment in order],
            "StatusCode": "Complete",
        }

    def _read(self, ctx: Context, metric: Metric, start: float, end: float) -> Sequence[Point]:
        return self._platform.metrics.get(_scope(ctx), metric, start, end)


def _start(token: str) -> int:
    """The position that a page token stands for."""
    if not token.isdecimal() or len(token) > MOST_DIGITS:
        raise InvalidParameterValue("The value for parameter NextToken is not valid.")
    return int(token)


def _scope(ctx: Context) -> str:
    return f"{ctx.account}/{ctx.region}"


def _metric(namespace: str, source: Mapping[str, Any]) -> Metric:
    dimensions = {entry["Name"]: entry["Value"] for entry in source.get("Dimensions", ())}
    return Metric(namespace, source["MetricName"], dimensions)


def _members(metric: Metric) -> api.Metric:
    dimensions: list[api.Dimension] = [
        {"Name": name, "Value": value} for name, value in sorted(metric.dimensions.items())
    ]
    return {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions}


def _points(datum: api.MetricDatum, now: float) -> list[Point]:
    moment = datum["Timestamp"].timestamp() if "Timestamp" in datum else now
    unit = datum.get("Unit", "None")
    if "StatisticValues" in datum:
        values = datum["StatisticValues"]
        summary = (values["SampleCount"], values["Sum"], values["Minimum"], values["Maximum"])
        return [Point(moment, *summary, unit)]
    if "Values" in datum:
        counts = datum.get("Counts") or [1.0] * len(datum["Values"])
        if len(counts) != len(datum["Values"]):
            raise InvalidParameterValue("The parameters Values and Counts must have the same length.")
        return [
            Point(moment, count, value * count, value, value, unit)
            for value, count in zip(datum["Values"], counts, strict=True)
        ]
    if "Value" not in datum:
        raise InvalidParameterValue(f"The metric {datum['MetricName']} has no value.")
    return [Point.of(moment, datum["Value"], unit)]


def _periods(points: Sequence[Point], start: float, period: int) -> dict[float, list[Point]]:
    """The points by the start of their period, oldest first."""
    groups: dict[float, list[Point]] = {}
    for point in points:
        groups.setdefault(start + (point.time - start) // period * period, []).append(point)
    return groups


def _statistic(name: str, points: Sequence[Point]) -> float:
    count = sum(point.count for point in points)
    total = sum(point.sum for point in points)
    values = {
        "SampleCount": count,
        "Sum": total,
        "Average": total / count if count else 0.0,
        "Minimum": min(point.low for point in points),
        "Maximum": max(point.high for point in points),
    }
    return values[name]


def access(platform: Platform, ctx: Context, request: Document) -> Sequence[Check]:  # noqa: ARG001  # the contract's shape
    """CloudWatch knows no resources for metrics; a namespace may be a condition."""
    keys = {"cloudwatch:namespace": str(request["Namespace"])} if "Namespace" in request else {}
    return [Check(f"cloudwatch:{ctx.operation}", "*", keys)]


SERVICE = Service("cloudwatch", Metrics, access=access)
