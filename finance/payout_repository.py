"""Payouts, account book, bank entries and questions: rows to values and back, in a session that is given."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlmodel import col, select

from chain.bindings.structs import PayoutRedirect
from chain.clock import BEIJING_OFFSET_S
from chain.ids import Address, Hash32, PartyId
from chain.paging import behind
from chain.storage import insert_later
from finance.payout_accounts import PayIn, PayoutAccount, Redirect, Relation
from finance.payout_errors import PayoutStateError
from finance.payout_ports import EntryState, HeldEntry, HeldStatement
from finance.payouts import BLOCKING, Answer, Leg, Payout, PayoutState, Question, QuestionKind
from finance.rows import PAGE, table_of
from finance.tables import (
    BankCursorRow,
    BankEntryRow,
    BankStatementRow,
    PayInRow,
    PayoutAccountRow,
    PayoutAnswerRow,
    PayoutLegRow,
    PayoutRedirectRow,
    PayoutRow,
    QuestionRow,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sqlmodel import Session

IN_AT_ONCE: Final = 500
"""Values of one IN list."""

_PAYOUT: Final = tuple(one.name for one in fields(Payout))
_LEG: Final = tuple(one.name for one in fields(Leg))
_ANSWER: Final = tuple(one.name for one in fields(Answer))
_ENTRY: Final = tuple(one.name for one in fields(HeldEntry))
_STATEMENT: Final = tuple(one.name for one in fields(HeldStatement))


class SqlPayoutDesk:
    """``finance.payout_ports.PayoutDesk`` on SQLite and PostgreSQL; one object serves one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # -- payouts ----------------------------------------------------------------------------------

    def add_payout(self, payout: Payout) -> None:
        """A new payout; one that is known changes nothing."""
        insert_later(self._session, PayoutRow, _payout_values(payout), "payout")

    def find_payout(self, payout: Hash32) -> Payout | None:
        """A payout."""
        row = self._session.get(PayoutRow, payout, populate_existing=True)
        return None if row is None else _payout(row)

    def save_payout(self, payout: Payout, *, before: PayoutState) -> None:
        """Writes a payout that was in ``before``; who comes second is told so.

        Raises:
            PayoutStateError: somebody else has moved it meanwhile.
        """
        values = _payout_values(payout)
        values.pop("payout")
        done = self._session.exec(
            sa.update(PayoutRow)
            .where(col(PayoutRow.payout) == payout.payout, col(PayoutRow.state) == before.value)
            .values(**values)
        )
        if done.rowcount != 1:
            raise PayoutStateError(
                "the payout was moved by somebody else; look again",
                payout=payout.payout,
                expected=before.value,
                wanted=payout.state.value,
            )

    def list_payouts(
        self,
        *,
        states: Collection[PayoutState] | None = None,
        party: PartyId | None = None,
        asked_before: dt.datetime | None = None,
        after: Payout | None = None,
        limit: int | None = None,
    ) -> list[Payout]:
        """Payouts that fit every filter, oldest first; with ``asked_before`` the longest unasked first."""
        query = select(PayoutRow)
        if states is not None:
            query = query.where(col(PayoutRow.state).in_([state.value for state in states]))
        if party is not None:
            query = query.where(PayoutRow.party == str(party))
        if asked_before is not None:
            asked = col(PayoutRow.asked_wall)
            query = query.where(sa.or_(asked.is_(None), asked <= asked_before))
            query = query.order_by(asked.asc().nulls_first())  # no silent one holds up the others
        place = None if after is None else (after.queued_at, after.payout)
        query = behind(query, (col(PayoutRow.queued_at), col(PayoutRow.payout)), place)
        return [_payout(row) for row in self._session.exec(query.limit(limit))]

    def find_payouts(self, payouts: Collection[Hash32]) -> dict[Hash32, Payout]:
        """Payouts by id, a few at once."""
        query = select(PayoutRow).where(col(PayoutRow.payout).in_(payouts))
        return {Hash32(row.payout): _payout(row) for row in self._session.exec(query)}

    def add_leg(self, leg: Leg) -> None:
        """A new leg; the database refuses a second one of the same number or sequence."""
        self._session.add(PayoutLegRow(**{name: getattr(leg, name) for name in _LEG}))
        self._session.flush()

    def find_leg(self, end_to_end_id: str) -> Leg | None:
        """The leg that the bank knows by an id."""
        row = self._session.exec(
            select(PayoutLegRow).where(PayoutLegRow.end_to_end_id == end_to_end_id)
        ).first()
        return None if row is None else _leg(row)

    def list_legs(self, payout: Hash32) -> list[Leg]:
        """The legs of a payout, in order."""
        query = select(PayoutLegRow).where(PayoutLegRow.payout == payout)
        return [_leg(row) for row in self._session.exec(query.order_by(col(PayoutLegRow.leg)))]

    def add_answer(self, answer: Answer) -> None:
        """Keeps the bank's answer, unless one of that status is kept already."""
        if self._session.get(PayoutAnswerRow, (answer.sequence, answer.code)) is None:
            self._session.add(PayoutAnswerRow(**{name: getattr(answer, name) for name in _ANSWER}))
            self._session.flush()

    def list_answers(self, sequences: Collection[Hash32]) -> list[Answer]:
        """What the bank has answered to these legs, in the order heard."""
        query = select(PayoutAnswerRow).where(col(PayoutAnswerRow.sequence).in_(sequences))
        query = query.order_by(col(PayoutAnswerRow.heard_at), col(PayoutAnswerRow.code))
        return [
            Answer(Hash32(row.sequence), row.code, row.sealed, row.heard_at)
            for row in self._session.exec(query)
        ]

    # -- the account book -------------------------------------------------------------------------

    def add_account(self, account: PayoutAccount) -> bool:
        """A new account; False if it is known."""
        if self._session.get(PayoutAccountRow, account.account) is not None:
            return False
        self.save_account(account)
        return True

    def find_account(self, account: Hash32) -> PayoutAccount | None:
        """An account by its salted hash."""
        row = self._session.get(PayoutAccountRow, account)
        return None if row is None else _account(row)

    def list_accounts(self, party: PartyId) -> list[PayoutAccount]:
        """A party's accounts, oldest first."""
        query = select(PayoutAccountRow).where(PayoutAccountRow.party == str(party))
        query = query.order_by(col(PayoutAccountRow.recorded_at), col(PayoutAccountRow.account))
        return [_account(row) for row in self._session.exec(query)]

    def save_redirect(self, redirect: Redirect) -> None:
        """Writes a payee's wish for another account, new or known."""
        form = redirect.form
        self._session.merge(
            PayoutRedirectRow(
                payout=form.payout,
                party=str(redirect.party),
                account=form.account,
                expires=form.expires,
                salt=form.salt,
                payee_signature=redirect.payee_signature.hex(),
                asked_at=redirect.asked_at,
                approved_at=redirect.approved_at,
                approved_by=redirect.approved_by,
            )
        )
        self._session.flush()

    def find_redirect(self, payout: Hash32) -> Redirect | None:
        """The wish for a payout."""
        row = self._session.get(PayoutRedirectRow, payout, populate_existing=True)
        return None if row is None else _redirect(row)

    def list_redirects(self) -> list[Redirect]:
        """Wishes that nobody has agreed to, oldest first."""
        query = (
            select(PayoutRedirectRow)
            .where(col(PayoutRedirectRow.approved_at).is_(None))
            .order_by(col(PayoutRedirectRow.asked_at), col(PayoutRedirectRow.payout))
        )
        return [_redirect(row) for row in self._session.exec(query)]

    def save_account(self, account: PayoutAccount) -> None:
        """An account as it now is."""
        self._session.merge(
            PayoutAccountRow(
                account=account.account,
                party=str(account.party),
                relation=account.relation.value,
                consent=account.consent,
                vouched_by=account.vouched_by,
                record_key=account.key,
                sealed=account.sealed,
                consented_at=account.consented_at,
                recorded_at=account.recorded_at,
                forgotten_at=account.forgotten_at,
            )
        )
        self._session.flush()

    # -- the bank's bookings ----------------------------------------------------------------------

    def find_cursor(self, account: str) -> int:
        """The last notice taken for an account of ours; 0 before the first."""
        row = self._session.get(BankCursorRow, account)
        return 0 if row is None else row.cursor

    def save_cursor(self, account: str, cursor: int) -> None:
        """Moves on."""
        self._session.merge(BankCursorRow(account=account, cursor=cursor))
        self._session.flush()

    def add_entry(self, entry: HeldEntry) -> None:
        """A new booking; the database refuses a second one of the same reference."""
        self._session.add(BankEntryRow(**_entry_values(entry)))
        self._session.flush()

    def find_entry(self, reference: str) -> HeldEntry | None:
        """A booking by the bank's reference."""
        row = self._session.get(BankEntryRow, reference)
        return None if row is None else _entry(row)

    def find_minted(self, mint_reference: str) -> HeldEntry | None:
        """A booking by its reference on chain."""
        query = select(BankEntryRow).where(BankEntryRow.mint_reference == mint_reference)
        row = self._session.exec(query).first()
        return None if row is None else _entry(row)

    def save_entry(self, entry: HeldEntry) -> None:
        """A booking as it now is."""
        self._session.merge(BankEntryRow(**_entry_values(entry)))
        self._session.flush()

    def list_entries(
        self,
        *,
        states: Collection[EntryState] | None = None,
        end_to_end_id: str | None = None,
        limit: int | None = None,
    ) -> list[HeldEntry]:
        """Bookings that fit, oldest first."""
        query = select(BankEntryRow).order_by(
            col(BankEntryRow.booked_at), col(BankEntryRow.reference)
        )
        if states is not None:
            query = query.where(col(BankEntryRow.state).in_([state.value for state in states]))
        if end_to_end_id is not None:
            query = query.where(BankEntryRow.end_to_end_id == end_to_end_id)
        return [_entry(row) for row in self._session.exec(query.limit(limit))]

    def pass_entries_since(self, day: int) -> Iterator[HeldEntry]:
        """Bookings since a Beijing day, a batch of them in memory at a time."""
        first = dt.datetime.fromtimestamp(day * 86_400 - BEIJING_OFFSET_S, dt.UTC)
        table = table_of(BankEntryRow)
        query = sa.select(*(table.c[name] for name in _ENTRY)).where(table.c.booked_at >= first)
        at = _ENTRY.index("state")
        for row in self._session.execute(query.execution_options(yield_per=PAGE)):
            values = list(row)
            values[at] = EntryState(values[at])
            yield HeldEntry(*values)

    def add_statement(self, statement: HeldStatement) -> bool:
        """A new statement; False if the account's day is known."""
        if self.find_statement(statement.account, statement.day) is not None:
            return False
        values = {name: getattr(statement, name) for name in _STATEMENT}
        self._session.add(BankStatementRow(**values))
        self._session.flush()
        return True

    def find_statement(self, account: str, day: int) -> HeldStatement | None:
        """A day's statement."""
        row = self._session.get(BankStatementRow, (account, day))
        return None if row is None else _statement(row)

    def find_statement_of(self, message_id: str) -> HeldStatement | None:
        """A statement by the bank's message id."""
        query = select(BankStatementRow).where(BankStatementRow.message_id == message_id)
        row = self._session.exec(query).first()
        return None if row is None else _statement(row)

    def last_statement(self, account: str) -> HeldStatement | None:
        """The latest day's statement."""
        query = select(BankStatementRow).where(BankStatementRow.account == account)
        row = self._session.exec(query.order_by(col(BankStatementRow.day).desc())).first()
        return None if row is None else _statement(row)

    def add_pay_in(self, pay_in: PayIn) -> None:
        """A payment reference; known already changes nothing."""
        insert_later(self._session, PayInRow, asdict(pay_in), "reference")

    def find_pay_in(self, reference: str) -> PayIn | None:
        """Whose a payment reference is."""
        row = self._session.get(PayInRow, reference)
        return None if row is None else PayIn(row.reference, Address(row.target), row.about)

    # -- questions --------------------------------------------------------------------------------

    def raise_question(self, question: Question, *, at: dt.datetime) -> None:
        """Asks a person; asked before changes nothing."""
        key = (question.kind.value, question.subject)
        if self._session.get(QuestionRow, key) is not None:
            return
        self._session.add(
            QuestionRow(
                kind=question.kind.value,
                subject=question.subject,
                text=question.text[:500],
                payout=question.payout,
                raised_at=at,
            )
        )
        self._session.flush()

    def find_question(self, kind: str, subject: str) -> Question | None:
        """A question, open or closed."""
        row = self._session.get(QuestionRow, (kind, subject))
        return None if row is None else _question(row)

    def close_question(self, kind: str, subject: str, *, by: str, at: dt.datetime) -> None:
        """It is settled; closing again changes nothing."""
        row = self._session.get(QuestionRow, (kind, subject))
        if row is not None and row.closed_at is None:
            row.closed_at, row.closed_by = at, by
            self._session.add(row)
            self._session.flush()

    def list_questions(
        self,
        *,
        payouts: Collection[str] | None = None,
        after: Question | None = None,
        limit: int | None = None,
    ) -> list[Question]:
        """Open questions, about some payouts or about anything, oldest first."""
        query = select(QuestionRow).where(col(QuestionRow.closed_at).is_(None))
        if payouts is not None:
            query = query.where(col(QuestionRow.payout).in_(payouts))
        place = None if after is None else (after.raised_at, after.subject, after.kind.value)
        order = (col(QuestionRow.raised_at), col(QuestionRow.subject), col(QuestionRow.kind))
        query = behind(query, order, place)
        return [_question(row) for row in self._session.exec(query.limit(limit))]

    def blocked(self, payouts: Collection[Hash32]) -> set[Hash32]:
        """Those of these payouts with an open question that blocks."""
        found: set[Hash32] = set()
        ids = sorted(payouts)
        for start in range(0, len(ids), IN_AT_ONCE):
            query = select(QuestionRow.payout).where(
                col(QuestionRow.closed_at).is_(None),
                col(QuestionRow.payout).in_(ids[start : start + IN_AT_ONCE]),
                col(QuestionRow.kind).in_(sorted(kind.value for kind in BLOCKING)),
            )
            found.update(Hash32(payout) for payout in self._session.exec(query))
        return found


def _payout_values(payout: Payout) -> dict[str, Any]:
    values = {name: getattr(payout, name) for name in _PAYOUT}
    return values | {
        "party": str(payout.party),
        "state": payout.state.value,
        "reason": payout.reason[:35],
        "reason_text": payout.reason_text[:500],
    }


def _payout(row: PayoutRow) -> Payout:
    values = {name: getattr(row, name) for name in _PAYOUT}
    return Payout(
        **values | {"party": PartyId(int(row.party)), "state": PayoutState(row.state)},
    )


def _account(row: PayoutAccountRow) -> PayoutAccount:
    return PayoutAccount(
        account=Hash32(row.account),
        party=PartyId(int(row.party)),
        relation=Relation(row.relation),
        consent=row.consent,
        consented_at=row.consented_at,
        recorded_at=row.recorded_at,
        key=row.record_key,
        sealed=row.sealed,
        vouched_by=row.vouched_by,
        forgotten_at=row.forgotten_at,
    )


def _leg(row: PayoutLegRow) -> Leg:
    return Leg(**{name: getattr(row, name) for name in _LEG})


def _entry_values(entry: HeldEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in _ENTRY} | {"state": entry.state.value}


def _entry(row: BankEntryRow) -> HeldEntry:
    values = {name: getattr(row, name) for name in _ENTRY}
    return HeldEntry(**values | {"state": EntryState(row.state)})


def _statement(row: BankStatementRow) -> HeldStatement:
    return HeldStatement(**{name: getattr(row, name) for name in _STATEMENT})


def _question(row: QuestionRow) -> Question:
    return Question(
        kind=QuestionKind(row.kind),
        subject=row.subject,
        text=row.text,
        payout=row.payout,
        raised_at=row.raised_at,
        closed_at=row.closed_at,
        closed_by=row.closed_by,
    )


def _redirect(row: PayoutRedirectRow) -> Redirect:
    return Redirect(
        form=PayoutRedirect(Hash32(row.payout), Hash32(row.account), row.expires, Hash32(row.salt)),
        party=PartyId(int(row.party)),
        payee_signature=bytes.fromhex(row.payee_signature),
        asked_at=row.asked_at,
        approved_at=row.approved_at,
        approved_by=row.approved_by,
    )
