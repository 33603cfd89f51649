from __future__ import annotations

from typing import TYPE_CHECKING

from tests.services.ec2.conftest import TRUST_EC2, refusal

if TYPE_CHECKING:
    from tests.cloud import Cloud
    from tests.services.ec2.conftest import Instances


def test_a_profile_is_put_on_and_taken_off_a_running_instance(cloud: Cloud, instances: Instances) -> None:
    iam, ec2 = cloud.client("iam"), instances.ec2
    for name in ("one", "two"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST_EC2)
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    instance = instances.run()
    asked = {"InstanceId": instance, "IamInstanceProfile": {"Name": "one"}}
    made = ec2.associate_iam_instance_profile(**asked)["IamInstanceProfileAssociation"]
    assert refusal(ec2.associate_iam_instance_profile, **asked)[0] == "IncorrectInstanceState"
    ec2.replace_iam_instance_profile_association(
        AssociationId=made["AssociationId"], IamInstanceProfile={"Name": "two"}
    )
    assert instances.describe(instance)["IamInstanceProfile"]["Arn"].endswith("/two")
    (told,) = ec2.describe_iam_instance_profile_associations()["IamInstanceProfileAssociations"]
    assert (told["InstanceId"], told["State"]) == (instance, "associated")
    ec2.disassociate_iam_instance_profile(AssociationId=made["AssociationId"])
    assert "IamInstanceProfile" not in instances.describe(instance)
    gone = refusal(ec2.disassociate_iam_instance_profile, AssociationId=made["AssociationId"])
    assert gone[0] == "NoSuchAssociation"


def test_putting_a_profile_on_needs_permission_to_pass_its_role(cloud: Cloud, instances: Instances) -> None:
    iam = cloud.client("iam")
    iam.create_role(RoleName="one", AssumeRolePolicyDocument=TRUST_EC2)
    iam.create_instance_profile(InstanceProfileName="one")
    iam.add_role_to_instance_profile(InstanceProfileName="one", RoleName="one")
    iam.create_user(UserName="ana")
    document = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:*","Resource":"*"}]}'
    iam.put_user_policy(UserName="ana", PolicyName="p", PolicyDocument=document)
    client = cloud.client("ec2", iam.create_access_key(UserName="ana")["AccessKey"])
    code, message = refusal(
        client.associate_iam_instance_profile, InstanceId=instances.run(), IamInstanceProfile={"Name": "one"}
    )
    assert code == "UnauthorizedOperation"
    assert "iam:PassRole" in message
