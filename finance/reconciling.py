"""Use cases of reconciliation: the bank's statements taken, and chain, ledger and bank compared with one another.

Each method works in the caller's database transaction. What differs is kept with its class, owner and the day
it was first seen; the rules refuse new advances while one is older than T+2 business days.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from chain.clock import beijing_day
from finance.accrual import day_number
from finance.payout_errors import MessageInvalidError
from finance.payout_ports import EntryState, HeldStatement
from finance.reconciliation import Break, BreakKind, Compared, Movement, Side, compare
from finance.records import Found
from finance.statements import read_statement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chain.clock import Clock
    from chain.ports import BlockRef
    from finance.payout_ports import HeldEntry, PayoutDesk
    from finance.payout_service import PayoutService
    from finance.ports import Books, MoneyOnChain

SPAN_DAYS: Final = 40
"""Movements this far back are compared; what is older has been compared before."""

EDGE_DAYS: Final = 5
"""At the far end of the span one side's day may lie outside it: one-sided movements there say nothing."""

_ONE_SIDED: Final = frozenset(
    {BreakKind.MISSING_ON_CHAIN, BreakKind.MISSING_IN_LEDGER, BreakKind.MISSING_AT_BANK}
)


class Reconciliation:
    """Statements and the comparison of three sides. One object serves one database transaction.

    Args:
        desk: the bank's bookings and statements.
        books: the ledger, and where differences are kept.
        payouts: takes bookings that only a statement tells of.
        chain: what was minted and burned, asked of the chain itself.
        clock: the chain's time.
    """

    def __init__(
        self,
        *,
        desk: PayoutDesk,
        books: Books,
        payouts: PayoutService,
        chain: MoneyOnChain,
        clock: Clock,
    ) -> None:
        self._desk = desk
        self._books = books
        self._payouts = payouts
        self._chain = chain
        self._clock = clock

    # -- statements -------------------------------------------------------------------------------

    def next_statement_day(self) -> int:
        """The Beijing day whose statement comes next: after the last one, or yesterday."""
        last = self._desk.last_statement(self._payouts.house.number)
        return beijing_day(self._clock.now()) - 1 if last is None else last.day + 1

    def take_statement(self, message: bytes) -> HeldStatement:
        """Takes a day's statement (camt.053); bookings that no notice told of are booked now.

        The same statement again changes nothing.

        Raises:
            MessageInvalidError: unreadable, about another account, or a message id used for something else;
                nothing of it is taken.
        """
        statement = read_statement(message)
        content = hashlib.sha256(message).hexdigest()
        if statement.account != self._payouts.house.number:
            raise MessageInvalidError("a statement of an account that is not ours", field="Acct")
        day = day_number(statement.day)
        known = self._desk.find_statement_of(statement.message_id)
        known = known or self._desk.find_statement(statement.account, day)
        if known is not None:
            if known.content != content:
                raise MessageInvalidError(
                    "this message id or day came before with another content",
                    field="MsgId",
                    given=statement.message_id,
                )
            return known
        for entry in statement.entries:
            if entry.booked:
                self._payouts.take_booking(entry)
        held = HeldStatement(
            account=statement.account,
            day=day,
            message_id=statement.message_id,
            content=content,
            opening_fen=statement.opening_fen,
            closing_fen=statement.closing_fen,
            entries=len(statement.entries),
            taken_at=self._clock.now(),
            fault=self._fault_of(
                statement.opening_fen, day, {e.reference for e in statement.entries}
            ),
        )
        self._desk.add_statement(held)
        return held

    def _fault_of(self, opening_fen: int, day: int, told: set[str]) -> str:
        before = self._desk.last_statement(self._payouts.house.number)
        if before is not None and before.day == day - 1 and before.closing_fen != opening_fen:
            return f"opens at {opening_fen} fen, the day before closed at {before.closing_fen}"
        ours = {
            one.reference
            for one in self._desk.pass_entries_since(day)
            if beijing_day(one.booked_at) == day
        }
        unknown = sorted(ours - told)
        if unknown:
            return f"the bank told of {unknown[0]} and its statement does not"
        return ""

    # -- the comparison ---------------------------------------------------------------------------

    def compare(self, at: BlockRef) -> Compared:
        """Chain, ledger and bank, movement by movement, up to a block; what differs is kept with its age.

        Args:
            at: the last block whose events were handled.
        """
        today = beijing_day(at.at)
        since = today - SPAN_DAYS
        compared = compare(self._movements(at, since), today)
        breaks = [
            one
            for one in compared.breaks
            if not (one.kind in _ONE_SIDED and one.day < since + EDGE_DAYS)
        ]
        last = self._desk.last_statement(self._payouts.house.number)
        if last is not None and last.fault:
            breaks.append(Break(BreakKind.STATEMENT, last.message_id, last.day, bank_fen=0))
        self._books.record_differences(
            [
                Found(
                    kind=one.kind.value,
                    subject=one.key,
                    chain_fen=one.chain_fen or 0,
                    ledger_fen=one.ledger_fen or 0,
                    bank_fen=one.bank_fen,
                    owner=one.owner,
                    since_day=one.day,
                )
                for one in breaks
            ],
            of={kind.value for kind in BreakKind},
            day=today,
            now=self._clock.now(),
        )
        return Compared(compared.matched, compared.matched_fen, tuple(breaks))

    def _movements(self, at: BlockRef, since: int) -> Iterator[Movement]:
        keys: dict[str, str] = {}
        for moved in self._chain.fetch_money(at, since_day=since):
            keys[moved.source] = moved.key
            yield Movement(Side.CHAIN, moved.key, moved.amount_fen, moved.day)
        for source, amount, day in self._books.list_bank_lines(since):
            yield Movement(Side.LEDGER, keys.get(source, source), amount, day)
        for entry in self._desk.pass_entries_since(since):
            movement = _movement_of(entry)
            if movement is not None:
                yield movement


def _movement_of(entry: HeldEntry) -> Movement | None:
    """A booking as a movement; None where it and another have cancelled each other."""
    amount = entry.amount_fen if entry.is_credit else -entry.amount_fen
    day = beijing_day(entry.booked_at)
    match entry.state:
        case EntryState.REVERSED:
            return None
        case EntryState.PAID:
            return Movement(Side.BANK, entry.about, amount, day)
        case EntryState.MATCHED | EntryState.MINTED:
            return Movement(Side.BANK, entry.mint_reference, amount, day)
        case EntryState.SUSPENSE | EntryState.DISPUTED:
            return Movement(Side.BANK, entry.reference, amount, day, state=entry.state.value)
