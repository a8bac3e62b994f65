"""Deliveries: what is due, in the order of each object, what came of it, and doing it again.

A receiver is told of one object one event at a time: while an event waits for its next attempt, later
ones of the same object wait behind it; other objects go on. An event that is given up no longer holds.
"""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
import sqlmodel
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from api.errors import ApiError
from api.paging import newest_first
from api.tables import EventRow, WebhookAttemptRow, WebhookDeliveryRow, WebhookEndpointRow
from api.webhooks.events import delivery_of
from chain.clock import Clock
from chain.errors import NotFoundError
from chain.ids import PartyId

BACK_OFF_S = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Pauses after the first attempts, as Standard Webhooks advises: about three days in all."""

CLAIM = dt.timedelta(seconds=90)
"""How long an attempt may take before another process may make it."""

AT_ONCE = 4
"""Attempts to one receiver at a time."""

GONE = 410
MOST_AGAIN = 1000


class StillPendingError(ApiError):
    """This delivery is still on its way; it cannot be sent again before it is settled."""

    code = "delivery_pending"


@dataclass(frozen=True, slots=True)
class Due:
    """A claimed delivery: everything an attempt needs."""

    delivery: str
    endpoint: str
    url: str
    event: str
    payload: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one attempt.

    Attributes:
        status: HTTP status; None where there was no answer.
        retry_after_s: how long the receiver asked to wait.
    """

    at: dt.datetime
    address: str
    status: int | None
    ms: int
    error: str = ""
    answer: str = ""
    retry_after_s: int = 0

    @property
    def succeeded(self) -> bool:
        """Whether the receiver took it: any answer of 2xx."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one receiver."""

    id: str
    number: int
    endpoint: str
    event: str
    type: str
    object_id: str
    state: str
    attempts: int
    created_at: dt.datetime
    next_at: dt.datetime | None
    settled_at: dt.datetime | None
    last_status: int | None
    last_error: str


class Deliveries:
    """The deliveries in one database session."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    # -- sending ------------------------------------------------------------------------------

    def has_due(self) -> bool:
        """Whether an attempt may be due now."""
        row = WebhookDeliveryRow
        query = sqlmodel.select(row.number).where(
            col(row.state) == "pending", col(row.next_at) <= self._clock.now()
        )
        return self._session.exec(query.limit(1)).first() is not None

    def claim(self, most: int = 32) -> list[Due]:
        """Takes what is due, so that no other process makes the same attempt; oldest first."""
        now = self._clock.now()
        earlier = aliased(WebhookDeliveryRow)
        row = WebhookDeliveryRow
        is_behind = (
            sa.select(sa.literal(1))
            .where(
                col(earlier.endpoint_id) == col(row.endpoint_id),
                col(earlier.object_id) == col(row.object_id),
                col(earlier.state) == "pending",
                col(earlier.number) < col(row.number),
            )
            .exists()
        )
        free = sa.or_(col(row.claimed_until).is_(None), col(row.claimed_until) < now)
        query = (
            sqlmodel.select(row, WebhookEndpointRow.url, EventRow.payload)
            .join(WebhookEndpointRow, col(WebhookEndpointRow.endpoint_id) == col(row.endpoint_id))
            .join(EventRow, col(EventRow.event_id) == col(row.event_id))
            .where(
                col(row.state) == "pending",
                col(row.next_at) <= now,
                free,
                ~is_behind,
                col(WebhookEndpointRow.state) == "enabled",
            )
            .order_by(col(row.number))
            .limit(most * 4)
        )
        under_way = Counter(
            self._session.exec(
                sqlmodel.select(row.endpoint_id).where(
                    col(row.state) == "pending", col(row.claimed_until) >= now
                )
            )
        )
        taken: list[Due] = []
        for found, url, payload in self._session.exec(query):
            if len(taken) == most:
                break
            if under_way[found.endpoint_id] >= AT_ONCE:
                continue
            claimed = self._session.execute(
                sa.update(row)
                .where(col(row.number) == found.number, col(row.state) == "pending", free)
                .values(claimed_until=now + CLAIM)
                .returning(sa.literal(1))
                .execution_options(synchronize_session=False)
            ).first()
            if claimed is None:
                continue
            under_way[found.endpoint_id] += 1
            taken.append(
                Due(
                    delivery=found.delivery_id,
                    endpoint=found.endpoint_id,
                    url=url,
                    event=found.event_id,
                    payload=payload,
                    attempt=found.attempts + 1,
                )
            )
        return taken

    def record(self, due: Due, came: Attempt) -> str:
        """Writes down what came of an attempt and when the next is due; the state it left.

        A second record of the same attempt (its claim ran out and another made it too) changes nothing.
        """
        row = self._get(due.delivery)
        if row.state != "pending" or row.attempts >= due.attempt:
            return row.state
        self._session.add(
            WebhookAttemptRow(
                delivery_id=row.delivery_id,
                attempt=due.attempt,
                at=came.at,
                address=came.address,
                status=came.status,
                ms=came.ms,
                error=came.error[:200],
                answer=came.answer[:1000],
            )
        )
        row.attempts, row.claimed_until = due.attempt, None
        row.last_status, row.last_error = came.status, came.error[:200]
        now = self._clock.now()
        if came.succeeded:
            row.state, row.settled_at = "delivered", now
        elif due.attempt > len(BACK_OFF_S) or came.status == GONE:
            row.state, row.settled_at = "given_up", now
        else:
            row.next_at = now + dt.timedelta(seconds=pause_s(due.attempt, came.retry_after_s))
        self._session.add(row)
        self._session.flush()
        return row.state

    # -- the log ------------------------------------------------------------------------------

    def list_of(
        self,
        endpoint: str,
        *,
        state: str | None = None,
        before: int | None = None,
        after: int | None = None,
        limit: int,
    ) -> list[Delivery]:
        """A page of a receiver's log, newest first; ``after`` gives the page before a cursor."""
        query = sqlmodel.select(WebhookDeliveryRow).where(
            col(WebhookDeliveryRow.endpoint_id) == endpoint
        )
        if state is not None:
            query = query.where(col(WebhookDeliveryRow.state) == state)
        number = col(WebhookDeliveryRow.number)
        rows = newest_first(self._session, query, number, before=before, after=after, limit=limit)
        return [_delivery(row) for row in rows]

    def find(self, delivery: str, party: PartyId) -> Delivery | None:
        """A delivery to a receiver of a party."""
        row = self._session.exec(
            sqlmodel.select(WebhookDeliveryRow)
            .join(
                WebhookEndpointRow,
                col(WebhookEndpointRow.endpoint_id) == col(WebhookDeliveryRow.endpoint_id),
            )
            .where(
                col(WebhookDeliveryRow.delivery_id) == delivery,
                col(WebhookEndpointRow.party_id) == str(party),
            )
        ).first()
        return None if row is None else _delivery(row)

    def list_attempts(self, delivery: str) -> Sequence[WebhookAttemptRow]:
        """Every attempt of a delivery, oldest first."""
        query = sqlmodel.select(WebhookAttemptRow).where(
            col(WebhookAttemptRow.delivery_id) == delivery
        )
        return self._session.exec(query.order_by(col(WebhookAttemptRow.attempt))).all()

    # -- doing it again -----------------------------------------------------------------------

    def replay(self, delivery: Delivery) -> Delivery:
        """Sends an event again, with the same message id and body.

        Raises:
            StillPendingError: it is still on its way.
        """
        if delivery.state == "pending":
            raise StillPendingError
        return self._again(delivery.event, delivery.endpoint)

    def replay_given_up(self, endpoint: str, since: dt.datetime) -> int:
        """Sends again what was given up since an instant, in its order; how many events."""
        query = (
            sqlmodel.select(WebhookDeliveryRow.event_id, sa.func.min(WebhookDeliveryRow.number))
            .where(
                col(WebhookDeliveryRow.endpoint_id) == endpoint,
                col(WebhookDeliveryRow.state) == "given_up",
                col(WebhookDeliveryRow.created_at) >= since,
            )
            .group_by(col(WebhookDeliveryRow.event_id))
            .order_by(sa.func.min(WebhookDeliveryRow.number))
            .limit(MOST_AGAIN)
        )
        found = [event for event, _ in self._session.exec(query)]
        settled = set(
            self._session.exec(
                sqlmodel.select(WebhookDeliveryRow.event_id).where(
                    col(WebhookDeliveryRow.endpoint_id) == endpoint,
                    col(WebhookDeliveryRow.event_id).in_(found),
                    col(WebhookDeliveryRow.state) != "given_up",
                )
            )
        )
        again = [event for event in found if event not in settled]
        for event in again:
            self._again(event, endpoint)
        return len(again)

    def queue_test(self, event: str, endpoint: str) -> Delivery:
        """Sends an event to one receiver, whatever it subscribed to."""
        return self._again(event, endpoint)

    def _again(self, event: str, endpoint: str) -> Delivery:
        told = self._session.exec(
            sqlmodel.select(EventRow).where(col(EventRow.event_id) == event)
        ).one()
        now = self._clock.now()
        row = delivery_of(told.event_id, told.type, told.object_id, endpoint, now)
        self._session.add(row)
        self._session.flush()
        return _delivery(row)

    def _get(self, delivery: str) -> WebhookDeliveryRow:
        row = self._session.exec(
            sqlmodel.select(WebhookDeliveryRow).where(
                col(WebhookDeliveryRow.delivery_id) == delivery
            )
        ).first()
        if row is None:
            raise NotFoundError("there is no such delivery")
        return row


def pause_s(attempt: int, asked_s: int = 0) -> int:
    """Seconds to the next attempt: the table's, up to a fifth more, or what the receiver asked for."""
    base = BACK_OFF_S[attempt - 1]
    spread = random.random() * base / 5  # noqa: S311  keeps receivers from being hit all at once
    return max(int(base + spread), min(asked_s, 86_400))


def _delivery(row: WebhookDeliveryRow) -> Delivery:
    return Delivery(
        id=row.delivery_id,
        number=row.number or 0,
        endpoint=row.endpoint_id,
        event=row.event_id,
        type=row.type,
        object_id=row.object_id,
        state=row.state,
        attempts=row.attempts,
        created_at=row.created_at,
        next_at=row.next_at if row.state == "pending" else None,
        settled_at=row.settled_at,
        last_status=row.last_status,
        last_error=row.last_error,
    )
