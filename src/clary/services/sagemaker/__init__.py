"""SageMaker: the control plane."""

from clary.services.service import Service

from .access import access
from .endpoints import EndpointConfigs, Endpoints
from .models import Models
from .monitoring import MonitoringExecutions, MonitoringSchedules
from .monitoring_definitions import DataQualityJobDefinitions
from .processing import Processing
from .tags import Tags
from .training import Training
from .tuning import Tuning

SERVICE = Service(
    "sagemaker",
    Training,
    Tuning,
    Processing,
    Models,
    EndpointConfigs,
    Endpoints,
    DataQualityJobDefinitions,
    MonitoringSchedules,
    MonitoringExecutions,
    Tags,
    access=access,
)
