"""What is done by the clock. Each job asks "what is due now", does it, and is harmless to run twice.

A job begins its own transactions; what it cannot do now it leaves for its next turn.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import structlog

from api import flow
from api.bootstrap import Container, Services
from api.bulk_runner import run_jobs
from api.trip_stories import note_on_board
from chain.bindings.enums import TripState
from chain.clock import beijing_day
from chain.errors import YundanError
from chain.ids import PartyId, TripId
from chain.ports import TransactionState
from chain.waybill import Stage
from finance.advance import AdvanceState
from finance.day_end import DayEnd
from finance.jobs import close_days as close_business_days
from finance.payout_jobs import run_payouts, take_statements
from finance.payout_service import PayoutService
from finance.reconciliation import BreakKind
from finance.reconciling import Reconciliation
from tracking.corridor import distance_mm, in_gate
from tracking.fix import Fix
from tracking.plan import Plan
from tracking.trip import Trip

_log = structlog.get_logger(__name__)

SILENCE_S = 600
"""A truck that has sent nothing for this long is judged on what there is."""

PARKED_S, PARKED_M = 90, 60
"""A truck in the gate of unloading that has been silent, or within so many metres, for so long has arrived."""

NEEDS_EVIDENCE = frozenset(AdvanceState) - {
    AdvanceState.REPAID,
    AdvanceState.DECLINED,
    AdvanceState.VOIDED,
}
"""States of an advance in which somebody may still ask how the truck drove; one asked for here counts too."""

ON_THE_ROAD = (TripState.LOADED, TripState.HELD)


@dataclass(frozen=True, slots=True)
class Job:
    """A job and how often it looks.

    Attributes:
        seconds: of the machine's clock between two looks.
    """

    name: str
    seconds: float
    run: Callable[[Container], object]


def commit_tracks(container: Container) -> int:
    """Commits the batches of fixes that are due, signed by this platform's attestor; how many."""
    party = PartyId(container.settings.attestor_party)
    if not party:
        return 0
    domain = container.client.domain("DeliveryRegistry")
    with container.write() as services:
        return services.tracking.commit_due(
            attestor=party, signer=container.attestor, domain=domain
        )


def watch_trips(container: Container) -> int:
    """Looks at what every trip under way does now and raises alerts; how many are new."""
    now = int(container.clock.now().timestamp())
    try:
        with container.read() as services:
            seen = container.watch.look(services.tracks, now=now)
        if not seen.alerts and not seen.progress:
            return 0
        with container.write() as services:
            fresh = services.tracking.note_seen(seen)
            for one in fresh:
                for use_case in flow.ON_ALERT:
                    use_case(services, one)
    except BaseException:
        container.watch.forget()  # what was not written down is found again
        raise
    return len(fresh)


def judge_arrived(container: Container) -> int:
    """Judges the trips that have ended and whose last batch stands on chain; how many."""
    with container.read() as services:
        due = [
            trip.trip
            for trip in services.tracks.list_trips(ON_THE_ROAD)
            if _has_ended(services, trip, container)
        ]
    judged = 0
    for trip in due:
        try:
            judged += _judge(container, trip)
        except YundanError as error:
            _log.warning("trip_not_judged", trip=trip, code=error.code, why=str(error))
    return judged


def _has_ended(services: Services, trip: Trip, container: Container) -> bool:
    """Whether a trip is to be judged now: receipt on chain, arrived, window over, or silent.

    Judged once, and again only if fixes came in after that and nothing has completed the delivery.
    """
    now = int(container.clock.now().timestamp())
    last = services.tracks.last_fixes([trip.terminal], trip.opens).get(trip.terminal)
    if last is None:
        return False
    held = services.records.find_trip(trip.trip)
    is_confirmed = held is not None and held.accepted is not None
    verdict = services.tracks.find_verdict(trip.trip)
    if verdict is not None:
        return is_confirmed and (last.received or 0) > verdict.judged
    silent = now - last.time
    return (
        is_confirmed
        or now > trip.closes
        or silent > SILENCE_S
        or _is_parked(services, trip, last, silent)
    )


def _is_parked(services: Services, trip: Trip, last: Fix, silent: int) -> bool:
    """Whether a truck stands in the gate of unloading."""
    gate = Plan.from_json(trip.plan).unloading
    place = np.array([last.lon_e6 / 1e6]), np.array([last.lat_e6 / 1e6])
    if not bool(in_gate(gate, *place)[0]):
        return False
    if silent >= PARKED_S:
        return True
    recent = services.tracks.list_fixes(trip.terminal, last.time - PARKED_S, last.time)
    lon = np.array([fix.lon_e6 / 1e6 for fix in recent])
    lat = np.array([fix.lat_e6 / 1e6 for fix in recent])
    away = distance_mm(lon, lat, place[0][0], place[1][0])
    return len(recent) > 2 and int(away.max()) <= PARKED_M * 1_000


def _judge(container: Container, trip: TripId) -> int:
    party = PartyId(container.settings.attestor_party)
    domain = container.client.domain("DeliveryRegistry")
    with container.write() as services:
        if party:
            for batch in services.tracking.close_batches(trip, finish=True):
                services.tracking.commit_batch(
                    batch, attestor=party, signer=container.attestor, domain=domain
                )
        if any(batch.committed is None for batch in services.tracks.list_batches(trip)):
            return 0  # its turn comes when the chain has them
        verdict = services.tracking.judge_trip(trip)
        note_on_board(services, [trip])
    _log.info("trip_judged", trip=trip, verdict=verdict.verdict)
    return 1


def tell_refusals(container: Container) -> int:
    """Tells waybills whose issue the chain has refused; how many."""
    told = 0
    with container.write() as services:
        for _, waybill in services.records.list_waybills(
            party=None, stage=Stage.SIGNED, before=None, limit=500
        ):
            sent = services.outbox.find(f"issue:{waybill.id}")
            if sent is not None and sent.state in {
                TransactionState.REVERTED,
                TransactionState.DROPPED,
            }:
                services.registry.on_issue_refused(waybill.id, sent.message or sent.error)
                told += 1
    return told


def reconcile(container: Container) -> int:
    """Compares chain, ledger, token supply and bank at the last handled block; how many differences."""
    with container.write() as services:
        block = container.find_handled_in(services.session)
        if block is None:
            return 0
        found = services.finance.reconcile(block)
        breaks = services.reconciliation.compare(block).breaks if container.house else ()
    for one in found:
        _log.error("books_differ", kind=one.kind, subject=one.subject)
    for broken in breaks:
        if broken.kind is not BreakKind.TIMING:
            _log.error("bank_differs", kind=broken.kind, key=broken.key, owner=broken.owner)
    return len(found) + len(breaks)


def close_days(container: Container) -> int:
    """Closes business dates that are over, a week of them a turn and lender; how many."""
    with container.read() as services:
        lenders = services.books.list_lenders()

    @contextlib.contextmanager
    def begin() -> Iterator[DayEnd]:
        with container.write() as services:
            yield services.day_end

    yesterday = beijing_day(container.clock.now()) - 1
    return sum(
        len(
            close_business_days(
                begin, container.find_last_block, lender=lender, until_day=yesterday, most=7
            )
        )
        for lender in lenders
    )


def approve_by_rules(container: Container) -> int:
    """Sends the approvals that lenders' rules cover by now; how many."""
    with container.read() as services:
        if not services.books.list_ruled(container.clock.now(), limit=1):
            return 0
    with container.write() as services:
        sent = services.finance.approve_by_rules()
    _log.info("approved_by_rule", sent=sent)
    return sent


def free_stale_holds(container: Container) -> int:
    """Gives back headroom held by requests that came to nothing; how many."""
    with container.write() as services:
        return services.finance.release_stale_holds()


def fill_boards(container: Container) -> int:
    """Puts trips on the boards that stood before there were any; how many."""
    after, noted = "", 0
    while True:
        with container.write() as services:
            page = services.records.list_trips(limit=500, after=after)
            missing = services.board.missing([trip.id for trip in page])
            note_on_board(services, missing)
        noted += len(missing)
        if len(page) < 500:
            return noted
        after = page[-1].id


def send_webhooks(container: Container) -> int:
    """Hands webhooks that are due to the sender's threads; how many."""
    return len(container.webhooks.send_due())


def carry_out_payouts(container: Container) -> int:
    """What the chain has queued goes to the bank, what the bank says comes in; how much was done.

    Where this process holds the custodian's keys, it also burns what the bank has paid and mints what came in.
    """
    bank = container.bank
    if bank is None:
        return 0

    @contextlib.contextmanager
    def begin() -> Iterator[PayoutService]:
        with container.write() as services:
            yield services.payouts

    @contextlib.contextmanager
    def begin_statements() -> Iterator[Reconciliation]:
        with container.write() as services:
            yield services.reconciliation

    done = run_payouts(begin, bank, container.wall, container.custodian)
    return done + take_statements(begin_statements, begin, bank, container.clock)


def carry_out(container: Container) -> int:
    """Carries out imports and exports that wait; how many."""
    return run_jobs(container)


def pack_raw(container: Container) -> int:
    """Packs the raw frames of past days by terminal; how many frames."""
    with container.write() as services:
        return services.tracking.pack_raw()


def prepare_days(container: Container) -> int:
    """Makes room for the positions of coming days (partitions of PostgreSQL); how many."""
    with container.write() as services:
        return services.tracking.prepare_days()


def forget_old(container: Container) -> int:
    """Forgets positions older than the setting says, except what a loan or a dispute may need; how many rows."""
    days = container.settings.keep_days
    if not days:
        return 0
    with container.write() as services:
        loans = services.books.list_advances(states=list(NEEDS_EVIDENCE))
        gone = services.tracking.forget(
            keep_days=days, protected=[TripId(loan.trip) for loan in loans]
        )
    if gone:
        _log.info("positions_forgotten", rows=gone, keep_days=days, protected=len(loans))
    return gone


def forget_stale(container: Container) -> int:
    """Deletes papers that nobody signed, and sessions and invitations long over; how many rows."""
    with container.write() as services:
        return (
            services.papers.forget_unsigned()
            + services.codes.forget_old()
            + services.answers.forget_secrets()
            + services.persons.forget_stale(container.settings.keep_stale_days)
        )


def watch_borrowers(container: Container) -> int:
    """Looks for early warnings and plans the day's contacts, lender by lender; how many are open."""
    with container.read() as services:
        lenders = services.books.list_lenders()
    open_ = 0
    for lender in lenders:
        with container.write() as services:
            open_ += len(services.credit_watch.look(lender))
            services.credit_watch.plan_contacts(lender)
    return open_


JOBS = (
    Job("watch trips", 1.0, watch_trips),
    Job("commit tracks", 1.0, commit_tracks),
    Job("judge arrived", 1.0, judge_arrived),
    Job("payouts", 1.0, carry_out_payouts),
    Job("tell refusals", 2.0, tell_refusals),
    Job("reconcile", 30.0, reconcile),
    Job("close days", 60.0, close_days),
    Job("send webhooks", 1.0, send_webhooks),
    Job("carry out jobs", 1.0, carry_out),
    Job("approve by rule", 1.0, approve_by_rules),
    Job("free stale holds", 60.0, free_stale_holds),
    Job("fill boards", 3600.0, fill_boards),
    Job("prepare days", 600.0, prepare_days),
    Job("watch borrowers", 600.0, watch_borrowers),
    Job("pack raw frames", 3600.0, pack_raw),
    Job("forget old positions", 3600.0, forget_old),
    Job("forget what is stale", 3600.0, forget_stale),
)
"""Every job of a worker."""
