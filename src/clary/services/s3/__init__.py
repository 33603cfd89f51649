"""Amazon S3: buckets and objects."""

from clary.services.s3.access import access
from clary.services.s3.acls import AccessControlLists
from clary.services.s3.archive import Archive
from clary.services.s3.attributes import Attributes
from clary.services.s3.bucket_encryption import BucketEncryption
from clary.services.s3.buckets import Buckets
from clary.services.s3.configurations import Configurations
from clary.services.s3.copying import Copying
from clary.services.s3.cors import Cors
from clary.services.s3.lifecycle import Lifecycle
from clary.services.s3.listing import Listing
from clary.services.s3.lock import ObjectLock
from clary.services.s3.multipart import Multipart
from clary.services.s3.notification import Notification
from clary.services.s3.object_encryption import ObjectEncryption
from clary.services.s3.objects import Objects
from clary.services.s3.ownership import Ownership
from clary.services.s3.policy import BucketPolicy
from clary.services.s3.post import Post
from clary.services.s3.replication_configuration import Replication
from clary.services.s3.select import Select
from clary.services.s3.settings import BucketSettings
from clary.services.s3.tagging import Tagging
from clary.services.s3.watch_configuration import Watching
from clary.services.s3.website import Website
from clary.services.service import Service

SERVICE = Service(
    "s3",
    Buckets,
    BucketSettings,
    BucketPolicy,
    Ownership,
    BucketEncryption,
    Lifecycle,
    Notification,
    Replication,
    Watching,
    Objects,
    Copying,
    Multipart,
    Listing,
    Tagging,
    AccessControlLists,
    Attributes,
    ObjectLock,
    ObjectEncryption,
    Website,
    Select,
    Archive,
    Configurations,
    Post,
    Cors,
    access=access,
)
