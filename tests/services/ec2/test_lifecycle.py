from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.services.ec2.conftest import ACCOUNT, REGION, refusal

if TYPE_CHECKING:
    from tests.services.ec2.conftest import Instances


def test_an_instance_stops_and_starts(instances: Instances) -> None:
    name = instances.run()
    stopping = instances.ec2.stop_instances(InstanceIds=[name])["StoppingInstances"][0]
    assert (stopping["PreviousState"]["Name"], stopping["CurrentState"]["Name"]) == ("running", "stopping")
    instances.later(1)
    told = instances.describe(name)
    assert told["State"] == {"Code": 80, "Name": "stopped"}
    assert told["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    starting = instances.ec2.start_instances(InstanceIds=[name])["StartingInstances"][0]
    assert starting["CurrentState"] == {"Code": 0, "Name": "pending"}
    instances.later(1)
    assert instances.state(name) == "running"
    assert "StateReason" not in instances.describe(name)


def test_wishes_that_are_fulfilled_already_are_no_errors(instances: Instances) -> None:
    name = instances.run()
    assert (
        instances.ec2.start_instances(InstanceIds=[name])["StartingInstances"][0]["CurrentState"]["Name"] == "running"
    )
    instances.ec2.terminate_instances(InstanceIds=[name])
    instances.later(1)
    again = instances.ec2.terminate_instances(InstanceIds=[name])["TerminatingInstances"][0]
    assert again["CurrentState"] == {"Code": 48, "Name": "terminated"}


@pytest.mark.parametrize("wish", ["start_instances", "stop_instances", "reboot_instances"])
def test_a_terminated_instance_can_do_nothing_more(instances: Instances, wish: str) -> None:
    name = instances.run()
    instances.ec2.terminate_instances(InstanceIds=[name])
    instances.later(1)
    assert refusal(getattr(instances.ec2, wish), InstanceIds=[name])[0] == "IncorrectInstanceState"


def test_no_instance_changes_when_one_may_not(instances: Instances) -> None:
    free, protected = instances.run(), instances.run(DisableApiTermination=True)
    code, message = refusal(instances.ec2.terminate_instances, InstanceIds=[free, protected])
    assert code == "OperationNotPermitted"
    assert protected in message
    assert instances.state(free) == "running"
    instances.ec2.modify_instance_attribute(InstanceId=protected, DisableApiTermination={"Value": False})
    instances.ec2.terminate_instances(InstanceIds=[free, protected])
    instances.later(1)
    assert instances.state(protected) == "terminated"


def test_terminated_instances_can_be_seen_for_an_hour(instances: Instances) -> None:
    name = instances.run()
    instances.ec2.terminate_instances(InstanceIds=[name])
    instances.later(1)
    told = instances.describe(name)
    assert told["BlockDeviceMappings"] == []
    assert told["NetworkInterfaces"] == []
    assert instances.ec2.describe_volumes()["Volumes"] == []
    records = instances.cloud.parts.platform.records
    instances.later(3500)
    assert records.get("instance", ACCOUNT, REGION, name)
    instances.later(200)
    assert not records.get("instance", ACCOUNT, REGION, name)


def test_the_type_of_a_stopped_instance_only_can_be_changed(instances: Instances) -> None:
    name = instances.run()
    larger: dict[str, Any] = {"InstanceId": name, "InstanceType": {"Value": "m5.large"}}
    code, message = refusal(instances.ec2.modify_instance_attribute, **larger)
    assert (code, message) == ("IncorrectInstanceState", f"The instance '{name}' is not in the 'stopped' state.")
    instances.ec2.stop_instances(InstanceIds=[name])
    instances.later(1)
    instances.ec2.modify_instance_attribute(**larger)
    instances.ec2.start_instances(InstanceIds=[name])
    instances.later(1)
    assert instances.describe(name)["InstanceType"] == "m5.large"
    assert [workload.memory_bytes >> 30 for workload in instances.backend.started] == [2, 8]


def test_attributes_are_told_as_they_were_changed(instances: Instances) -> None:
    name = instances.run(UserData="#!/bin/sh\necho one\n")
    told = instances.ec2.describe_instance_attribute(InstanceId=name, Attribute="userData")
    assert told["UserData"]["Value"] == "IyEvYmluL3NoCmVjaG8gb25lCg=="
    assert (
        refusal(
            instances.ec2.modify_instance_attribute,
            InstanceId=name,
            InstanceInitiatedShutdownBehavior={"Value": "explode"},
        )[0]
        == "InvalidParameterValue"
    )
    instances.ec2.modify_instance_attribute(
        InstanceId=name, Attribute="instanceInitiatedShutdownBehavior", Value="terminate"
    )
    told = instances.ec2.describe_instance_attribute(InstanceId=name, Attribute="instanceInitiatedShutdownBehavior")
    assert told["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    assert refusal(instances.ec2.modify_instance_attribute, InstanceId=name)[0] == "MissingParameter"


def test_the_groups_of_an_instance_can_be_changed(instances: Instances) -> None:
    name = instances.run()
    group = instances.ec2.create_security_group(GroupName="web", Description="for the web")["GroupId"]
    instances.ec2.modify_instance_attribute(InstanceId=name, Groups=[group])
    assert instances.describe(name)["SecurityGroups"] == [{"GroupId": group, "GroupName": "web"}]
    assert refusal(instances.ec2.delete_security_group, GroupId=group)[0] == "DependencyViolation"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"InstanceType": {}}, "MissingParameter"),
        ({"Kernel": {"Value": "aki-1"}}, "Unsupported"),
        ({"Attribute": "kernel", "Value": "aki-1"}, "Unsupported"),
        ({"DisableApiStop": {"Value": True}, "EbsOptimized": {"Value": True}}, "InvalidParameterCombination"),
        ({"InstanceType": {"Value": "t9.huge"}}, "InvalidParameterValue"),
        ({"Groups": ["sg-00000000000000000"]}, "InvalidGroup.NotFound"),
    ],
)
def test_attributes_that_cannot_be_changed_so(instances: Instances, change: dict[str, Any], code: str) -> None:
    assert refusal(instances.ec2.modify_instance_attribute, InstanceId=instances.run(), **change)[0] == code
