"""Loans in a database without a chain: rows and entries as the handlers would have written them."""

from __future__ import annotations

import datetime as dt
import random

import sqlalchemy as sa

from chain.ids import AdvanceId, Hash32, LineId, PartyId, TripId, WaybillId
from finance.advance import AdvanceState, EventKind
from finance.audit import book_of
from finance.day_end import midnight_after
from finance.ledger import Booking, lines_of
from finance.records import LineRecord, LineState
from finance.repository import SqlBooks
from finance.tables import (
    AdvanceEventRow,
    AdvanceRow,
    JournalEntryRow,
    JournalLineRow,
)
from finance.terms import Terms

LENDER, FIRM = PartyId(7), PartyId(8)
DAY = 20_480
TERMS = Terms(
    rate_ppm=109_500,
    penalty_ppm=164_250,
    ceiling_ppm=240_000,
    fee_bps=10,
    tenor_days=10,
    grace_days=2,
)
LINE = LineId("0x" + "01" * 32)


def word(number):
    return "0x" + number.to_bytes(32, "big").hex()


def at(day, hours=12):
    """An instant of a Beijing day."""
    return midnight_after(day) - dt.timedelta(hours=24 - hours)


def open_line(storage):
    with storage.write() as session:
        SqlBooks(session).save_line(
            LineRecord(
                line=LINE,
                lender=LENDER,
                borrower=FIRM,
                state=LineState.OPEN,
                limit_fen=10**15,
                valid_until=at(DAY + 5_000),
                terms=TERMS,
                advance_bps=8_000,
                tolerance_bps=100,
                attestor=PartyId(3),
                gated=False,
                terms_hash=Hash32(word(5)),
                form={},
                submitted_at=at(DAY),
                opened_at=at(DAY),
            )
        )


def lend(storage, count, *, first_day=DAY, spread=1, seed=1, repaid=0):
    """Loans released over some days, with their events and disbursements; ``repaid`` of them closed."""
    chance = random.Random(seed)
    advances, events, heads, lines = [], [], [], []
    for number in range(count):
        advance = word(1_000_000 + number)
        principal = chance.randrange(100_000, 2_000_000)
        day = first_day + number % spread
        when = at(day)
        advances.append(
            {
                "advance": advance, "line": LINE, "lender": str(LENDER), "borrower": str(FIRM),
                "debtor": str(20 + number % 50), "waybill": word(number % 997),
                "trip": word(5_000_000 + number),
                "state": (AdvanceState.REPAID if number < repaid else AdvanceState.RELEASED).value,
                "principal_fen": principal, "held_fen": 0, "released_fen": principal,
                "outstanding_fen": 0 if number < repaid else principal, "start_day": day,
                "due_day": day + TERMS.tenor_days, "accrued_fee_fen": 0,
                "accrued_penalty_fen": 0, "accrued_interest_fen": 0, "decision": word(9),
                "fingerprint": "", "reason": "", "form": {}, "submitted_at": when,
                "released_at": when, "closed_at": when if number < repaid else None,
            }
        )  # fmt: skip
        for log, kind in enumerate(
            (EventKind.REQUESTED, EventKind.APPROVED, EventKind.RELEASED, EventKind.DRAWN)
        ):
            events.append(
                {
                    "id": f"{advance}:{log}", "advance": advance, "kind": kind.value, "at": when,
                    "known": when, "amount_fen": principal, "day": 0, "block_number": number,
                    "log_index": log, "target": "", "facts": {},
                }
            )  # fmt: skip
        entry = f"drawn:{advance}"
        heads.append(
            {
                "id": entry, "book": book_of(LENDER), "kind": "DISBURSEMENT", "day": day,
                "at": when, "known": when, "source": "", "reverses": "",
            }
        )  # fmt: skip
        lines += [
            {
                "entry": entry, "book": book_of(LENDER), "account": line.account,
                "amount_fen": line.amount, "about": line.about,
            }
            for line in lines_of(Booking.DISBURSEMENT, {"principal": principal}, about=advance)
        ]  # fmt: skip
    with storage.write() as session:
        for row, values in (
            (AdvanceRow, advances), (AdvanceEventRow, events), (JournalEntryRow, heads),
            (JournalLineRow, lines),
        ):  # fmt: skip
            session.execute(sa.insert(row.__table__), values)
    return [AdvanceId(one["advance"]) for one in advances]


def trip_of(number):
    return TripId(word(5_000_000 + number)), WaybillId(word(number % 997))
