from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.services.iam.conftest import ACCOUNT, refusal

if TYPE_CHECKING:
    from tests.cloud import Cloud


def test_report(cloud: Cloud, iam: Any) -> None:
    assert refusal(iam.get_credential_report)[0] == "ReportNotPresent"
    iam.create_user(UserName="ada")
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    cloud.client("sts", key).get_caller_identity()
    iam.create_login_profile(UserName="ada", Password="Correct-horse-1")
    iam.update_account_password_policy(MaxPasswordAge=90)
    assert iam.generate_credential_report()["State"] == "STARTED"
    assert iam.generate_credential_report()["State"] == "COMPLETE"
    report = iam.get_credential_report()
    assert report["ReportFormat"] == "text/csv"
    root, ada = csv.DictReader(io.StringIO(report["Content"].decode()))
    assert (root["user"], root["arn"]) == ("<root_account>", f"arn:aws:iam::{ACCOUNT}:root")
    assert (root["password_enabled"], root["access_key_1_active"]) == ("not_supported", "true")
    assert (ada["password_enabled"], ada["password_last_used"], ada["mfa_active"]) == (
        "true",
        "no_information",
        "false",
    )
    assert ada["password_next_rotation"] > ada["password_last_changed"]
    assert (ada["access_key_1_active"], ada["access_key_1_last_used_service"]) == ("true", "sts")
    assert (ada["access_key_2_active"], ada["access_key_2_last_rotated"]) == ("false", "N/A")
    assert (ada["cert_1_active"], ada["cert_1_last_rotated"]) == ("false", "N/A")
    assert len(ada) == 22


def test_report_expires(cloud: Cloud, iam: Any) -> None:
    iam.generate_credential_report()
    record = cloud.parts.platform.records.get("credential-report", ACCOUNT, "", "credential-report")
    assert record
    record.modified -= timedelta(hours=4)
    cloud.parts.platform.records.update(record)
    assert refusal(iam.get_credential_report)[0] == "ReportExpired"
    assert iam.generate_credential_report()["State"] == "STARTED"
    assert iam.get_credential_report()["Content"]
