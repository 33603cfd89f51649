from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from clary.audit.explanation import explain
from clary.audit.telling import as_text
from tests.audit.world import ACCOUNT, BUCKET, Element, allow, bucket, deny, document, event_of, refused, role, user

if TYPE_CHECKING:
    from tests.cloud import Cloud


def test_an_allowed_call_names_its_statement(cloud: Cloud) -> None:
    bucket(cloud)
    statement = allow("s3:GetObject", resource=f"{BUCKET}/*", Sid="Read")
    answer = cloud.client("s3", user(cloud, "ada", statement)).get_object(Bucket="data", Key="a/x.csv")
    (verdict,) = explain(event_of(cloud, answer), cloud.parts.platform.records).verdicts
    assert verdict.allowed
    assert verdict.why == 'Allowed by statement 1 ("Read") of the inline policy "own" of user ada.'
    assert verdict.excerpt
    assert verdict.excerpt.text == statement


def test_policies_of_groups_and_managed_ones_are_named(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    keys = user(cloud, "ada")
    iam.create_group(GroupName="staff")
    iam.add_user_to_group(GroupName="staff", UserName="ada")
    iam.attach_group_policy(GroupName="staff", PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    answer = cloud.client("s3", keys).list_buckets()
    (verdict,) = explain(event_of(cloud, answer), cloud.parts.platform.records).verdicts
    assert "AWS managed policy AmazonS3ReadOnlyAccess of group staff" in verdict.why
    assert verdict.excerpt
    assert verdict.excerpt.text


def test_root_needs_no_policy(cloud: Cloud) -> None:
    answer = cloud.client("s3").list_buckets()
    (verdict,) = explain(event_of(cloud, answer), cloud.parts.platform.records).verdicts
    assert verdict.why.startswith("The root user may do everything")


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (allow("s3:ListBucket", resource=f"{BUCKET}/*"), "this action is about the bucket itself"),
        (allow("s3:*", resource="arn:aws:s3:::other"), "does not cover arn:aws:s3:::data"),
        (
            allow("s3:List*", Condition={"StringEquals": {"s3:prefix": "a/"}}),
            "StringEquals s3:prefix = a/ is not met: the request had b/",
        ),
        (
            allow("s3:*", Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}}),
            "the request did not have the key aws:MultiFactorAuthPresent",
        ),
        (
            allow("*", Condition={"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "192.0.2.0/24"]}}),
            "[10.0.0.0/8, 192.0.2.0/24] is not met: the request had 127.0.0.1",
        ),
    ],
)
def test_what_nearly_allowed_it_is_told(cloud: Cloud, statement: Element, reason: str) -> None:
    bucket(cloud)
    s3 = cloud.client("s3", user(cloud, "ada", allow("iam:*"), statement))
    explanation = refused(cloud, lambda: s3.list_objects_v2(Bucket="data", Prefix="b/"))
    (miss,) = explanation.verdicts[-1].misses
    assert miss.number == 2
    assert miss.text == statement
    assert reason in miss.reasons[0]


def test_objects_have_arns_of_their_own(cloud: Cloud) -> None:
    bucket(cloud)
    s3 = cloud.client("s3", user(cloud, "ada", allow("s3:GetObject", resource=BUCKET)))
    (miss,) = refused(cloud, lambda: s3.get_object(Bucket="data", Key="a/x.csv")).verdicts[-1].misses
    assert f"objects have ARNs of their own, {BUCKET}/*" in miss.reasons[0]


def test_a_deny_is_quoted_with_the_conditions_that_hold(cloud: Cloud) -> None:
    statement = deny("s3:*", Sid="Tls", Condition={"Bool": {"aws:SecureTransport": "false"}})
    s3 = cloud.client("s3", user(cloud, "ada", allow("*"), statement))
    (verdict,) = refused(cloud, s3.list_buckets).verdicts
    assert verdict.why.startswith('Denied by statement 2 ("Tls") of the inline policy "own" of user ada.')
    assert verdict.excerpt
    assert verdict.excerpt.text == statement
    (remedy,) = verdict.remedies
    assert remedy.statement is None
    assert "the request had false (true for calls over https)" in remedy.advice


def test_the_smallest_statement_suffices(cloud: Cloud) -> None:
    bucket(cloud)
    keys = user(cloud, "ada")
    s3 = cloud.client("s3", keys)
    (remedy,) = refused(cloud, lambda: s3.get_object(Bucket="data", Key="a/x.csv")).verdicts[-1].remedies
    assert remedy.statement == {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{BUCKET}/a/x.csv"}
    assert remedy.where == "an identity-based policy of user ada"
    apply(cloud, "ada", remedy.statement)
    assert s3.get_object(Bucket="data", Key="a/x.csv")["ContentLength"] == 1


def test_a_boundary_and_a_policy_are_told_together_and_suffice(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    keys = user(cloud, "ada")
    limit = iam.create_policy(PolicyName="limit", PolicyDocument=document(allow("iam:*")))["Policy"]["Arn"]
    iam.put_user_permissions_boundary(UserName="ada", PermissionsBoundary=limit)
    s3 = cloud.client("s3", keys)
    first, second = refused(cloud, s3.list_buckets).verdicts[-1].remedies
    assert "identity-based policy of user ada" in first.where
    assert second.where == f"the permissions boundary {limit}"
    assert first.statement
    assert second.statement
    apply(cloud, "ada", first.statement)
    (only,) = refused(cloud, s3.list_buckets).verdicts[-1].remedies
    assert only == second
    iam.create_policy_version(
        PolicyArn=limit, PolicyDocument=document(allow("iam:*"), second.statement), SetAsDefault=True
    )
    s3.list_buckets()


def test_a_trust_policy_is_explained_and_mended(cloud: Cloud) -> None:
    arn = role(cloud, "runner", {"Service": "sagemaker.amazonaws.com"})
    sts = cloud.client("sts", user(cloud, "ada"))
    (verdict,) = refused(cloud, lambda: sts.assume_role(RoleArn=arn, RoleSessionName="now")).verdicts
    assert verdict.why.startswith("The trust policy of the role")
    assert "does not name" in verdict.misses[0].reasons[0]
    (remedy,) = verdict.remedies
    assert remedy.where == "the trust policy of role runner"
    assert remedy.statement
    cloud.client("iam").update_assume_role_policy(RoleName="runner", PolicyDocument=document(remedy.statement))
    sts.assume_role(RoleArn=arn, RoleSessionName="now")


def test_a_session_policy_is_explained(cloud: Cloud) -> None:
    arn = role(cloud, "runner", {"AWS": ACCOUNT}, allow("s3:*"))
    sts = cloud.client("sts", user(cloud, "ada", allow("sts:AssumeRole")))
    narrow = document(allow("s3:GetObject"))
    session = sts.assume_role(RoleArn=arn, RoleSessionName="now", Policy=narrow)["Credentials"]
    s3 = cloud.client("s3", session)
    (verdict,) = refused(cloud, s3.list_buckets).verdicts
    assert "when the session was started" in verdict.why
    (remedy,) = verdict.remedies
    assert remedy.where == "the policy with which the session is started"


def test_pass_role_is_narrowed_to_the_service(cloud: Cloud) -> None:
    arn = role(cloud, "runner", {"Service": "sagemaker.amazonaws.com"})
    sagemaker = cloud.client("sagemaker", user(cloud, "ada", allow("sagemaker:*")))
    image = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/x:1"
    explanation = refused(
        cloud,
        lambda: sagemaker.create_model(ModelName="m", ExecutionRoleArn=arn, PrimaryContainer={"Image": image}),
    )
    allowed, refusal = explanation.verdicts
    assert allowed.allowed
    assert refusal.remedies[0].statement == {
        "Effect": "Allow",
        "Action": "iam:PassRole",
        "Resource": arn,
        "Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    }


def test_a_bucket_policy_that_denies_is_named(cloud: Cloud) -> None:
    s3 = bucket(cloud)
    statement = deny("s3:GetObject", resource=f"{BUCKET}/*", Principal="*", Sid="Closed")
    s3.put_bucket_policy(Bucket="data", Policy=document(statement))
    ada = cloud.client("s3", user(cloud, "ada", allow("s3:*")))
    (verdict,) = refused(cloud, lambda: ada.get_object(Bucket="data", Key="a/x.csv")).verdicts
    assert 'statement 1 ("Closed") of the bucket policy of data' in verdict.why
    assert verdict.excerpt
    assert verdict.excerpt.text == statement


def test_it_is_told_when_the_policies_have_changed_since(cloud: Cloud) -> None:
    s3 = cloud.client("s3", user(cloud, "ada"))
    before = refused(cloud, s3.list_buckets)
    assert before.note == ""
    apply(cloud, "ada", allow("s3:*"))
    after = explain(before.event, cloud.parts.platform.records)
    assert "would allow the same call now" in after.note
    assert after.verdicts[-1].remedies == ()


@pytest.mark.parametrize(
    ("service", "secret", "hint"),
    [("iam", "x" * 40, "another secret access key"), ("s3", "x" * 40, "another secret access key")],
)
def test_a_caller_who_cannot_be_identified(cloud: Cloud, service: str, secret: str, hint: str) -> None:
    client = cloud.client(service, {**user(cloud, "ada"), "SecretAccessKey": secret})
    with pytest.raises(ClientError) as caught:
        client.list_users() if service == "iam" else client.list_buckets()
    explanation = explain(event_of(cloud, caught.value.response), cloud.parts.platform.records)
    assert hint in explanation.note
    assert explanation.verdicts == ()


def test_an_error_of_the_service_is_no_refusal(cloud: Cloud) -> None:
    with pytest.raises(ClientError) as caught:
        cloud.client("s3").get_object(Bucket="nowhere", Key="x")
    explanation = explain(event_of(cloud, caught.value.response), cloud.parts.platform.records)
    assert explanation.note == "No policy refused this call: the service itself answered NoSuchBucket."


def test_the_text_tells_all_of_it(cloud: Cloud) -> None:
    bucket(cloud)
    s3 = cloud.client("s3", user(cloud, "ada", allow("s3:GetObject", resource=BUCKET)))
    text = as_text(refused(cloud, lambda: s3.get_object(Bucket="data", Key="a/x.csv")))
    for part in (
        f"arn:aws:iam::{ACCOUNT}:user/ada", "from    127.0.0.1", "s3 GetObject (bucketName=data, key=a/x.csv",
        f"1. s3:GetObject on {BUCKET}/a/x.csv: REFUSED", "Asked: inline policy \"own\" of user ada.",
        "Nearly: statement 1 of the inline policy", "Change that statement, or add the smallest one",
        "aws iam put-user-policy --user-name ada",
    ):  # fmt: skip
        assert part in text


def apply(cloud: Cloud, name: str, statement: Element) -> None:
    cloud.client("iam").put_user_policy(UserName=name, PolicyName="more", PolicyDocument=document(statement))


def test_one_of_several_keys_is_refused(cloud: Cloud) -> None:
    bucket(cloud)
    s3 = cloud.client("s3", user(cloud, "ada", allow("s3:DeleteObject", resource=f"{BUCKET}/a/*")))
    keys = [{"Key": key} for key in ("a/1", "b/1", "a/2", "b/2")]
    answer = s3.delete_objects(Bucket="data", Delete={"Objects": keys})
    assert len(answer["Errors"]) == 2
    verdicts = explain(event_of(cloud, answer), cloud.parts.platform.records).verdicts
    assert [verdict.allowed for verdict in verdicts] == [True, False, True, False]
    (remedy,) = verdicts[1].remedies
    assert remedy.statement == {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": f"{BUCKET}/b/1"}


def test_keys_that_take_a_look_at_the_resource_are_told(cloud: Cloud) -> None:
    s3 = bucket(cloud)
    s3.put_object_tagging(Bucket="data", Key="a/x.csv", Tagging={"TagSet": [{"Key": "team", "Value": "blue"}]})
    red = {"StringEquals": {"aws:SourceIp": "x", "s3:ExistingObjectTag/team": "red"}}
    ada = cloud.client("s3", user(cloud, "ada", allow("s3:GetObject", Condition=red)))
    (miss,) = refused(cloud, lambda: ada.get_object(Bucket="data", Key="a/x.csv")).verdicts[-1].misses
    assert "s3:ExistingObjectTag/team = red is not met: the request had blue" in miss.reasons[1]


def test_a_deny_by_the_tag_of_an_object_is_quoted(cloud: Cloud) -> None:
    s3 = bucket(cloud)
    s3.put_object_tagging(Bucket="data", Key="a/x.csv", Tagging={"TagSet": [{"Key": "team", "Value": "blue"}]})
    statement = deny("s3:*", Condition={"StringEquals": {"s3:ExistingObjectTag/team": "blue"}})
    ada = cloud.client("s3", user(cloud, "ada", allow("s3:*"), statement))
    explanation = refused(cloud, lambda: ada.get_object(Bucket="data", Key="a/x.csv"))
    assert explanation.note == ""
    excerpt = explanation.verdicts[-1].excerpt
    assert excerpt
    assert excerpt.text == statement


def test_tags_of_the_caller_and_of_the_request_are_told(cloud: Cloud) -> None:
    keys = user(
        cloud,
        "ada",
        allow("iam:CreateUser", Condition={"StringEquals": {"aws:RequestTag/team": "${aws:PrincipalTag/team}"}}),
    )
    cloud.client("iam").tag_user(UserName="ada", Tags=[{"Key": "team", "Value": "red"}])
    iam = cloud.client("iam", keys)
    explanation = refused(cloud, lambda: iam.create_user(UserName="bob", Tags=[{"Key": "team", "Value": "blue"}]))
    (miss,) = explanation.verdicts[-1].misses
    assert "is not met: the request had blue" in miss.reasons[0]
    iam.create_user(UserName="bob", Tags=[{"Key": "team", "Value": "red"}])


def test_a_key_that_is_not_there_is_hidden_from_those_who_may_not_list(cloud: Cloud) -> None:
    bucket(cloud)
    s3 = cloud.client("s3", user(cloud, "ada", allow("s3:GetObject", resource=f"{BUCKET}/*")))
    explanation = refused(cloud, lambda: s3.get_object(Bucket="data", Key="missing"))
    assert [(verdict.action, verdict.allowed) for verdict in explanation.verdicts] == [
        ("s3:GetObject", True),
        ("s3:ListBucket", False),
    ]
    assert explanation.note.startswith("There is no such object")
