"""Events as parties are told them: written in the transaction of what happened, one row a party.

Each row queues a delivery for every receiver of that party who asked for its type, in that transaction
too, so nothing that happened is untold and nothing is told that did not happen.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import sqlmodel
from sqlmodel import Session, col

from api.object_ids import About, new_id
from api.tables import EventRow, WebhookDeliveryRow, WebhookEndpointRow
from chain.clock import Clock, rfc3339
from chain.ids import PartyId

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
        wanted = sorted({str(party) for party in parties})
        known = set(
            self._session.exec(
                sqlmodel.select(EventRow.party_id).where(
                    col(EventRow.source) == source, col(EventRow.party_id).in_(wanted)
                )
            )
        )
        new = [party for party in wanted if party not in known]
        if not new:
            return 0
        when = at or self._clock.now()
        data = {"object": about.kind, "id": about.id, "facts": dict(facts)}
        payload = json.dumps(
            {"type": kind, "timestamp": rfc3339(when), "data": data},
            ensure_ascii=False,
            separators=(",", ":"),
        )
        if len(payload.encode()) > MOST_PAYLOAD:  # a list that grew: the object tells the rest
            data["facts"] = {}
            payload = json.dumps({"type": kind, "timestamp": rfc3339(when), "data": data})
        now = self._clock.now()
        rows = [
            {
                "event_id": new_id("event"),
                "party_id": party,
                "type": kind,
                "object_kind": about.kind,
                "object_id": about.id,
                "payload": payload,
                "source": source,
                "at": when,
                "told_at": now,
            }
            for party in new
        ]
        table = EventRow.__table__  # type: ignore[attr-defined]  # every table class has it
        self._session.connection().execute(sa.insert(table), rows)
        self._queue(kind, new, source)
        return len(rows)

    def _queue(self, kind: str, parties: list[str], source: str) -> None:
        receivers = self._session.exec(
            sqlmodel.select(WebhookEndpointRow)
            .where(
                col(WebhookEndpointRow.party_id).in_(parties),
                col(WebhookEndpointRow.state) == "enabled",
            )
            .order_by(col(WebhookEndpointRow.number))
        ).all()
        wanting = [one for one in receivers if wants(one.types.split(), kind)]
        if not wanting:
            return
        told_of = self._session.exec(
            sqlmodel.select(EventRow).where(
                col(EventRow.source) == source, col(EventRow.party_id).in_(parties)
            )
        )
        by_party = {row.party_id: row for row in told_of}
        now = self._clock.now()
        for receiver in wanting:
            row = by_party[receiver.party_id]
            self._session.add(delivery_of(row, receiver.endpoint_id, now))
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
        number = col(EventRow.number)
        query = sqlmodel.select(EventRow).where(col(EventRow.party_id) == str(party))
        if types:
            query = query.where(col(EventRow.type).in_(sorted(types)))
        if about is not None:
            query = query.where(col(EventRow.object_id) == about)
        if before is not None:
            query = query.where(number < before)
        if after is not None:
            query = query.where(number > after).order_by(number).limit(limit)
            return [told(row) for row in self._session.exec(query)][::-1]
        return [told(row) for row in self._session.exec(query.order_by(number.desc()).limit(limit))]


def wants(types: Collection[str], kind: str) -> bool:
    """Whether a subscription covers a type: by name, by ``noun.*`` or by ``*``."""
    return "*" in types or kind in types or f"{kind.partition('.')[0]}.*" in types


def delivery_of(row: EventRow, endpoint: str, now: dt.datetime) -> WebhookDeliveryRow:
    """A delivery of an event that is due now."""
    return WebhookDeliveryRow(
        delivery_id=new_id("delivery"),
        endpoint_id=endpoint,
        event_id=row.event_id,
        type=row.type,
        object_id=row.object_id,
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
