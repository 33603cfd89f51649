"""SageMaker: the control plane."""

from clary.services.service import Service

from .access import access
from .endpoints import EndpointConfigs, Endpoints
from .models import Models
from .monitoring import MonitoringExecutions, MonitoringSchedules
from .monitoring_definitions import DataQualityJobDefinitions
from .notebooks import LifecycleConfigs, NotebookInstances
from .processing import Processing
from .tags import Tags
from .training import Training
from .transform import Transform
from .tuning import Tuning

SERVICE = Service(
    "sagemaker",
    Training,
    Tuning,
    Transform,
    Processing,
    Models,
    EndpointConfigs,
    Endpoints,
    DataQualityJobDefinitions,
    MonitoringSchedules,
    MonitoringExecutions,
    NotebookInstances,
    LifecycleConfigs,
    Tags,
    access=access,
)
