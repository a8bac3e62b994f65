"""What Prometheus asks: the business as the database has it, and this process's own requests.

Figures of the business are read when they are asked for, so that every process tells the same and a restart
forgets nothing. No label carries a name, an id or an amount of anybody.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlmodel import Session, col, select

from chain.bindings.enums import TripState
from chain.clock import Clock
from chain.ports import TransactionState
from chain.tables import BlockRow, OutgoingTransactionRow, TripRow
from finance.tables import AdvanceRow, DifferenceRow

BUCKETS_S = (1, 2, 5, 10, 30, 60, 300, 1800, 3600, 6 * 3600, 24 * 3600)
"""From the consignee's receipt to the release; same-day is the promise."""

WAITING = (TransactionState.QUEUED.value, TransactionState.SENT.value, TransactionState.MINED.value)
LATEST = 10_000
"""Releases that the latency is taken from, the newest."""


class RequestMetrics:
    """Counts of the requests of one process, by route (never by path, which may name something)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "yundan_http_request_seconds",
            "Duration of requests",
            ("method", "route"),
            registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
        )
        self._answers = Counter(
            "yundan_http_answers", "Answers by status", ("route", "status"), registry=self.registry
        )

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request was answered."""
        known = method if method in {"GET", "POST", "PATCH", "PUT", "DELETE", "HEAD"} else "OTHER"
        self._seconds.labels(known, route).observe(seconds)
        self._answers.labels(route, str(status)).inc()


class Business(Collector):
    """The business in one database session.

    Args:
        session: to read with.
        clock: the machine's.
    """

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    def collect(self) -> Iterable[Metric]:
        """Every figure, read now."""
        yield self._trips()
        yield self._release_latency()
        yield from self._outbox()
        yield self._differences()
        yield self._block()

    def _trips(self) -> Metric:
        family = GaugeMetricFamily("yundan_trips", "Trips by stage", labels=["stage"])
        query = select(col(TripRow.state), sa.func.count()).group_by(col(TripRow.state))
        counted = {int(state): int(count) for state, count in self._session.exec(query)}
        for state in TripState:
            family.add_metric([state.name.lower()], counted.get(state.value, 0))
        return family

    def _release_latency(self) -> Metric:
        query = (
            select(col(TripRow.confirmed_at), col(AdvanceRow.released_at))
            .where(col(AdvanceRow.trip) == col(TripRow.trip_id))
            .where(col(AdvanceRow.released_at).is_not(None))
            .where(col(TripRow.confirmed_at).is_not(None))
            .order_by(col(AdvanceRow.released_at).desc())
            .limit(LATEST)
        )
        waits = [
            max(0.0, (released - confirmed).total_seconds())
            for confirmed, released in self._session.exec(query)
            if released is not None and confirmed is not None
        ]
        buckets = [(str(limit), float(sum(w <= limit for w in waits))) for limit in BUCKETS_S]
        family = HistogramMetricFamily(
            "yundan_release_seconds", "From the consignee's receipt to the release of the advance"
        )
        family.add_metric([], [*buckets, ("+Inf", float(len(waits)))], sum_value=sum(waits))
        return family

    def _outbox(self) -> Iterable[Metric]:
        depth = GaugeMetricFamily("yundan_outbox", "Outgoing calls by state", labels=["state"])
        query = (
            select(col(OutgoingTransactionRow.state), sa.func.count())
            .where(col(OutgoingTransactionRow.state).in_(WAITING))
            .group_by(col(OutgoingTransactionRow.state))
        )
        counted = {state: int(count) for state, count in self._session.exec(query)}
        for state in WAITING:
            depth.add_metric([state], counted.get(state, 0))
        yield depth
        oldest = self._session.exec(
            select(sa.func.min(col(OutgoingTransactionRow.queued_at))).where(
                col(OutgoingTransactionRow.state).in_(WAITING)
            )
        ).one()
        age = (self._clock.now() - oldest).total_seconds() if isinstance(oldest, dt.datetime) else 0
        yield GaugeMetricFamily(
            "yundan_outbox_oldest_seconds", "Age of the oldest call that is not final", value=age
        )

    def _differences(self) -> Metric:
        query = (
            select(sa.func.count())
            .select_from(DifferenceRow)
            .where(col(DifferenceRow.closed_at).is_(None))
        )
        return GaugeMetricFamily(
            "yundan_open_differences",
            "Differences between chain, books and bank that nobody has closed",
            value=float(self._session.exec(query).one()),
        )

    def _block(self) -> Metric:
        query = select(sa.func.max(col(BlockRow.number))).where(col(BlockRow.is_handled))
        return GaugeMetricFamily(
            "yundan_handled_block",
            "The last block whose events were handled",
            value=float(self._session.exec(query).one() or 0),
        )


def exposition(session: Session, clock: Clock, requests: RequestMetrics) -> bytes:
    """Everything in Prometheus's text form."""
    registry = CollectorRegistry()
    registry.register(Business(session, clock))
    return generate_latest(registry) + generate_latest(requests.registry)
