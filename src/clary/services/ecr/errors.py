"""Errors of ECR."""

from __future__ import annotations

from clary.errors import ServiceError


class RepositoryNotFoundException(ServiceError):
    """There is no such repository."""


class RepositoryAlreadyExistsException(ServiceError):
    """The name is taken."""


class RepositoryNotEmptyException(ServiceError):
    """There are images in it."""


class RepositoryPolicyNotFoundException(ServiceError):
    """The repository has no policy."""


class LifecyclePolicyNotFoundException(ServiceError):
    """The repository has no lifecycle policy."""


class ImageNotFoundException(ServiceError):
    """There is no such image."""


class ImageAlreadyExistsException(ServiceError):
    """The image is there, and the tag leads to it."""


class ImageTagAlreadyExistsException(ServiceError):
    """The tag leads to another image, and the repository lets no tag be moved."""


class ImageDigestDoesNotMatchException(ServiceError):
    """The manifest has another digest than the request says."""


class ReferencedImagesNotFoundException(ServiceError):
    """An index names images that are not there."""


class LayersNotFoundException(ServiceError):
    """An image names layers that are not there."""


class LayerAlreadyExistsException(ServiceError):
    """The layer is there."""


class InvalidLayerException(ServiceError):
    """The layer has another digest than the request says."""


class InvalidLayerPartException(ServiceError):
    """The part does not go on where the one before ended."""


class UploadNotFoundException(ServiceError):
    """There is no such upload."""


class EmptyUploadException(ServiceError):
    """Nothing was uploaded."""


class InvalidParameterException(ServiceError):
    """A parameter has a value that it may not have."""


class TooManyTagsException(ServiceError):
    """A repository may have 50 tags."""
