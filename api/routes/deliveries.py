"""Loading, receipt, dispute: get what to sign, post it signed."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from api.dependencies import Deliverer, OnceOnly, TheContainer
from api.object_ids import prefixed
from api.ports import Container, Services
from api.routes.trips import show_story
from api.schemas.deliveries import Accepted, FormToSign
from api.schemas.signing import SignedForm, TypedData, read_message
from api.schemas.values import NoteText, TripText
from api.trip_stories import get_trip, tell
from api.validators import IfMatch, require_match
from chain.abi import Struct
from chain.bindings.structs import Confirmation, Dispute, Loading
from chain.errors import InvalidValueError
from chain.ids import Hash32, TripId
from chain.waybill import ZERO

router = APIRouter(prefix="/deliveries", tags=["deliveries"])

SIGNING_TIME = dt.timedelta(hours=24)


def _fresh(container: Container) -> tuple[int, int, Hash32]:
    """Now, the end of the signing time, and a new salt."""
    now = int(container.clock.now().timestamp())
    return now, now + int(SIGNING_TIME.total_seconds()), Hash32("0x" + secrets.token_hex(32))


def _to_sign(container: Container, form: Struct) -> FormToSign:
    return FormToSign(to_sign=TypedData.of(form, container.reader.domain("DeliveryRegistry")))


class Act:
    """An act on a trip: who, under which Idempotency-Key, and the state he has seen (If-Match)."""

    def __init__(self, caller: Deliverer, once: OnceOnly, if_match: IfMatch = None) -> None:
        self.caller = caller
        self.once = once
        self.if_match = if_match


TheAct = Annotated[Act, Depends()]


def _accept(
    act: Act,
    trip: str,
    form: Loading | Confirmation | Dispute,
    work: Callable[[Services], None],
) -> Response:
    if form.trip != trip:
        raise InvalidValueError("the form is about another trip", field="message.trip")

    def accept(services: Services) -> Accepted:
        held, leaf = get_trip(services, trip, act.caller)
        if act.if_match is not None:
            require_match(act.if_match, show_story(tell(services, held, leaf)))
        work(services)
        services.papers.note_signed(form.reason if isinstance(form, Dispute) else form.document)
        return Accepted(about=prefixed("trip", trip), status=f"/v1/trips/{trip}")

    return act.once.run(act.caller.name, accept, 202)


@router.get("/{trip}/loading")
def loading_form(trip: TripText, caller: Deliverer, container: TheContainer) -> FormToSign:
    """What the driver signs when the truck is loaded."""
    with container.write() as services:
        _, leaf = get_trip(services, trip, caller)
        loaded = {"trip": trip, "loaded_milli": leaf.quantity}
        document = services.papers.prepare(loaded, about=trip, party=caller.require_self())
    at, expires, salt = _fresh(container)
    form = Loading(
        trip=TripId(trip),
        version=leaf.version,
        vehicle=leaf.vehicle or Hash32(ZERO),
        quantity=leaf.quantity,
        at=at,
        document=document,
        expires=expires,
        salt=salt,
    )
    return _to_sign(container, form)


@router.post("/{trip}/loading", status_code=202, response_model=Accepted)
def load(trip: TripText, given: SignedForm, act: TheAct) -> Response:
    """Takes the driver's word that the truck is loaded."""
    form = read_message(Loading, given.message)
    return _accept(act, trip, form, lambda to: to.registry.load(form, given.signature_bytes))


@router.get("/{trip}/confirmation")
def confirmation_form(
    *,
    trip: TripText,
    caller: Deliverer,
    container: TheContainer,
    accepted_milli: Annotated[
        int | None, Query(ge=0, lt=2**53, description="all that was loaded unless given")
    ] = None,
    condition: Annotated[
        int, Query(ge=0, le=3, description="0 sound, 1 damaged, 2 short, 3 short and damaged")
    ] = 0,
    note: NoteText | None = None,
) -> FormToSign:
    """What the consignee signs when the goods are there: it sets the payment in motion."""
    with container.write() as services:
        held, leaf = get_trip(services, trip, caller)
        accepted = held.loaded if accepted_milli is None else accepted_milli
        if accepted < held.loaded and condition not in {2, 3}:
            condition += 2
        receipt = {
            "trip": trip, "accepted_milli": accepted, "condition": condition, "note": note or "",
        }  # fmt: skip
        document = services.papers.prepare(receipt, about=trip, party=caller.require_self())
    at, expires, salt = _fresh(container)
    form = Confirmation(
        trip=TripId(trip),
        by=caller.require_self(),
        version=leaf.version,
        vehicle=leaf.vehicle or Hash32(ZERO),
        accepted=accepted,
        condition=condition,
        document=document,
        at=at,
        expires=expires,
        salt=salt,
    )
    return _to_sign(container, form)


@router.post("/{trip}/confirmation", status_code=202, response_model=Accepted)
def confirm(trip: TripText, given: SignedForm, act: TheAct) -> Response:
    """Takes the consignee's signed receipt; whichever of it and the attestations lands last releases."""
    form = read_message(Confirmation, given.message)
    act.caller.require_party(form.by, "message.by")
    return _accept(
        act,
        trip,
        form,
        lambda to: to.registry.confirm_delivery(form, given.signature_bytes),
    )


@router.get("/{trip}/dispute")
def dispute_form(
    trip: TripText, caller: Deliverer, container: TheContainer, reason: NoteText
) -> FormToSign:
    """What a party of the chain signs to hold a delivery."""
    with container.write() as services:
        get_trip(services, trip, caller)
        document = services.papers.prepare(
            {"reason": reason}, about=trip, party=caller.require_self()
        )
    _, expires, salt = _fresh(container)
    form = Dispute(
        trip=TripId(trip),
        by=caller.require_self(),
        reason=document,
        expires=expires,
        salt=salt,
    )
    return _to_sign(container, form)


@router.post("/{trip}/dispute", status_code=202, response_model=Accepted)
def dispute(trip: TripText, given: SignedForm, act: TheAct) -> Response:
    """Holds a delivery before completion; after it only the receivable is marked."""
    form = read_message(Dispute, given.message)
    act.caller.require_party(form.by, "message.by")
    return _accept(act, trip, form, lambda to: to.registry.dispute(form, given.signature_bytes))
