"""Elastic Container Registry: repositories of container images; container tools reach the same ones at `/v2/`."""

from clary.services.service import Service

from .access import access
from .images import ImageOperations
from .layers import LayerOperations
from .policies import Policies
from .repositories import Repositories
from .tags import Tags
from .tokens import Tokens

SERVICE = Service("ecr", Repositories, ImageOperations, LayerOperations, Policies, Tags, Tokens, access=access)
