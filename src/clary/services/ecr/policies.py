"""Policies of repositories: who else may use them, and which images expire."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clary.auth import policy
from clary.services.service import recorded

from .errors import (
    InvalidParameterException,
    LifecyclePolicyNotFoundException,
    RepositoryPolicyNotFoundException,
)
from .family import Family, head, place_of

if TYPE_CHECKING:
    from clary.api import ecr as api
    from clary.context import Context
    from clary.services.service import Document
    from clary.store.layers import Repository

_POLICY, _LIFECYCLE = "Policy", "LifecyclePolicy"


class Policies(Family):
    """Keeping policies with a repository."""

    def set_repository_policy(self, ctx: Context, request: api.SetRepositoryPolicyRequest) -> Document:
        """Attaches a policy, which counts from now on."""
        place = place_of(ctx, request)
        self._record(place)
        try:
            policy.parse(request["policyText"])
        except policy.InvalidPolicy as error:
            raise InvalidParameterException(
                "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided'"
            ) from error
        self._keep(place, _POLICY, request["policyText"])
        return {**head(place), "policyText": request["policyText"]}

    def get_repository_policy(self, ctx: Context, request: api.GetRepositoryPolicyRequest) -> Document:
        """The policy of a repository."""
        place = place_of(ctx, request)
        return {**head(place), "policyText": self._kept(place, _POLICY)}

    def delete_repository_policy(self, ctx: Context, request: api.DeleteRepositoryPolicyRequest) -> Document:
        """Takes the policy away."""
        place = place_of(ctx, request)
        text = self._kept(place, _POLICY)
        self._keep(place, _POLICY, "")
        return {**head(place), "policyText": text}

    @recorded
    def put_lifecycle_policy(self, ctx: Context, request: api.PutLifecyclePolicyRequest) -> Document:
        """Keeps rules by which images would expire; none does."""
        place = place_of(ctx, request)
        self._record(place)
        self._keep(place, _LIFECYCLE, request["lifecyclePolicyText"])
        return {**head(place), "lifecyclePolicyText": request["lifecyclePolicyText"]}

    @recorded
    def get_lifecycle_policy(self, ctx: Context, request: api.GetLifecyclePolicyRequest) -> Document:
        """The rules of a repository."""
        place = place_of(ctx, request)
        return {**head(place), "lifecyclePolicyText": self._kept(place, _LIFECYCLE)}

    @recorded
    def delete_lifecycle_policy(self, ctx: Context, request: api.DeleteLifecyclePolicyRequest) -> Document:
        """Takes the rules away."""
        place = place_of(ctx, request)
        text = self._kept(place, _LIFECYCLE)
        self._keep(place, _LIFECYCLE, "")
        return {**head(place), "lifecyclePolicyText": text}

    def _keep(self, place: Repository, member: str, text: str) -> None:
        self._records.edit(self._record(place), lambda now: replace(now, observed={**now.observed, member: text}))

    def _kept(self, place: Repository, member: str) -> str:
        text = str(self._record(place).observed.get(member, ""))
        if text:
            return text
        where = f"the repository with name '{place.name}' in the registry with id '{place.account}'"
        if member == _POLICY:
            raise RepositoryPolicyNotFoundException(f"Repository policy does not exist for {where}")
        raise LifecyclePolicyNotFoundException(f"Lifecycle policy does not exist for {where}")
