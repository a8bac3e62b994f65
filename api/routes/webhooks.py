"""Webhooks: receivers of a party's events, the log of what was sent, and sending it again."""

from __future__ import annotations

import datetime as dt
import json
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AfterValidator

from api.auth import Caller, Scope
from api.dependencies import OnceOnly, Reader, Requires, TheContainer
from api.object_ids import About, plain, prefixed
from api.paging import ThePage
from api.ports import Container, Services
from api.schemas.values import plain_text
from api.schemas.webhooks import (
    AttemptShown,
    DeliveryPage,
    DeliveryShown,
    DeliveryText,
    DeliveryTold,
    EndpointAsked,
    EndpointChange,
    EndpointList,
    EndpointShown,
    EndpointText,
    EventPage,
    EventText,
    EventTold,
    EventTypeList,
    ReplayAsked,
    Replayed,
    RotateAsked,
    SecretList,
    SecretShown,
)
from api.validators import IfMatch, require_match, tagged
from api.webhooks.addresses import find_destination, read_networks
from api.webhooks.deliveries import Delivery
from api.webhooks.endpoints import Endpoint, check_types
from api.webhooks.events import ToldEvent
from api.webhooks.happenings import TYPES
from api.webhooks.secrets import check_secret
from chain.errors import InvalidValueError, NotFoundError

router = APIRouter(tags=["webhooks"])

Keeper = Annotated[Caller, Depends(Requires(Scope.WEBHOOKS))]


def show_endpoint(endpoint: Endpoint) -> EndpointShown:
    """A receiver as its owner sees it."""
    return EndpointShown(
        id=endpoint.id,
        url=endpoint.url,
        types=list(endpoint.types),
        description=endpoint.description,
        state=endpoint.state,
        why=endpoint.why,
        created_at=endpoint.created_at,
        changed_at=endpoint.changed_at,
    )


def _check_url(url: str, container: Container) -> None:
    find_destination(url, read_networks(container.settings.webhook_networks))


# -- receivers ------------------------------------------------------------------------------------


@router.post("/webhook_endpoints", status_code=201, response_model=EndpointShown)
def create(
    asked: EndpointAsked, caller: Keeper, container: TheContainer, once: OnceOnly
) -> Response:
    """A new receiver; its host is resolved now and at each attempt, and only public addresses are taken."""
    check_types(asked.types)
    if asked.secret is not None:
        check_secret(asked.secret)
    _check_url(asked.url, container)

    def work(services: Services) -> EndpointShown:
        return show_endpoint(
            services.endpoints.create(
                caller.require_self(),
                asked.url,
                asked.types,
                description=asked.description,
                secret=asked.secret or "",
            )
        )

    return once.run(caller.name, work)


@router.get("/webhook_endpoints")
def list_endpoints(caller: Keeper, container: TheContainer, asked: ThePage) -> EndpointList:
    """The caller's receivers, oldest first."""
    with container.read() as services:
        found = services.endpoints.list_of(caller.require_self())
    page = asked.cut(found, lambda one: one.id)
    return EndpointList(data=[show_endpoint(one) for one in page.rows], **page.ends)


@router.get("/webhook_endpoints/{endpoint}", response_model=EndpointShown)
def get_endpoint(
    endpoint: EndpointText, request: Request, caller: Keeper, container: TheContainer
) -> Response:
    """A receiver."""
    with container.read() as services:
        return tagged(
            request, show_endpoint(services.endpoints.get(endpoint, caller.require_self()))
        )


@router.patch("/webhook_endpoints/{endpoint}", response_model=EndpointShown)
def change(
    *,
    endpoint: EndpointText,
    asked: EndpointChange,
    caller: Keeper,
    container: TheContainer,
    once: OnceOnly,
    if_match: IfMatch = None,
) -> Response:
    """Changes a receiver; enabled again, it is sent what has waited."""
    if asked.url is not None:
        _check_url(asked.url, container)
    own = caller.require_self()

    def work(services: Services) -> EndpointShown:
        require_match(if_match, show_endpoint(services.endpoints.get(endpoint, own)))
        changed = services.endpoints.change(
            endpoint,
            own,
            url=asked.url,
            types=asked.types,
            description=asked.description,
            enabled=asked.enabled,
        )
        return show_endpoint(changed)

    return once.run(caller.name, work, 200)


@router.delete("/webhook_endpoints/{endpoint}", response_model=EndpointShown)
def delete(
    endpoint: EndpointText, caller: Keeper, once: OnceOnly, if_match: IfMatch = None
) -> Response:
    """Ends a receiver for ever; what waits for it is given up."""
    own = caller.require_self()

    def work(services: Services) -> EndpointShown:
        require_match(if_match, show_endpoint(services.endpoints.get(endpoint, own)))
        return show_endpoint(services.endpoints.delete(endpoint, own))

    return once.run(caller.name, work, 200)


@router.get("/webhook_endpoints/{endpoint}/secret")
def get_secrets(endpoint: EndpointText, caller: Keeper, container: TheContainer) -> SecretList:
    """The secrets that sign now: the present one, and the one it replaced while that still signs."""
    with container.read() as services:
        found = services.endpoints.get(endpoint, caller.require_self())
        secrets = services.endpoints.secrets_of(found.id)
    return SecretList(
        data=[SecretShown(secret=one.secret, retires_at=one.retires_at) for one in secrets]
    )


@router.post("/webhook_endpoints/{endpoint}/rotate", response_model=EndpointShown)
def rotate(
    endpoint: EndpointText,
    asked: RotateAsked,
    caller: Keeper,
    once: OnceOnly,
    if_match: IfMatch = None,
) -> Response:
    """Gives a receiver a new secret; for a while messages carry both signatures."""
    if asked.secret is not None:
        check_secret(asked.secret)

    def work(services: Services) -> EndpointShown:
        held = services.endpoints.get(endpoint, caller.require_self())
        require_match(if_match, show_endpoint(held))
        rotated = services.endpoints.rotate(
            endpoint,
            caller.require_self(),
            secret=asked.secret or "",
            old_for=dt.timedelta(hours=asked.old_signs_hours),
        )
        return show_endpoint(rotated)

    return once.run(caller.name, work, 200)


@router.post("/webhook_endpoints/{endpoint}/test", status_code=202, response_model=DeliveryShown)
def send_test(endpoint: EndpointText, caller: Keeper, once: OnceOnly) -> Response:
    """Sends a test event to a receiver, whatever it subscribed to."""
    own = caller.require_self()

    def work(services: Services) -> DeliveryShown:
        found = services.endpoints.get(endpoint, own)
        source = f"test:{found.id}:{once.key}"
        services.events.publish(
            "webhook_endpoint.test",
            About("party", str(own)),
            [own],
            facts={"endpoint": found.id},
            source=source,
        )
        event = services.events.get_by_source(source, own)
        return show_delivery(services.deliveries.queue_test(event.id, found.id))

    return once.run(caller.name, work, 202)


# -- the log --------------------------------------------------------------------------------------


def show_delivery(delivery: Delivery) -> DeliveryShown:
    """A delivery as the receiver's owner sees it."""
    return DeliveryShown(
        id=delivery.id,
        endpoint=delivery.endpoint,
        event=delivery.event,
        type=delivery.type,
        state=delivery.state,
        attempts=delivery.attempts,
        created_at=delivery.created_at,
        next_at=delivery.next_at,
        settled_at=delivery.settled_at,
        last_status=delivery.last_status,
        last_error=delivery.last_error,
    )


def _get_delivery(services: Services, delivery: str, caller: Caller) -> Delivery:
    found = services.deliveries.find(delivery, caller.require_self())
    if found is None:
        raise NotFoundError("there is no such delivery")
    return found


@router.get("/webhook_endpoints/{endpoint}/deliveries")
def list_deliveries(
    *,
    endpoint: EndpointText,
    caller: Keeper,
    container: TheContainer,
    state: Literal["pending", "delivered", "given_up"] | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    starting_after: DeliveryText | None = None,
    ending_before: DeliveryText | None = None,
) -> DeliveryPage:
    """The log of a receiver, newest first."""
    with container.read() as services:
        found = services.endpoints.get(endpoint, caller.require_self())
        before = _get_delivery(services, starting_after, caller).number if starting_after else None
        after = _get_delivery(services, ending_before, caller).number if ending_before else None
        rows = services.deliveries.list_of(
            found.id, state=state, before=before, after=after, limit=limit + 1
        )
    more = len(rows) > limit
    page = rows[-limit:] if after is not None else rows[:limit]
    return DeliveryPage(
        data=[show_delivery(one) for one in page],
        has_more=more,
        next_cursor=page[-1].id if more else None,
    )


@router.post("/webhook_endpoints/{endpoint}/replay", status_code=202, response_model=Replayed)
def replay_given_up(
    endpoint: EndpointText, asked: ReplayAsked, caller: Keeper, once: OnceOnly
) -> Response:
    """Sends again, in their order, the events that were given up since an instant (at most 1,000)."""

    def work(services: Services) -> Replayed:
        found = services.endpoints.get(endpoint, caller.require_self())
        return Replayed(queued=services.deliveries.replay_given_up(found.id, asked.since))

    return once.run(caller.name, work, 202)


@router.get("/webhook_deliveries/{delivery}")
def get_delivery(delivery: DeliveryText, caller: Keeper, container: TheContainer) -> DeliveryTold:
    """A delivery with every attempt: when, where to, what was answered."""
    with container.read() as services:
        found = _get_delivery(services, delivery, caller)
        log = services.deliveries.list_attempts(delivery)
    return DeliveryTold(
        **show_delivery(found).model_dump(),
        log=[AttemptShown.model_validate(one, from_attributes=True) for one in log],
    )


@router.post("/webhook_deliveries/{delivery}/replay", status_code=202, response_model=DeliveryShown)
def replay(delivery: DeliveryText, caller: Keeper, once: OnceOnly) -> Response:
    """Sends an event again, with the same message id and body: a receiver that had it knows it."""

    def work(services: Services) -> DeliveryShown:
        return show_delivery(services.deliveries.replay(_get_delivery(services, delivery, caller)))

    return once.run(caller.name, work, 202)


# -- events ---------------------------------------------------------------------------------------


def show_event(event: ToldEvent) -> EventTold:
    """An event as its party is told it."""
    return EventTold(
        id=event.id,
        type=event.type,
        at=event.at,
        about=event.object_kind,
        about_id=prefixed(event.object_kind, event.object_id),
        body=json.loads(event.payload),
    )


def _own_event(services: Services, event: str, caller: Caller) -> ToldEvent:
    found = services.events.find(event)
    if found is None or found.party != caller.require_self():
        raise NotFoundError("there is no such event")
    return found


@router.get("/event_types")
def list_types(_: Reader) -> EventTypeList:
    """Every type of event that can be subscribed to."""
    return EventTypeList(data=list(TYPES))


@router.get("/events")
def list_events(
    *,
    caller: Reader,
    container: TheContainer,
    type: Annotated[  # noqa: A002  the name that callers know
        list[str] | None, Query(max_length=40, description="of these types; repeat for more")
    ] = None,
    about: Annotated[
        str | None,
        Query(max_length=70, description="about one object, by its id, plain or prefixed"),
        AfterValidator(plain_text),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    starting_after: EventText | None = None,
    ending_before: EventText | None = None,
) -> EventPage:
    """What has happened that concerns the caller, newest first: for those who would rather ask."""
    unknown = sorted(set(type or ()) - set(TYPES))
    if unknown:
        raise InvalidValueError(f"there is no event {unknown[0][:60]!r}", field="type")
    with container.read() as services:
        before = _own_event(services, starting_after, caller).number if starting_after else None
        after = _own_event(services, ending_before, caller).number if ending_before else None
        rows = services.events.list_of(
            caller.require_self(),
            types=type or (),
            about=None if about is None else plain(about),
            before=before,
            after=after,
            limit=limit + 1,
        )
    more = len(rows) > limit
    page = rows[-limit:] if after is not None else rows[:limit]
    return EventPage(
        data=[show_event(one) for one in page],
        has_more=more,
        next_cursor=page[-1].id if more else None,
    )


@router.get("/events/{event}")
def get_event(event: EventText, caller: Reader, container: TheContainer) -> EventTold:
    """One event."""
    with container.read() as services:
        return show_event(_own_event(services, event, caller))
