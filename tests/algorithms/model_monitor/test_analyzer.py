from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from clary.algorithms.model_monitor.analyzer import main

if TYPE_CHECKING:
    from tests.toolkit.container import Container

CANCER = load_breast_cancer()
HEADER = ["diagnosis", *(name.replace(" ", "_") for name in CANCER.feature_names[:5])]
TABLE = np.column_stack([CANCER.target, CANCER.data[:, :5]])
HOUR = "2026-01-01T10:{minute:02d}:00Z"

Run = Callable[..., int]


def csv(rows: Iterable[Iterable[Any]]) -> str:
    return "".join(f"{','.join(map(str, row))}\n" for row in rows)


@pytest.fixture
def run(container: Container, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("CLARY_ML_ROOT", str(container.root))

    def start(variables: Mapping[str, str]) -> int:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return main()

    return start


@pytest.fixture
def baseline(container: Container, run: Run) -> dict[str, Any]:
    """A baseline of a real table, and its constraints."""
    container.write("processing/input/baseline_dataset_input/part.csv", csv([HEADER, *TABLE.tolist()]))
    return suggest(container, run)


def suggest(container: Container, run: Run) -> dict[str, Any]:
    code = run(
        {
            "dataset_format": '{"csv": {"header": true, "output_columns_position": "START"}}',
            "dataset_source": "/opt/ml/processing/input/baseline_dataset_input",
            "output_path": "/opt/ml/processing/output",
            "publish_cloudwatch_metrics": "Disabled",
        }
    )
    assert code == 0
    for name in ("statistics", "constraints"):
        container.write(f"processing/baseline/{name}.json", container.read(f"processing/output/{name}.json"))
    document: dict[str, Any] = json.loads(container.read("processing/output/constraints.json"))
    return document


def capture(container: Container, table: Iterable[Iterable[Any]], minute: int = 5) -> None:
    """Write rows as calls that an endpoint has captured: the first column is the answer."""
    lines = []
    for answer, *features in table:
        sides = {
            "endpointInput": {"encoding": "CSV", "data": ",".join(map(str, features)), "mode": "INPUT"},
            "endpointOutput": {"encoding": "CSV", "data": str(answer), "mode": "OUTPUT"},
        }
        time = HOUR.format(minute=minute)
        lines.append(json.dumps({"captureData": sides, "eventMetadata": {"inferenceTime": time}, "eventVersion": "0"}))
    container.write(f"processing/input/endpoint/e/AllTraffic/2026/01/01/10/{minute}.jsonl", "\n".join(lines))


def monitor(run: Run, **variables: str) -> int:
    return run(
        {
            "dataset_format": '{"sagemakerCaptureJson": {"captureIndexNames": ["endpointInput", "endpointOutput"]}}',
            "dataset_source": "/opt/ml/processing/input/endpoint",
            "output_path": "/opt/ml/processing/output",
            "publish_cloudwatch_metrics": "Enabled",
            "baseline_constraints": "/opt/ml/processing/baseline/constraints.json",
            "baseline_statistics": "/opt/ml/processing/baseline/statistics.json",
            "start_time": "2026-01-01T10:00:00Z",
            "end_time": "2026-01-01T11:00:00Z",
            "sagemaker_endpoint_name": "e",
            "sagemaker_monitoring_schedule_name": "s",
        }
        | variables
    )


def violations(container: Container) -> dict[str, list[str]]:
    """The checks that failed, by feature."""
    found: dict[str, list[str]] = {}
    for violation in json.loads(container.read("processing/output/constraint_violations.json"))["violations"]:
        found.setdefault(violation["feature_name"], []).append(violation["constraint_check_type"])
    return found


def test_baselines_describe_and_constrain_each_column(container: Container, baseline: dict[str, Any]) -> None:
    statistics = json.loads(container.read("processing/output/statistics.json"))
    assert statistics["dataset"] == {"item_count": len(TABLE)}
    described = {feature["name"]: feature for feature in statistics["features"]}
    radius = described["mean_radius"]["numerical_statistics"]
    assert radius["mean"] == pytest.approx(TABLE[:, 1].mean())
    assert radius["std_dev"] == pytest.approx(TABLE[:, 1].std())
    assert radius["common"] == {"num_present": len(TABLE), "num_missing": 0}
    assert len(radius["distribution"]["kll"]["buckets"]) == 10
    constrained = {feature["name"]: feature for feature in baseline["features"]}
    assert list(constrained) == HEADER
    assert constrained["mean_radius"]["inferred_type"] == "Fractional"
    assert constrained["mean_radius"]["completeness"] == 1.0
    assert constrained["mean_radius"]["num_constraints"] == {"is_non_negative": True}
    assert baseline["monitoring_config"]["distribution_constraints"]["comparison_method"] == "Robust"
    assert container.read("output/message") == "Completed: Job completed successfully with no violations."


def test_types_of_columns(container: Container, run: Run) -> None:
    container.write(
        "processing/input/baseline_dataset_input/part.csv",
        csv([["n", "x", "city", "empty"], *([i, i / 2, "ab"[i % 2], ""] for i in range(20))]),
    )
    kinds = {feature["name"]: feature for feature in suggest(container, run)["features"]}
    assert {name: feature["inferred_type"] for name, feature in kinds.items()} == {
        "n": "Integral",
        "x": "Fractional",
        "city": "String",
        "empty": "Unknown",
    }
    assert kinds["city"]["string_constraints"] == {"domains": ["a", "b"]}
    assert kinds["empty"]["completeness"] == 0.0


def test_data_like_the_baseline_break_nothing(container: Container, baseline: dict[str, Any], run: Run) -> None:
    sample = TABLE[np.random.default_rng(0).permutation(len(TABLE))[:200]]
    capture(container, sample.tolist())
    assert monitor(run) == 0
    assert violations(container) == {}
    assert container.read("output/message") == "Completed: Job completed successfully with no violations."


def test_drift_of_one_feature_is_found(container: Container, baseline: dict[str, Any], run: Run) -> None:
    moved = TABLE[:200].copy()
    moved[:, 2] += TABLE[:, 2].std()
    capture(container, moved.tolist())
    assert monitor(run) == 0
    assert violations(container)["mean_texture"] == ["baseline_drift_check"]
    count = sum(map(len, violations(container).values()))
    message = f"CompletedWithViolations: Job completed successfully with {count} violations."
    assert container.read("output/message") == message


def test_types_gaps_and_columns_are_checked(container: Container, baseline: dict[str, Any], run: Run) -> None:
    rows: list[list[Any]] = [[*row, 1.0] for row in TABLE[:200].tolist()]
    for row in rows[:50]:
        row[1], row[2] = "wide", ""
    capture(container, rows)
    assert monitor(run) == 0
    found = violations(container)
    assert "data_type_check" in found["mean_radius"]
    assert "completeness_check" in found["mean_texture"]
    assert found["_c6"] == ["extra_column_check"]


def test_missing_columns_and_foreign_values(container: Container, run: Run) -> None:
    rows = [[i % 2, "red" if i % 3 else "blue", i] for i in range(60)]
    container.write("processing/input/baseline_dataset_input/part.csv", csv([["y", "colour", "n"], *rows]))
    suggest(container, run)
    capture(container, [[1, "green"], *([row[0], row[1]] for row in rows)])
    assert monitor(run) == 0
    assert violations(container) == {"n": ["missing_column_check"], "colour": ["categorical_values_check"]}


def test_only_the_window_counts(container: Container, baseline: dict[str, Any], run: Run) -> None:
    capture(container, TABLE[:100].tolist(), minute=5)
    capture(container, TABLE[:50].tolist(), minute=40)
    assert monitor(run, end_time="2026-01-01T10:30:00Z") == 0
    assert json.loads(container.read("processing/output/statistics.json"))["dataset"]["item_count"] == 100
    assert monitor(run, start_time="2026-01-01T12:00:00Z", end_time="2026-01-01T13:00:00Z") == 255
    assert container.read("output/message").startswith("Error: No data found")


def test_without_a_baseline_there_is_nothing_to_break(container: Container, run: Run) -> None:
    capture(container, TABLE[:50].tolist())
    assert monitor(run, baseline_constraints="", baseline_statistics="") == 0
    assert (container.root / "processing/output/statistics.json").exists()
    assert not (container.root / "processing/output/constraint_violations.json").exists()


def test_checks_can_be_switched_off(container: Container, baseline: dict[str, Any], run: Run) -> None:
    baseline["monitoring_config"]["distribution_constraints"]["perform_comparison"] = "Disabled"
    disabled = {"evaluate_constraints": "Disabled"}
    baseline["features"][2]["string_constraints"] = {"monitoring_config_overrides": disabled}
    container.write("processing/baseline/constraints.json", json.dumps(baseline))
    rows = TABLE[:100].copy().astype(object)
    rows[:, 1] = 1e6
    rows[:, 2] = "text"
    capture(container, rows.tolist())
    assert monitor(run) == 0
    assert violations(container) == {}


def test_metrics_for_the_platform(container: Container, baseline: dict[str, Any], run: Run) -> None:
    capture(container, TABLE[:100].tolist())
    assert monitor(run) == 0
    lines = container.read("output/metrics/cloudwatch/cloudwatch_metrics.jsonl").splitlines()
    metrics = {metric["MetricName"]: metric for metric in map(json.loads, lines)}
    assert metrics["feature_non_null_mean_radius"]["Value"] == 1.0
    assert 0 <= metrics["feature_baseline_drift_mean_radius"]["Value"] <= 1
    assert metrics["feature_data_mean_radius"]["StatisticValues"]["SampleCount"] == 100
    dimensions = [{"Name": "Endpoint", "Value": "e"}, {"Name": "MonitoringSchedule", "Value": "s"}]
    assert metrics["feature_non_null_mean_radius"]["Dimensions"] == dimensions
    assert metrics["feature_non_null_mean_radius"]["Timestamp"] == "2026-01-01T11:00:00Z"


def test_scripts_before_and_after(container: Container, baseline: dict[str, Any], run: Run) -> None:
    before = container.write(
        "processing/code/before.py",
        "def preprocess_handler(record, logger):\n"
        "    cells = (record.endpoint_output.data + ',' + record.endpoint_input.data).split(',')\n"
        "    return {str(i).zfill(20): cell for i, cell in enumerate(cells[:6])}\n",
    )
    mark = container.root / "after"
    after = container.write(
        "processing/code/after.py", f"def postprocess_handler():\n    open({str(mark)!r}, 'w').close()\n"
    )
    capture(container, [[*row, 5] for row in TABLE[:200].tolist()])
    scripts = {"record_preprocessor_script": str(before), "post_analytics_processor_script": str(after)}
    assert monitor(run, **scripts) == 0
    assert "_c6" not in violations(container)
    assert mark.exists()


def test_other_analyses_are_refused_by_name(container: Container, run: Run) -> None:
    assert monitor(run, analysis_type="MODEL_QUALITY") == 255
    assert "analysis_type MODEL_QUALITY is not supported" in container.read("output/message")


def test_runs_as_a_program(container: Container) -> None:
    container.write("processing/input/baseline_dataset_input/part.csv", csv([["x"], [1], [2]]))
    env = {"dataset_format": '{"csv": {"header": true}}', "output_path": "/opt/ml/processing/output"}
    env["dataset_source"] = "/opt/ml/processing/input/baseline_dataset_input"
    done = container.run("clary.algorithms", "model-monitor", "process", env=env)
    assert done.returncode == 0, done.stderr
    assert (container.root / "processing/output/constraints.json").exists()
