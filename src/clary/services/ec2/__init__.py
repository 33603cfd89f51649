"""EC2: instances that run as sandboxes on this machine, with the resources that clients expect around them."""

from clary.services.ec2.access import access
from clary.services.ec2.account import Account
from clary.services.ec2.attributes import Attributes
from clary.services.ec2.dry_run import DryRunService
from clary.services.ec2.images import Images
from clary.services.ec2.instance_types import InstanceTypes
from clary.services.ec2.instances import Instances
from clary.services.ec2.key_pairs import KeyPairs
from clary.services.ec2.lifecycle import Lifecycle
from clary.services.ec2.networks import Networks
from clary.services.ec2.profiles import Profiles
from clary.services.ec2.security_groups import SecurityGroups
from clary.services.ec2.tags import Tags
from clary.services.ec2.volumes import Volumes

SERVICE = DryRunService(
    "ec2",
    Instances,
    Lifecycle,
    Attributes,
    Profiles,
    Images,
    InstanceTypes,
    KeyPairs,
    Networks,
    SecurityGroups,
    Volumes,
    Tags,
    Account,
    access=access,
)
