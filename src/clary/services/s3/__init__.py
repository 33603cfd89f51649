"""Amazon S3: buckets and objects."""

from clary.services.s3.access import access
from clary.services.s3.buckets import Buckets
from clary.services.s3.copying import Copying
from clary.services.s3.listing import Listing
from clary.services.s3.multipart import Multipart
from clary.services.s3.objects import Objects
from clary.services.service import Service

SERVICE = Service("s3", Buckets, Objects, Copying, Multipart, Listing, access=access)
