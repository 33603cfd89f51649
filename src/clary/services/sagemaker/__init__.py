"""SageMaker: the control plane."""

from clary.services.service import Service

from .access import access
from .endpoints import EndpointConfigs, Endpoints
from .models import Models
from .processing import Processing
from .tags import Tags
from .training import Training
from .tuning import Tuning

SERVICE = Service("sagemaker", Training, Tuning, Processing, Models, EndpointConfigs, Endpoints, Tags, access=access)
