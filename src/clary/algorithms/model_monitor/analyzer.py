"""The monitoring container's program: makes a baseline, or holds captured data against one."""

from __future__ import annotations

import importlib.util
import inspect
import json
import logging
import os
import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clary.algorithms.model_monitor.capture import (
    InferenceRecord,
    Preprocess,
    Window,
    columns_of_records,
    parse_time,
    read_records,
)
from clary.algorithms.model_monitor.columns import Column, read_files
from clary.algorithms.model_monitor.constraints import completeness, suggest
from clary.algorithms.model_monitor.statistics import statistics
from clary.algorithms.model_monitor.violations import Baseline, drifts, violations
from clary.toolkit.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from clary.algorithms.model_monitor.drift import Drift

FAILURE_CODE = 255
CAPTURE_FORMAT = "sagemakerCaptureJson"


class AnalysisError(Exception):
    """The job cannot be done; the text goes to its exit message."""


def main() -> int:
    """Analyse as the environment says; answers the exit status."""
    layout = Layout.of(os.environ)
    try:
        message = Analysis(layout, os.environ).run()
    except (AnalysisError, ValueError, KeyError, OSError) as error:
        traceback.print_exc()
        _write_message(layout, f"Error: {error}")
        return FAILURE_CODE
    _write_message(layout, message)
    return 0


@dataclass(frozen=True, slots=True)
class Results:
    """What an analysis found."""

    columns: Sequence[Column]
    statistics: Mapping[str, Any]
    drifts: Mapping[str, Drift]
    violations: Sequence[Mapping[str, str]] | None
    """None when there was no baseline to hold the data against."""


class Analysis:
    """One run of the container."""

    def __init__(self, layout: Layout, environ: Mapping[str, str]) -> None:
        self._layout = layout
        self._environ = environ
        kind = environ.get("analysis_type") or "DATA_QUALITY"
        if kind != "DATA_QUALITY":
            raise AnalysisError(f"analysis_type {kind} is not supported; only DATA_QUALITY is.")
        self._format = json.loads(environ["dataset_format"])
        self._source = layout.local(environ["dataset_source"])
        self._output = layout.local(environ.get("output_path") or "/opt/ml/processing/output")

    def run(self) -> str:
        """Write all results and answer the exit message."""
        baseline = self._baseline()
        columns = self._columns(baseline)
        if not columns:
            raise AnalysisError("No data found in the dataset source for the given time window.")
        found = statistics(columns)
        drift = drifts(baseline, found) if baseline else {}
        broken = violations(baseline, columns, found, drift) if baseline else None
        results = Results(columns, found, drift, broken)
        self._write(results)
        if self._environ.get("publish_cloudwatch_metrics") == "Enabled":
            self._publish(results)
        self._postprocess()
        return _exit_message(len(broken or ()))

    def _baseline(self) -> Baseline | None:
        constraints = self._read("baseline_constraints")
        return Baseline(constraints, self._read("baseline_statistics")) if constraints is not None else None

    def _read(self, name: str) -> Mapping[str, Any] | None:
        path = self._environ.get(name)
        if not path:
            return None
        document: Mapping[str, Any] = json.loads(_only_file(self._layout.local(path)).read_text(encoding="utf-8"))
        return document

    def _columns(self, baseline: Baseline | None) -> Sequence[Column]:
        if CAPTURE_FORMAT not in self._format:
            return read_files(self._source, self._format)
        names = [feature["name"] for feature in baseline.constraints["features"]] if baseline else []
        position = self._format.get("output_columns_position") or self._format[CAPTURE_FORMAT].get(
            "output_columns_position", "START"
        )
        records = read_records(self._source, self._window())
        return columns_of_records(records, names, output_first=position == "START", preprocess=self._preprocess())

    def _window(self) -> Window:
        start, end = self._environ.get("start_time"), self._environ.get("end_time")
        return Window(parse_time(start) if start else None, parse_time(end) if end else None)

    def _preprocess(self) -> Preprocess | None:
        handler = getattr(self._script("record_preprocessor_script"), "preprocess_handler", None)
        if handler is None or len(inspect.signature(handler).parameters) == 1:
            return handler

        def with_logger(record: InferenceRecord) -> Any:
            return handler(record, logging.getLogger("preprocessor"))

        return with_logger

    def _postprocess(self) -> None:
        script = self._script("post_analytics_processor_script")
        if script is not None:
            script.postprocess_handler()

    def _script(self, name: str) -> ModuleType | None:
        path = self._environ.get(name)
        if not path:
            return None
        file = _only_file(self._layout.local(path))
        spec = importlib.util.spec_from_file_location(file.stem, file)
        if spec is None or spec.loader is None:
            raise AnalysisError(f"{name} {file.name} is no Python script.")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def _write(self, results: Results) -> None:
        self._output.mkdir(parents=True, exist_ok=True)
        documents: dict[str, Any] = {"statistics": results.statistics, "constraints": suggest(results.statistics)}
        if results.violations is not None:
            documents["constraint_violations"] = {"violations": results.violations}
        for name, document in documents.items():
            (self._output / f"{name}.json").write_text(json.dumps(document, indent=2), encoding="utf-8")

    def _publish(self, results: Results) -> None:
        folder = self._layout.output / "metrics" / "cloudwatch"
        folder.mkdir(parents=True, exist_ok=True)
        named = {"Endpoint": "sagemaker_endpoint_name", "MonitoringSchedule": "sagemaker_monitoring_schedule_name"}
        dimensions = [{"Name": key, "Value": self._environ.get(variable, "")} for key, variable in named.items()]
        frame = {"Timestamp": self._environ.get("end_time", ""), "Dimensions": dimensions}
        lines = (json.dumps({"MetricName": name, **frame, **value}) for name, value in _metrics(results))
        (folder / "cloudwatch_metrics.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _metrics(results: Results) -> Iterator[tuple[str, dict[str, Any]]]:
    for feature in results.statistics["features"]:
        name = feature["name"]
        yield f"feature_non_null_{name}", {"Value": completeness(feature)}
        if "numerical_statistics" in feature:
            numbers = feature["numerical_statistics"]
            values = {"SampleCount": numbers["common"]["num_present"], "Sum": numbers["sum"]}
            yield (
                f"feature_data_{name}",
                {"StatisticValues": values | {"Minimum": numbers["min"], "Maximum": numbers["max"]}},
            )
        if name in results.drifts:
            yield f"feature_baseline_drift_{name}", {"Value": results.drifts[name].distance}


def _only_file(path: Path) -> Path:
    """A path that is given as the file or as the folder that an input was placed in."""
    return next(child for child in sorted(path.iterdir()) if child.is_file()) if path.is_dir() else path


def _exit_message(count: int) -> str:
    if count:
        return f"CompletedWithViolations: Job completed successfully with {count} violations."
    return "Completed: Job completed successfully with no violations."


def _write_message(layout: Layout, text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
    layout.output.mkdir(parents=True, exist_ok=True)
    (layout.output / "message").write_text(text, encoding="utf-8")
