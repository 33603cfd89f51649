"""CloudWatch Logs: groups, streams and events."""

from clary.services.service import Service

from .access import access
from .events import Events
from .groups import Groups
from .streams import Streams

SERVICE = Service("logs", Groups, Streams, Events, access=access)
