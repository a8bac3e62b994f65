"""Webhooks: receivers, events, deliveries."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from api.object_ids import pattern_of
from api.schemas.values import Given, Instant, Listed, Shown, plain_text

EndpointText = Annotated[
    str, Field(pattern=pattern_of("webhook_endpoint"), examples=["we_0123456789abcdef01234567"])
]
EventText = Annotated[
    str, Field(pattern=pattern_of("event"), examples=["evt_0123456789abcdef01234567"])
]
DeliveryText = Annotated[
    str, Field(pattern=pattern_of("delivery"), examples=["whd_0123456789abcdef01234567"])
]
TypesAsked = Annotated[
    list[Annotated[str, Field(max_length=40)]],
    Field(
        min_length=1,
        max_length=40,
        examples=[["waybill.*", "advance.released"]],
        description="names of GET /v1/event_types, `noun.*`, or `*` for all",
    ),
]
UrlAsked = Annotated[
    str,
    Field(
        min_length=8,
        max_length=500,
        examples=["https://firm.example/yundan"],
        description="https; a private address only where the operator allows it",
    ),
]
SecretAsked = Annotated[
    str,
    Field(
        max_length=120,
        examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"],
        description="whsec_ and base64 of 24 to 64 random bytes; made here if left out",
    ),
]
DescriptionAsked = Annotated[
    str, Field(max_length=200, examples=["our transport system"]), AfterValidator(plain_text)
]


class EndpointAsked(Given):
    """A receiver of the caller's events."""

    url: UrlAsked
    types: TypesAsked
    description: DescriptionAsked = ""
    secret: SecretAsked | None = None


class EndpointChange(Given):
    """What is to change; what is left out stays."""

    url: UrlAsked | None = None
    types: TypesAsked | None = None
    description: DescriptionAsked | None = None
    enabled: bool | None = None


class EndpointShown(Shown):
    """A receiver; its secret is at `/secret`."""

    id: EndpointText
    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    url: str = Field(examples=["https://firm.example/yundan"])
    types: list[str] = Field(examples=[["waybill.*", "advance.released"]])
    description: str = Field(examples=["our transport system"])
    state: Literal["enabled", "disabled", "deleted"]
    why: str = Field(description="who disabled it, where it was not its owner", examples=[""])
    created_at: Instant
    changed_at: Instant


class EndpointList(Listed):
    """The caller's receivers, oldest first."""

    data: list[EndpointShown]


class SecretShown(Shown):
    """A signing secret."""

    secret: str = Field(examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"])
    retires_at: Instant | None = Field(description="until when it signs; null for the present one")


class SecretList(Shown):
    """The secrets that sign now, the present one first."""

    data: list[SecretShown]


class RotateAsked(Given):
    """A new secret takes the place of the present one."""

    secret: SecretAsked | None = None
    old_signs_hours: int = Field(
        default=24, ge=0, le=168, description="how long the old secret signs beside the new one"
    )


class EventTypeList(Shown):
    """Every type of event."""

    data: list[str] = Field(examples=[["advance.released", "trip.delivered"]])


class EventTold(Shown):
    """What happened, exactly as a webhook says it, with its number."""

    id: EventText
    object: Literal["event"] = "event"
    type: str = Field(examples=["advance.released"])
    at: Instant
    about: str = Field(description="kind of the object", examples=["advance"])
    about_id: str = Field(examples=["0x" + "5c" * 32])
    body: dict[str, Any] = Field(
        description="the message's body",
        examples=[
            {
                "type": "advance.released",
                "timestamp": "2026-01-26T15:50:00Z",
                "data": {"object": "advance", "id": "0x" + "5c" * 32, "facts": {"amount": 86_400}},
            }
        ],
    )


class EventPage(Shown):
    """A page of events, newest first."""

    object: Literal["list"] = "list"
    data: list[EventTold]
    has_more: bool
    next_cursor: str | None = Field(description="give it as `starting_after` for the next page")


class DeliveryShown(Shown):
    """One event on its way to one receiver."""

    id: DeliveryText
    object: Literal["webhook_delivery"] = "webhook_delivery"
    endpoint: EndpointText
    event: EventText
    type: str = Field(examples=["advance.released"])
    state: Literal["pending", "delivered", "given_up"]
    attempts: int = Field(examples=[1])
    created_at: Instant
    next_at: Instant | None = Field(description="when the next attempt is due")
    settled_at: Instant | None
    last_status: int | None = Field(examples=[200])
    last_error: str = Field(examples=[""])


class AttemptShown(Shown):
    """One attempt and what came of it."""

    attempt: int = Field(examples=[1])
    at: Instant
    address: str = Field(description="the address connected to", examples=["203.0.113.7"])
    status: int | None = Field(examples=[200])
    ms: int = Field(examples=[83])
    error: str = Field(examples=[""])
    answer: str = Field(description="the first 1,000 bytes of the answer", examples=["ok"])


class DeliveryTold(DeliveryShown):
    """A delivery with its attempts."""

    log: list[AttemptShown]


class DeliveryPage(Shown):
    """A page of deliveries, newest first."""

    object: Literal["list"] = "list"
    data: list[DeliveryShown]
    has_more: bool
    next_cursor: str | None


class ReplayAsked(Given):
    """Sends again what was given up."""

    since: Instant


class Replayed(Shown):
    """How many events are on their way again."""

    queued: int = Field(examples=[3])
