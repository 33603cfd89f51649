from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from clary import warm_pools
from clary.controllers.capacity import Capacity, Need
from clary.controllers.training_job import TrainingJobController
from clary.quotas import TRAINING, WARM_POOL, Quota, Quotas
from clary.store.records import Conflict
from tests.controllers.by_hand import BackendByHand
from tests.services.sagemaker.test_kinds import TRUST
from tests.services.sagemaker.test_training import TRAINING as TRAINING_JOB

if TYPE_CHECKING:
    from clary.store.records import Record
    from tests.cloud import Cloud

PLACE = ("123456789012", "eu-west-1")


class Line:
    """Training jobs on a platform without a loop: they go on as a test says."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.platform = cloud.parts.platform
        self.sagemaker = cloud.client("sagemaker")
        self.restart()

    def restart(self) -> None:
        """A server that has forgotten everything but the records."""
        self.capacity = Capacity(Need(1), wake=lambda _: None, memory=lambda: 1.0)
        self.controller = TrainingJobController(self.platform, BackendByHand(), self.capacity)

    def create(self, name: str, keep_alive: int = 600, **changes: Any) -> None:
        resources = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1, **changes.pop("of", {})}
        if keep_alive:
            resources["KeepAlivePeriodInSeconds"] = keep_alive
        self.sagemaker.create_training_job(
            **{**TRAINING_JOB, "TrainingJobName": name, "ResourceConfig": resources, **changes}
        )

    def record(self, name: str) -> Record:
        found = self.platform.records.get("training-job", *PLACE, name)
        assert found is not None
        return found

    def end(self, name: str, status: str = "Completed", reason: str = "") -> None:
        """A job that ran and ended; its cleaning is the next step."""

        def ended(record: Record) -> Record:
            transitions = [*record.observed["SecondaryStatusTransitions"], {"Status": "Downloading"}]
            observed = {**record.observed, "SecondaryStatusTransitions": transitions}
            observed |= {"FailureReason": reason} if reason else {}
            return replace(record, status=status, observed=observed)

        self.platform.records.edit(self.record(name), ended)
        self.step(name)

    def step(self, name: str) -> None:
        now = self.platform.clock.now()
        record = self.cloud.in_thread(self.controller.step, self.record(name), now)
        self.platform.records.update(record)

    def pool(self, name: str) -> dict[str, Any]:
        described = self.sagemaker.describe_training_job(TrainingJobName=name)
        found: dict[str, Any] = described.get("WarmPoolStatus", {})
        return found

    def status(self, name: str) -> str:
        return str(self.pool(name).get("Status"))

    def folder(self, name: str) -> Any:
        return self.cloud.home / "warm-pools" / "/".join(PLACE) / self.record(name).observed["WarmPool"]["Id"]

    def later(self, seconds: float) -> None:
        self.cloud.clock.shift += timedelta(seconds=seconds)


@pytest.fixture
def line(cloud: Cloud) -> Line:
    cloud.client("iam").create_role(RoleName="run", AssumeRolePolicyDocument=json.dumps(TRUST))
    return Line(cloud)


def refusal(call: Any, **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        call(**request)
    told = error.value.response["Error"]
    return told["Code"], told["Message"]


def test_a_pool_goes_from_job_to_job(line: Line) -> None:
    line.create("one")
    assert line.pool("one") == {"Status": "InUse"}
    line.end("one")
    line.later(30)
    assert line.pool("one") == {"Status": "Available", "ResourceRetainedBillableTimeInSeconds": 30}
    line.create("two", keep_alive=0)
    told = {"Status": "Reused", "ResourceRetainedBillableTimeInSeconds": 30, "ReusedByJob": "two"}
    assert line.pool("one") == told
    assert line.pool("two") == {"Status": "InUse"}
    line.end("two")
    assert line.status("two") == "Terminated"
    line.step("one")
    assert line.pool("one") == told
    assert line.record("one").due is None


@pytest.mark.parametrize(
    "other",
    [
        {"of": {"InstanceType": "ml.m5.xlarge"}},
        {"of": {"InstanceCount": 2}},
        {"of": {"VolumeSizeInGB": 2}},
        {"EnableNetworkIsolation": True},
        {"EnableInterContainerTrafficEncryption": True},
        {"VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}},
        {"RoleArn": "arn:aws:iam::123456789012:role/other"},
    ],
)
def test_a_job_that_differs_gets_another_pool(line: Line, other: dict[str, Any]) -> None:
    line.cloud.client("iam").create_role(RoleName="other", AssumeRolePolicyDocument=json.dumps(TRUST))
    line.create("one")
    line.end("one")
    line.create("two", **other)
    assert (line.status("one"), line.status("two")) == ("Available", "InUse")
    line.create("three")
    assert line.pool("one")["ReusedByJob"] == "three"


def test_a_pool_keeps_its_place_in_the_line(line: Line) -> None:
    line.create("one")
    one, two, other = (f"training-job/123456789012/eu-west-1/{name}" for name in ("one", "two", "other"))
    now = line.platform.clock.now()
    assert line.capacity.place(one, Need(2), now) == 0
    line.end("one")
    assert line.capacity.place(other, Need(2), now) == 1
    line.restart()
    line.step("one")
    assert line.capacity.place(other, Need(2), now) == 1
    line.create("two")
    line.step("one")
    assert line.capacity.place(other, Need(2), now) == 1
    line.step("two")
    assert line.capacity.place(two, Need(2), now) == 0
    assert line.capacity.place(other, Need(2), now) == 1
    line.end("two")
    line.sagemaker.update_training_job(TrainingJobName="two", ResourceConfig={"KeepAlivePeriodInSeconds": 0})
    line.step("two")
    assert line.status("two") == "Terminated"
    assert line.capacity.place(other, Need(2), now) == 0


def test_a_job_that_is_stopped_before_its_turn_holds_no_place_twice(line: Line) -> None:
    line.create("one")
    line.end("one")
    line.create("two", keep_alive=0)
    line.sagemaker.stop_training_job(TrainingJobName="two")
    for _ in range(2):
        line.step("two")
    assert line.sagemaker.describe_training_job(TrainingJobName="two")["TrainingJobStatus"] == "Stopped"
    assert line.status("two") == "Terminated"
    line.step("one")
    assert line.record("one").due is None
    assert line.capacity.place("other", Need(2), line.platform.clock.now()) == 0


def test_a_pool_ends_after_its_time(line: Line) -> None:
    line.create("one", keep_alive=60)
    line.folder("one").mkdir(parents=True)
    line.end("one")
    line.later(59)
    line.step("one")
    assert line.status("one") == "Available"
    line.sagemaker.update_training_job(TrainingJobName="one", ResourceConfig={"KeepAlivePeriodInSeconds": 120})
    line.later(2)
    line.step("one")
    assert line.status("one") == "Available"
    assert line.folder("one").exists()
    line.later(60)
    line.create("two")
    assert line.status("one") == "Available"  # nobody has looked yet, but its time is over
    line.step("one")
    told = {"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": 121}
    assert line.pool("one") == told
    assert not line.folder("one").exists()
    assert line.record("one").due is None
    message = refusal(
        line.sagemaker.update_training_job, TrainingJobName="one", ResourceConfig={"KeepAlivePeriodInSeconds": 60}
    )
    assert message[0] == "ValidationException"


def test_a_pool_that_was_taken_over_meanwhile_does_not_end(line: Line) -> None:
    line.create("one", keep_alive=60)
    line.folder("one").mkdir(parents=True)
    line.end("one")
    before = line.record("one")
    line.create("two")
    with pytest.raises(Conflict):
        line.controller.step(before, line.platform.clock.now() + timedelta(seconds=61))
    assert line.folder("two").exists()
    assert line.folder("two") == line.folder("one")


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        ("Stopped", "", "Available"),
        ("Failed", "AlgorithmError: , exit code: 1", "Available"),
        ("Failed", "ClientError: no", "Available"),
        ("Failed", "InternalServerError: lost", "Terminated"),
    ],
)
def test_instances_are_kept_unless_they_may_be_to_blame(line: Line, status: str, reason: str, expected: str) -> None:
    line.create("one")
    line.end("one", status, reason)
    assert line.status("one") == expected


def test_a_job_that_never_had_instances_keeps_none(line: Line) -> None:
    line.create("one")
    line.sagemaker.stop_training_job(TrainingJobName="one")
    for _ in range(2):
        line.step("one")
    assert line.status("one") == "Terminated"


def test_pools_count_as_usage_and_have_a_quota_of_their_own(line: Line) -> None:
    quotas = Quotas(line.platform, *PLACE)
    training, pools = (Quota(purpose, "ml.m5.large") for purpose in (TRAINING, WARM_POOL))
    line.create("one")
    assert (quotas.used(training), quotas.used(pools)) == (1, 0)
    line.end("one")
    assert (quotas.used(training), quotas.used(pools)) == (1, 1)
    line.create("two")
    assert (quotas.used(training), quotas.used(pools)) == (1, 0)


def test_without_room_in_the_quota_nothing_is_kept(line: Line) -> None:
    line.create("one")
    line.create("two", of={"VolumeSizeInGB": 2})
    line.end("one")
    settings = line.platform.settings
    line.platform.settings = replace(settings, instance_quota=1)
    try:
        line.end("two")
    finally:
        line.platform.settings = settings
    assert (line.status("one"), line.status("two")) == ("Available", "Terminated")


def test_a_pool_does_not_last_for_more_than_28_days(line: Line) -> None:
    line.create("one", keep_alive=3600)
    record = line.record("one")
    end = record.created + timedelta(days=28)
    assert warm_pools.kept(record, end - timedelta(hours=2)).due == end - timedelta(hours=1)
    assert warm_pools.kept(record, end - timedelta(seconds=10)).due == end


def test_jobs_are_listed_by_the_status_of_their_pool(line: Line) -> None:
    line.create("one")
    line.end("one")
    line.create("two", of={"VolumeSizeInGB": 2})
    line.create("three", keep_alive=0, of={"VolumeSizeInGB": 3})
    listed = line.sagemaker.list_training_jobs(WarmPoolStatusEquals="Available")["TrainingJobSummaries"]
    assert [(job["TrainingJobName"], job["WarmPoolStatus"]["Status"]) for job in listed] == [("one", "Available")]
    assert len(line.sagemaker.list_training_jobs()["TrainingJobSummaries"]) == 3


def test_a_job_with_a_pool_cannot_be_deleted(line: Line) -> None:
    line.create("one")
    line.end("one")
    assert refusal(line.sagemaker.delete_training_job, TrainingJobName="one")[0] == "ResourceInUse"


def test_spot_training_has_no_pools(line: Line) -> None:
    spot: dict[str, Any] = {
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60},
    }
    with pytest.raises(ClientError, match="KeepAlivePeriodInSeconds is not supported"):
        line.create("one", **spot)
    line.create("two")
    line.end("two")
    line.create("three", keep_alive=0, **spot)
    assert (line.status("two"), line.pool("three")) == ("Available", {})
