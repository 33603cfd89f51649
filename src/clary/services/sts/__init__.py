"""STS: who am I, and credentials for a while."""

from __future__ import annotations

from clary.services.service import Service
from clary.services.sts.access import access
from clary.services.sts.federation import Federation
from clary.services.sts.identity import Identity
from clary.services.sts.roles import Roles

SERVICE = Service("sts", Identity, Roles, Federation, access=access)
