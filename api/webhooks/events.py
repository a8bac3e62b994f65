"""Events as parties are told them: written in the transaction of what happened, one row a party.

Each row queues a delivery for every receiver of that party who asked for its type, in that transaction
too, so nothing that happened is untold and nothing is told that did not happen.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import sqlmodel
from sqlmodel import Session, col

from api.object_ids import About, new_id, prefixed
from api.paging import newest_first
from api.tables import EventRow, WebhookDeliveryRow, WebhookEndpointRow
from chain.clock import Clock, rfc3339
from chain.ids import PartyId

AT_ONCE = 500
"""Values of one question."""

_TELLING = sa.insert(EventRow.__table__)  # type: ignore[attr-defined]  # every table class has it

MOST_PAYLOAD = 20_000
"""Bytes of a message's body, as Standard Webhooks advises."""


@dataclass(frozen=True, slots=True)
class ToldEvent:
    """An event as a party is told it.

    Attributes:
        payload: the body of the message, to the byte.
        at: when it happened (the block's time, for events of the chain).
    """

    id: str
    number: int
    party: PartyId
    type: str
    object_kind: str
    object_id: str
    payload: str
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class Telling:
    """A happening that is to be told. Attributes as the arguments of ``Events.publish``."""

    kind: str
    about: About
    parties: tuple[PartyId, ...]
    facts: Mapping[str, Any]
    source: str
    at: dt.datetime

    def payload(self) -> str:
        """The body of the message, to the byte."""
        data = {
            "object": self.about.kind,
            "id": prefixed(self.about.kind, self.about.id),
            "facts": dict(self.facts),
        }
        body = {"type": self.kind, "timestamp": rfc3339(self.at), "data": data}
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        if len(text.encode()) > MOST_PAYLOAD:  # a list that grew: the object tells the rest
            data["facts"] = {}
            text = json.dumps(body)
        return text


class Events:
    """The events in one database session."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    def publish(
        self,
        kind: str,
        about: About,
        parties: Collection[PartyId],
        *,
        facts: Mapping[str, Any],
        source: str,
        at: dt.datetime | None = None,
    ) -> int:
        """Tells parties what happened; the same source again tells nobody twice. How many were told.

        Args:
            kind: the type, ``noun.past``.
            about: what it is about.
            parties: whom it concerns.
            facts: what is known of it; no personal data.
            source: names the happening once and for ever, e.g. a transaction and its log.
            at: when it happened; now unless given.
        """
        when = at or self._clock.now()
        return self.publish_all([Telling(kind, about, tuple(parties), facts, source, when)])

    def publish_all(self, tellings: Sequence[Telling]) -> int:
        """Tells several happenings, in their order; how many events were new."""
        now = self._clock.now()
        known = self._list_told([one.source for one in tellings])
        rows: list[dict[str, Any]] = []
        for one in tellings:
            new = sorted({str(party) for party in one.parties} - known.get(one.source, set()))
            if not new:
                continue
            known.setdefault(one.source, set()).update(new)
            payload = one.payload()
            rows += [
                {
                    "event_id": new_id("event"),
                    "party_id": party,
                    "type": one.kind,
                    "object_kind": one.about.kind,
                    "object_id": one.about.id,
                    "payload": payload,
                    "source": one.source,
                    "at": one.at,
                    "told_at": now,
                }
                for party in new
            ]
        if rows:
            self._session.connection().execute(_TELLING, rows)
            self._queue(rows)
        return len(rows)

    def _list_told(self, sources: Sequence[str]) -> dict[str, set[str]]:
        """Who was told of some happenings before."""
        found: dict[str, set[str]] = {}
        for at in range(0, len(sources), AT_ONCE):
            query = sqlmodel.select(EventRow.source, EventRow.party_id).where(
                col(EventRow.source).in_(sources[at : at + AT_ONCE])
            )
            for source, party in self._session.exec(query):
                found.setdefault(source, set()).add(party)
        return found

    def _queue(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """A delivery for every receiver who wants a row's type, in the order of the rows."""
        parties = sorted({row["party_id"] for row in rows})
        receivers: dict[str, list[WebhookEndpointRow]] = {}
        for at in range(0, len(parties), AT_ONCE):
            query = sqlmodel.select(WebhookEndpointRow).where(
                col(WebhookEndpointRow.party_id).in_(parties[at : at + AT_ONCE]),
                col(WebhookEndpointRow.state) == "enabled",
            )
            for one in self._session.exec(query.order_by(col(WebhookEndpointRow.number))):
                receivers.setdefault(one.party_id, []).append(one)
        now = self._clock.now()
        due = [
            delivery_of(row["event_id"], row["type"], row["object_id"], one.endpoint_id, now)
            for row in rows
            for one in receivers.get(row["party_id"], ())
            if wants(one.types.split(), row["type"])
        ]
        if due:
            self._session.add_all(due)
            self._session.flush()

    def find(self, event: str) -> ToldEvent | None:
        """An event by its id."""
        row = self._session.exec(
            sqlmodel.select(EventRow).where(col(EventRow.event_id) == event)
        ).first()
        return None if row is None else told(row)

    def get_by_source(self, source: str, party: PartyId) -> ToldEvent:
        """What a party was told of a happening."""
        query = sqlmodel.select(EventRow).where(
            col(EventRow.source) == source, col(EventRow.party_id) == str(party)
        )
        return told(self._session.exec(query).one())

    def list_of(
        self,
        party: PartyId,
        *,
        types: Collection[str] = (),
        about: str | None = None,
        before: int | None = None,
        after: int | None = None,
        limit: int,
    ) -> list[ToldEvent]:
        """A page of what a party was told, newest first; ``after`` gives the page before a cursor."""
        query = sqlmodel.select(EventRow).where(col(EventRow.party_id) == str(party))
        if types:
            query = query.where(col(EventRow.type).in_(sorted(types)))
        if about is not None:
            query = query.where(col(EventRow.object_id) == about)
        rows = newest_first(
            self._session, query, col(EventRow.number), before=before, after=after, limit=limit
        )
        return [told(row) for row in rows]


def wants(types: Collection[str], kind: str) -> bool:
    """Whether a subscription covers a type: by name, by ``noun.*`` or by ``*``."""
    return "*" in types or kind in types or f"{kind.partition('.')[0]}.*" in types


def delivery_of(
    event: str, kind: str, about: str, endpoint: str, now: dt.datetime
) -> WebhookDeliveryRow:
    """A delivery of an event that is due now."""
    return WebhookDeliveryRow(
        delivery_id=new_id("delivery"),
        endpoint_id=endpoint,
        event_id=event,
        type=kind,
        object_id=about,
        state="pending",
        created_at=now,
        next_at=now,
    )


def told(row: EventRow) -> ToldEvent:
    """A row as callers see it."""
    return ToldEvent(
        id=row.event_id,
        number=row.number or 0,
        party=PartyId(int(row.party_id)),
        type=row.type,
        object_kind=row.object_kind,
        object_id=row.object_id,
        payload=row.payload,
        at=row.at,
    )
