"""For attestors: what waits for a verdict, the raw evidence, and the signed verdict back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from api.auth import Caller, Scope
from api.dependencies import OnceOnly, Requires, Seen, TheContainer
from api.errors import ForbiddenScopeError
from api.object_ids import prefixed
from api.paging import ThePage
from api.ports import Services
from api.schemas.deliveries import (
    Accepted,
    AttestationsWaiting,
    AttestationWaiting,
    EvidenceShown,
)
from api.schemas.signing import SignedForm, read_message
from api.schemas.values import TripText
from chain.bindings.delivery_registry import DeliveryRegistry
from chain.bindings.structs import Attestation
from chain.errors import InvalidValueError
from chain.ids import TripId

router = APIRouter(tags=["attestations"])


def _attestor(
    container: TheContainer, caller: Annotated[Caller, Depends(Requires(Scope.ATTESTATIONS))]
) -> Caller:
    """A caller whom the contract knows as an attestor at this moment: raw positions are for no other."""
    if not container.reader.fetch(DeliveryRegistry.is_attestor(caller.require_self())):
        raise ForbiddenScopeError("only attestors of the registry see raw evidence")
    return caller


Attestor = Annotated[Caller, Depends(_attestor)]


@router.get("/attestations/waiting")
def waiting(caller: Attestor, container: TheContainer, asked: ThePage) -> AttestationsWaiting:
    """Trips on the road whose drive was judged here and on which the caller has said nothing yet."""
    with container.read() as services:
        found = services.tracks.list_waiting(caller.require_self())
    page = asked.cut(found, lambda trip: trip.trip, by_name=True)
    return AttestationsWaiting(
        data=[
            AttestationWaiting(
                trip=trip.trip,
                version=trip.version,
                vehicle=trip.vehicle,
                plan=trip.plan_hash,
                policy=trip.policy_hash,
            )
            for trip in page.rows
        ],
        **page.ends,
    )


@router.get("/trips/{trip}/evidence", dependencies=[Depends(Seen("evidence"))])
def evidence(trip: TripText, _: Attestor, container: TheContainer) -> EvidenceShown:
    """The raw evidence of a trip, frozen when it was judged here."""
    with container.read() as services:
        return EvidenceShown(trip=trip, evidence=services.tracking.get_evidence(TripId(trip)))


@router.post("/trips/{trip}/attestations", status_code=202, response_model=Accepted)
def attest(trip: TripText, given: SignedForm, caller: Attestor, once: OnceOnly) -> Response:
    """Takes an attestor's signed verdict; the chain decides whether it counts."""
    form = read_message(Attestation, given.message)
    if form.trip != trip:
        raise InvalidValueError("the form is about another trip", field="message.trip")
    caller.require_party(form.attestor, "message.attestor")

    def work(services: Services) -> Accepted:
        services.tracking.take_attestation(form, given.signature_bytes)
        return Accepted(about=prefixed("trip", trip), status=f"/v1/trips/{trip}")

    return once.run(caller.name, work, 202)
