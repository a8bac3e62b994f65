"""Four eyes at the doors: where an organisation wants them, what moves money needs an approval first.

There is one mechanism: a request is proposed word for word (``POST /v1/proposals``), another person approves
it, and that very request goes through, once. A lender's signature handed in by somebody else is no way
around: what a lender who wants four eyes has signed, only he himself may hand in.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Header, Request

from api.auth import Caller
from api.dependencies import RawBody, TheCaller, TheContainer
from api.identity.proposals import SecondPersonNeededError
from api.ports import Services
from chain.ids import PartyId


def second_person(
    request: Request,
    caller: TheCaller,
    container: TheContainer,
    raw: RawBody,
    idempotency_key: Annotated[str | None, Header(max_length=1000)] = None,
) -> Callable[[], None]:
    """What asks for a second person's approval of this request; for routes where only some requests need one.

    Calling it raises SecondPersonNeededError where the caller's organisation works with four eyes and nobody
    has approved this very request.
    """

    def ask() -> None:
        if caller.party_id is None:
            return
        with container.read() as services:
            organisation = services.people.find_of_party(caller.party_id)
        if organisation is None or not organisation.four_eyes:
            return
        try:
            body = json.loads(raw) if raw else None
        except (ValueError, RecursionError):
            body = None  # no body: the route itself says so
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        with container.write() as services:
            services.proposals.use(
                organisation.id, request.method, path, body, idempotency_key or ""
            )

    return ask


SecondPerson = Annotated[Callable[[], None], Depends(second_person)]


def two_people(ask: SecondPerson) -> None:
    """Passes a request of an organisation without four eyes, or one that a second person has approved.

    Raises:
        SecondPersonNeededError: nobody has.
    """
    ask()


TWO_PEOPLE = Depends(two_people)


def require_own_word(services: Services, signer: PartyId, caller: Caller) -> None:
    """Refuses a form that a party with four eyes has signed when somebody else hands it in.

    Raises:
        SecondPersonNeededError: one person with the party's key could otherwise go around the second.
    """
    if caller.party_id == signer:
        return
    organisation = services.people.find_of_party(signer)
    if organisation is not None and organisation.four_eyes:
        raise SecondPersonNeededError(
            "who has signed this works with four eyes: he hands it in himself"
        )
