"""What a driver's phone asks for: his jobs in one answer, and his word on the way."""

from __future__ import annotations

import datetime as dt

from fastapi import APIRouter, Response

from api.dependencies import Deliverer, OnceOnly, Reader, TheContainer
from api.driver_tasks import list_tasks
from api.errors import ForbiddenScopeError
from api.ports import Services
from api.schemas.receipts import StepGiven, StepKept, TaskList
from api.schemas.values import TripText
from api.trip_stories import get_trip
from chain.errors import InvalidValueError

router = APIRouter(tags=["driver"])

AHEAD = dt.timedelta(minutes=5)


@router.get("/driver/tasks")
def tasks(caller: Reader, container: TheContainer) -> TaskList:
    """The caller's jobs as a driver, the newest first, with all that his phone needs without a network."""
    domain = container.reader.domain("DeliveryRegistry")
    told = {
        "name": domain.name,
        "version": domain.version,
        "chainId": domain.chain_id,
        "verifyingContract": domain.verifying_contract,
    }
    with container.read() as services:
        return list_tasks(services, caller.require_self(), container.clock.now(), told)


@router.post("/deliveries/{trip}/steps", status_code=201, response_model=StepKept)
def tell_step(
    trip: TripText, given: StepGiven, caller: Deliverer, container: TheContainer, once: OnceOnly
) -> Response:
    """Keeps a driver's word (arrived, departed) with his own clock; it is no evidence and moves nothing."""
    if given.at > container.clock.now() + AHEAD:
        raise InvalidValueError("the time lies in the future", field="at")

    def work(services: Services) -> StepKept:
        held, leaf = get_trip(services, trip, caller)
        if caller.party_id != leaf.form.performer:
            raise ForbiddenScopeError("only the trip's driver tells its steps")
        at = services.receipts.tell_step(held.id, leaf.form.performer, given.step, given.at)
        return StepKept(step=given.step, at=at)

    return once.run(caller.name, work)
