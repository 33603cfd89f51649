"""Security groups: kept, checked and told like AWS's, but nothing filters traffic by them."""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from clary.services.service import recorded

from . import filters, kinds, networks
from .errors import (
    CannotDelete,
    DependencyViolation,
    InvalidGroupDuplicate,
    InvalidGroupNotFound,
    InvalidParameterCombination,
    InvalidParameterValue,
    InvalidPermissionDuplicate,
    InvalidPermissionNotFound,
    InvalidSecurityGroupRuleIdNotFound,
    MissingParameter,
)
from .resources import Family, tag_list, tags_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clary.api import ec2 as api
    from clary.context import Context
    from clary.services.service import Document, Members
    from clary.store.records import Record

Rule = dict[str, object]
"""One line of a group as it is kept: a protocol, ports, a direction and one peer."""

_PEERS = ("CidrIpv4", "CidrIpv6", "PrefixListId", "ReferencedGroupInfo")
_SAME = ("IsEgress", "IpProtocol", "FromPort", "ToPort", *_PEERS)
_NUMBERS = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6", "all": "-1"}
_PORTED = {"tcp", "udp"}
_HIGHEST_PORT = 65535
_LONGEST_NAME = 255


class SecurityGroups(Family):
    """Groups and their rules."""

    @recorded
    def create_security_group(self, ctx: Context, request: api.CreateSecurityGroupRequest) -> Document:
        """A group that lets everything out and nothing in."""
        networks.prepare(self._resources, ctx)
        name = request["GroupName"]
        if name.startswith("sg-") or not 0 < len(name) <= _LONGEST_NAME:
            raise InvalidParameterValue(f"Invalid value '{name}' for groupName. It may not begin with 'sg-'.")
        vpc = request.get("VpcId") or networks.default_vpc(ctx)
        self._resources.find(ctx, kinds.VPC, vpc)
        if any(record.spec["GroupName"] == name for record in self._resources.all(ctx, kinds.SECURITY_GROUP)):
            raise InvalidGroupDuplicate(f"The security group '{name}' already exists for VPC '{vpc}'")
        identifier = kinds.SECURITY_GROUP.new_id()
        spec = {"GroupName": name, "Description": request["Description"], "VpcId": vpc}
        record = self._resources.create(
            ctx,
            kinds.SECURITY_GROUP,
            identifier,
            spec,
            observed={"Rules": [networks.everything_out(ctx, identifier)]},
            tags=tags_for(request, kinds.SECURITY_GROUP),
        )
        return {"GroupId": identifier, "SecurityGroupArn": record.arn, "Tags": tag_list(record.tags)}

    @recorded
    def describe_security_groups(self, ctx: Context, request: api.DescribeSecurityGroupsRequest) -> Document:
        """Groups with their rules, gathered by protocol and ports."""
        networks.prepare(self._resources, ctx)
        records = self._resources.select(ctx, kinds.SECURITY_GROUP, request.get("GroupIds"))
        wanted = request.get("GroupNames") or []
        for name in wanted:
            if all(record.spec["GroupName"] != name for record in records):
                raise InvalidGroupNotFound(f"The security group '{name}' does not exist")
        chosen = [_group(record) for record in records if not wanted or record.spec["GroupName"] in wanted]
        return filters.describe("SecurityGroups", chosen, request, _FILTERS)

    @recorded
    def describe_security_group_rules(self, ctx: Context, request: api.DescribeSecurityGroupRulesRequest) -> Document:
        """Rules one by one."""
        networks.prepare(self._resources, ctx)
        rules = [
            told for record in self._resources.all(ctx, kinds.SECURITY_GROUP) for told in _told(record, _rules(record))
        ]
        for identifier in request.get("SecurityGroupRuleIds") or ():
            if all(rule["SecurityGroupRuleId"] != identifier for rule in rules):
                raise InvalidSecurityGroupRuleIdNotFound(f"The security group rule ID '{identifier}' does not exist")
        wanted = request.get("SecurityGroupRuleIds")
        chosen = [rule for rule in rules if not wanted or rule["SecurityGroupRuleId"] in wanted]
        return filters.describe("SecurityGroupRules", chosen, request, _RULE_FILTERS)

    @recorded
    def delete_security_group(
        self, ctx: Context, request: api.DeleteSecurityGroupRequest
    ) -> api.DeleteSecurityGroupResult:
        """Removes a group that nothing uses."""
        record = self._group(ctx, request)
        if record.spec["GroupName"] == "default":
            raise CannotDelete(f'the specified group: "{record.name}" name: "default" cannot be deleted by a user')
        if record.name in self._used(ctx, record):
            raise DependencyViolation(f"resource {record.name} has a dependent object")
        self._resources.records.delete(record)
        return {"Return": True, "GroupId": record.name}

    @recorded
    def authorize_security_group_ingress(
        self, ctx: Context, request: api.AuthorizeSecurityGroupIngressRequest
    ) -> Document:
        """Lets something in."""
        return self._authorize(ctx, request, egress=False)

    @recorded
    def authorize_security_group_egress(
        self, ctx: Context, request: api.AuthorizeSecurityGroupEgressRequest
    ) -> Document:
        """Lets something out."""
        return self._authorize(ctx, request, egress=True)

    @recorded
    def revoke_security_group_ingress(self, ctx: Context, request: api.RevokeSecurityGroupIngressRequest) -> Document:
        """Lets something in no more."""
        return self._revoke(ctx, request, egress=False)

    @recorded
    def revoke_security_group_egress(self, ctx: Context, request: api.RevokeSecurityGroupEgressRequest) -> Document:
        """Lets something out no more."""
        return self._revoke(ctx, request, egress=True)

    def _authorize(self, ctx: Context, request: Members, *, egress: bool) -> Document:
        record = self._group(ctx, request)
        new = [{"SecurityGroupRuleId": _rule_id(), **rule} for rule in self._asked(ctx, record, request, egress=egress)]

        def change(now: Record) -> Record:
            there = [_identity(rule) for rule in _rules(now)]
            for rule in new:
                if _identity(rule) in there:
                    raise InvalidPermissionDuplicate(f'the specified rule "{_words(rule)}" already exists')
            return replace(now, observed={**now.observed, "Rules": [*_rules(now), *new]})

        after = self._resources.records.edit(record, change)
        return {"Return": True, "SecurityGroupRules": list(_told(after, new))}

    def _revoke(self, ctx: Context, request: Members, *, egress: bool) -> Document:
        record = self._group(ctx, request)
        identifiers = set(request.get("SecurityGroupRuleIds") or ())
        asked = [] if identifiers else self._asked(ctx, record, request, egress=egress)
        going = [
            rule
            for rule in _rules(record)
            if rule["SecurityGroupRuleId"] in identifiers or _identity(rule) in [_identity(each) for each in asked]
        ]
        if len(going) < len(identifiers or asked):
            raise InvalidPermissionNotFound("The specified rule does not exist in this security group.")
        gone = {rule["SecurityGroupRuleId"] for rule in going}

        def change(now: Record) -> Record:
            left = [rule for rule in _rules(now) if rule["SecurityGroupRuleId"] not in gone]
            return replace(now, observed={**now.observed, "Rules": left})

        self._resources.records.edit(record, change)
        return {"Return": True}

    def _group(self, ctx: Context, request: Members) -> Record:
        networks.prepare(self._resources, ctx)
        if request.get("GroupId"):
            return self._resources.find(ctx, kinds.SECURITY_GROUP, request["GroupId"])
        name = request.get("GroupName")
        if not name:
            raise MissingParameter("The request must contain the parameter groupName or groupId")
        for record in self._resources.all(ctx, kinds.SECURITY_GROUP):
            if record.spec["GroupName"] == name:
                return record
        raise InvalidGroupNotFound(f"The security group '{name}' does not exist in default VPC")

    def _used(self, ctx: Context, record: Record) -> set[str]:
        interfaces = self._resources.all(ctx, kinds.NETWORK_INTERFACE)
        used = {group["GroupId"] for interface in interfaces for group in interface.spec["Groups"]}
        others = [each for each in self._resources.all(ctx, kinds.SECURITY_GROUP) if each.name != record.name]
        return used | {
            str(rule["ReferencedGroupInfo"]["GroupId"])  # type: ignore[index]  # a document
            for other in others
            for rule in _rules(other)
            if rule.get("ReferencedGroupInfo")
        }

    def _asked(self, ctx: Context, record: Record, request: Members, *, egress: bool) -> list[Rule]:
        permissions = list(request.get("IpPermissions") or ())
        if request.get("IpProtocol"):
            flat = {member: request.get(member) for member in ("IpProtocol", "FromPort", "ToPort")}
            if request.get("CidrIp"):
                flat["IpRanges"] = [{"CidrIp": request["CidrIp"]}]
            if request.get("SourceSecurityGroupName"):
                flat["UserIdGroupPairs"] = [{"GroupName": request["SourceSecurityGroupName"]}]
            permissions.append(flat)
        if not permissions:
            raise MissingParameter("The request must contain the parameter ipPermissions")
        rules = [
            {"IsEgress": egress, **ports, **peer}
            for permission in permissions
            for ports in [_ports(permission)]
            for peer in self._peers(ctx, record, permission)
        ]
        if not rules:
            raise InvalidParameterCombination("Each permission must name at least one source or destination")
        return rules

    def _peers(self, ctx: Context, record: Record, permission: Document) -> Iterator[Document]:
        for member, key, kept in (("IpRanges", "CidrIp", "CidrIpv4"), ("Ipv6Ranges", "CidrIpv6", "CidrIpv6")):
            for each in permission.get(member) or ():
                yield _described({kept: _block(each.get(key) or "")}, each)
        for each in permission.get("PrefixListIds") or ():
            yield _described({"PrefixListId": each.get("PrefixListId") or ""}, each)
        for each in permission.get("UserIdGroupPairs") or ():
            peer = self._group(ctx, each)
            yield _described({"ReferencedGroupInfo": {"GroupId": peer.name, "UserId": record.account}}, each)


def _rules(record: Record) -> list[Rule]:
    return list(record.observed["Rules"])


def _identity(rule: Rule) -> list[object]:
    return [rule.get(member) for member in _SAME]


def _rule_id() -> str:
    return f"sgr-{secrets.token_hex(9)[:17]}"


def _described(peer: Document, each: Document) -> Document:
    return {**peer, "Description": each["Description"]} if each.get("Description") else peer


def _block(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise InvalidParameterValue(f"CIDR block {text} is malformed") from None


def _ports(permission: Document) -> Document:
    protocol = str(permission.get("IpProtocol") or "-1").lower()
    protocol = _NUMBERS.get(protocol, protocol)
    first, last = permission.get("FromPort"), permission.get("ToPort")
    if protocol == "-1":
        return {"IpProtocol": "-1", "FromPort": -1, "ToPort": -1}
    if first is None or last is None:
        raise MissingParameter("The request must contain the parameter fromPort and toPort")
    if protocol in _PORTED and not 0 <= first <= last <= _HIGHEST_PORT:
        raise InvalidParameterValue(f"Invalid value '{first}-{last}' for port range. Must be between 0 and 65535.")
    return {"IpProtocol": protocol, "FromPort": first, "ToPort": last}


def _words(rule: Rule) -> str:
    peer = rule.get("CidrIpv4") or rule.get("CidrIpv6") or rule.get("PrefixListId")
    peer = peer or rule["ReferencedGroupInfo"]["GroupId"]  # type: ignore[index]  # a document
    protocol = "ALL" if rule["IpProtocol"] == "-1" else str(rule["IpProtocol"]).upper()
    ports = "" if rule["IpProtocol"] == "-1" else f", from port: {rule['FromPort']}, to port: {rule['ToPort']}"
    return f"peer: {peer}, {protocol}{ports}, ALLOW"


def _told(record: Record, rules: list[Rule]) -> Iterator[Document]:
    arn = record.arn.rpartition(":")[0] + ":security-group-rule/"
    for rule in rules:
        yield {
            **rule,
            "GroupId": record.name,
            "GroupOwnerId": record.account,
            "SecurityGroupRuleArn": f"{arn}{rule['SecurityGroupRuleId']}",
            "Tags": [],
        }


def _group(record: Record) -> Document:
    return {
        "GroupId": record.name,
        "GroupName": record.spec["GroupName"],
        "Description": record.spec["Description"],
        "VpcId": record.spec["VpcId"],
        "OwnerId": record.account,
        "SecurityGroupArn": record.arn,
        "IpPermissions": _permissions(record, egress=False),
        "IpPermissionsEgress": _permissions(record, egress=True),
        "Tags": tag_list(record.tags),
    }


def _permissions(record: Record, *, egress: bool) -> list[Document]:
    """The rules of one direction; those of the same protocol and ports become one permission."""
    found: dict[tuple[object, ...], Document] = {}
    for rule in _rules(record):
        if rule["IsEgress"] is not egress:
            continue
        key = (rule["IpProtocol"], rule["FromPort"], rule["ToPort"])
        permission = found.setdefault(
            key,
            {"IpProtocol": key[0], "IpRanges": [], "Ipv6Ranges": [], "PrefixListIds": [], "UserIdGroupPairs": []}
            | ({} if key[0] == "-1" else {"FromPort": key[1], "ToPort": key[2]}),
        )
        more = {"Description": rule["Description"]} if rule.get("Description") else {}
        if "CidrIpv4" in rule:
            permission["IpRanges"].append({"CidrIp": rule["CidrIpv4"], **more})
        elif "CidrIpv6" in rule:
            permission["Ipv6Ranges"].append({"CidrIpv6": rule["CidrIpv6"], **more})
        elif "PrefixListId" in rule:
            permission["PrefixListIds"].append({"PrefixListId": rule["PrefixListId"], **more})
        else:
            permission["UserIdGroupPairs"].append({**rule["ReferencedGroupInfo"], **more})  # type: ignore[dict-item]
    return list(found.values())


_FILTERS = filters.table(
    "GroupId GroupName Description VpcId OwnerId",
    {
        "ip-permission.cidr": "IpPermissions.IpRanges.CidrIp",
        "ip-permission.from-port": "IpPermissions.FromPort",
        "ip-permission.to-port": "IpPermissions.ToPort",
        "ip-permission.protocol": "IpPermissions.IpProtocol",
        "ip-permission.group-id": "IpPermissions.UserIdGroupPairs.GroupId",
        "egress.ip-permission.cidr": "IpPermissionsEgress.IpRanges.CidrIp",
        "egress.ip-permission.protocol": "IpPermissionsEgress.IpProtocol",
    },
)
_RULE_FILTERS = filters.table("GroupId SecurityGroupRuleId")
