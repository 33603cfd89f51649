"""The credential report: every user with the state of its credentials, as CSV.

Source: "Generate credential reports for your AWS account", IAM user guide.
"""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from clary.auth import entities, passwords
from clary.auth.credentials import root_user
from clary.services.iam.directory import Directory
from clary.services.iam.errors import ReportExpired, ReportNotPresent
from clary.services.service import in_thread
from clary.store.records import Query, Record

if TYPE_CHECKING:
    from clary.context import Context
    from clary.platform import Platform
    from clary.services.service import Document

_REPORT = "credential-report"
_VALID = timedelta(hours=4)
_NONE = "N/A"
_COLUMNS = (
    "user", "arn", "user_creation_time", "password_enabled", "password_last_used", "password_last_changed",
    "password_next_rotation", "mfa_active",
    "access_key_1_active", "access_key_1_last_rotated", "access_key_1_last_used_date",
    "access_key_1_last_used_region", "access_key_1_last_used_service",
    "access_key_2_active", "access_key_2_last_rotated", "access_key_2_last_used_date",
    "access_key_2_last_used_region", "access_key_2_last_used_service",
    "cert_1_active", "cert_1_last_rotated", "cert_2_active", "cert_2_last_rotated",
)  # fmt: skip

Row = dict[str, str]


class CredentialReports:
    """The report of an account, made anew at most every four hours."""

    def __init__(self, platform: Platform) -> None:
        self._directory = Directory(platform)

    @in_thread
    def generate_credential_report(self, ctx: Context, request: Document) -> Document:  # noqa: ARG002  # as all handlers
        """Makes the report, unless there is a fresh one."""
        former = self._report(ctx)
        if former is not None and ctx.now - former.modified < _VALID:
            return {"State": "COMPLETE"}
        spec = {"Content": self._content(ctx)}
        if former is None:
            self._directory.records.create(Record(_REPORT, ctx.account, "", _REPORT, "", spec, ctx.now, ctx.now))
        else:
            self._directory.save(replace(former, spec=spec, modified=ctx.now))
        return {"State": "STARTED", "Description": "No report exists. Starting a new report generation task"}

    def get_credential_report(self, ctx: Context, request: Document) -> Document:  # noqa: ARG002  # as all handlers
        """The report that was made last."""
        report = self._report(ctx)
        if report is None:
            raise ReportNotPresent("No report is present. Use GenerateCredentialReport to generate one.")
        if ctx.now - report.modified >= _VALID:
            raise ReportExpired("The report has expired. Use GenerateCredentialReport to generate a new one.")
        return {
            "Content": report.spec["Content"].encode(),
            "ReportFormat": "text/csv",
            "GeneratedTime": report.modified,
        }

    def _report(self, ctx: Context) -> Record | None:
        return self._directory.records.get(_REPORT, ctx.account, "", _REPORT)

    def _content(self, ctx: Context) -> str:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, _COLUMNS, restval=_NONE, lineterminator="\n")
        writer.writeheader()
        writer.writerow(self._root(ctx))
        writer.writerows(self._user(ctx, user) for user in self._directory.all(ctx, entities.USER))
        return buffer.getvalue().rstrip("\n")

    def _root(self, ctx: Context) -> Row:
        keys = self._keys(ctx, "")
        return {
            "user": "<root_account>",
            "arn": root_user(ctx.account).arn,
            "user_creation_time": _time(keys[0].created if keys else ctx.now),
            "password_enabled": "not_supported",
            "password_last_used": "no_information",
            "password_last_changed": "not_supported",
            "password_next_rotation": "not_supported",
            "mfa_active": "false",
            **self._key_columns(ctx, keys),
            **_certificate_columns([]),
        }

    def _user(self, ctx: Context, user: Record) -> Row:
        records = self._directory.records
        return {
            "user": user.name,
            "arn": user.arn,
            "user_creation_time": _time(user.created),
            **_password_columns(passwords.policy_of(records, ctx.account), passwords.login_profile(records, user)),
            "mfa_active": _flag(bool(entities.owned(records, entities.MFA_DEVICE, user))),
            **self._key_columns(ctx, self._keys(ctx, user.name)),
            **_certificate_columns(entities.owned(records, entities.SIGNING_CERTIFICATE, user)),
        }

    def _keys(self, ctx: Context, user_name: str) -> list[Record]:
        query = Query(entities.ACCESS_KEY, ctx.account, where=(("UserName", user_name),))
        return self._directory.records.all(query)

    def _key_columns(self, ctx: Context, keys: list[Record]) -> Row:
        row = {"access_key_1_active": "false", "access_key_2_active": "false"}
        for number, key in enumerate(keys, start=1):
            row[f"access_key_{number}_active"] = _flag(key.status == "Active")
            row[f"access_key_{number}_last_rotated"] = _time(key.created)
            use = self._directory.records.get(entities.LAST_USE, ctx.account, "", key.name)
            if use is not None:
                row[f"access_key_{number}_last_used_date"] = _time(use.modified)
                row[f"access_key_{number}_last_used_region"] = use.spec["Region"]
                row[f"access_key_{number}_last_used_service"] = use.spec["ServiceName"]
        return row


def _password_columns(policy: passwords.Policy | None, profile: Record | None) -> Row:
    if profile is None:
        return {"password_enabled": "false"}
    used, next_rotation = profile.observed.get("LastUsed"), passwords.expires(policy, profile)
    return {
        "password_enabled": "true",
        "password_last_used": _time(datetime.fromisoformat(used)) if used else "no_information",
        "password_last_changed": _time(datetime.fromisoformat(profile.observed["Changed"])),
        "password_next_rotation": _time(next_rotation) if next_rotation else _NONE,
    }


def _certificate_columns(certificates: list[Record]) -> Row:
    row = {"cert_1_active": "false", "cert_2_active": "false"}
    for number, certificate in enumerate(certificates, start=1):
        row[f"cert_{number}_active"] = _flag(certificate.status == "Active")
        row[f"cert_{number}_last_rotated"] = _time(certificate.created)
    return row


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S+00:00")


def _flag(value: bool) -> str:  # the value is what it is about
    return str(value).lower()
