"""What will go, and when."""

from __future__ import annotations

from pydantic import Field

from api.schemas.values import Instant, Shown


class DeprecationShown(Shown):
    """A door that will be shut."""

    what: str = Field(examples=["POST /v1/waybills/import"])
    since: Instant
    sunset: Instant
    successor: str = Field(examples=["/v1/jobs/imports"])
    why: str = Field(examples=["a file is a job"])


class DeprecationList(Shown):
    """Everything that will go, and the policy."""

    policy: str = Field(
        examples=["within /v1 nothing documented changes; what goes is told 180 days before"]
    )
    data: list[DeprecationShown]
