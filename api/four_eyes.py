"""Four eyes at the doors: where an organisation wants them, what moves money needs an approval first."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import Depends, Header, Request

from api.dependencies import RawBody, TheCaller, TheContainer


def two_people(
    request: Request,
    caller: TheCaller,
    container: TheContainer,
    raw: RawBody,
    idempotency_key: Annotated[str | None, Header(max_length=1000)] = None,
) -> None:
    """Passes a request of an organisation without four eyes, or one that a second person has approved.

    Raises:
        SecondPersonNeededError: nobody has.
    """
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
        services.proposals.use(organisation.id, request.method, path, body, idempotency_key or "")


TWO_PEOPLE = Depends(two_people)
