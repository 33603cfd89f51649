"""What the account may do with EC2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import InvalidParameterValue
from .launch import MOST_INSTANCES
from .networks import default_vpc
from .resources import Family

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clary.api import ec2 as api
    from clary.context import Context
    from clary.services.service import Document


class Account(Family):
    """Limits and defaults."""

    def describe_account_attributes(self, ctx: Context, request: api.DescribeAccountAttributesRequest) -> Document:
        """The default VPC and how many instances may run."""
        values = {
            "supported-platforms": "VPC",
            "default-vpc": default_vpc(ctx),
            "max-instances": str(MOST_INSTANCES),
            "vpc-max-security-groups-per-interface": "5",
            "max-elastic-ips": "0",
            "vpc-max-elastic-ips": "0",
        }
        wanted: Sequence[str] = request.get("AttributeNames") or list(values)
        for name in wanted:
            if name not in values:
                raise InvalidParameterValue(f"Value ({name}) for parameter attributeName is invalid.")
        attributes = [{"AttributeName": name, "AttributeValues": [{"AttributeValue": values[name]}]} for name in wanted]
        return {"AccountAttributes": attributes}
