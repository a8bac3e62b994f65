"""The sandbox bank's books in SQLite: accounts, payments, bookings, notices, faults.

Every request is one transaction that begins by booking what has fallen due. Money only moves between
accounts: what came from other banks stands against OUTSIDE, what was accepted and is not booked yet in
CLEARING, and all balances together are always zero.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from chain.clock import BEIJING_OFFSET_S, beijing_day, require_utc
from chain.money import fen
from chain.storage import Storage
from deploy.bank import tables
from deploy.bank.errors import BankAccountError, SequenceReusedError, UnknownPaymentError
from deploy.bank.faults import Fault, FaultKind
from finance.accrual import date_of, day_number
from finance.iso20022 import (
    BankAccount,
    BankEntry,
    Notice,
    PaymentOrder,
    PaymentStatus,
    write_notice,
    write_status,
)
from finance.statements import Statement, write_statement

if TYPE_CHECKING:
    from pathlib import Path

    from chain.clock import Clock


class BankStore:
    """The bank's books and its rules. Every public method is one transaction.

    Args:
        path: the SQLite file.
        machine: the machine's clock; the bank's own time is it plus an offset that only grows.
    """

    def __init__(self, path: Path, machine: Clock) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._storage = Storage(f"sqlite:///{path}")
        self._machine = machine
        tables.META.create_all(self._storage.engine)
        with self._storage.write() as session:
            books = session.connection()
            for number in (tables.OUTSIDE, tables.CLEARING):
                if _find(books, tables.accounts, "number", number) is None:
                    books.execute(
                        tables.accounts.insert().values(
                            number=number, bank="", holder=number, balance_fen=0, inside=True
                        )
                    )
            if _find(books, tables.clock, "id", 1) is None:
                books.execute(tables.clock.insert().values(id=1, offset_s=0))

    def close(self) -> None:
        """Gives the file back."""
        self._storage.close()

    # -- time -------------------------------------------------------------------------------------

    def set_clock(self, at: dt.datetime, *, anyway: bool = False) -> dt.datetime:
        """Moves the bank's time to an instant, forward only; gives the time it is then.

        Args:
            at: the instant.
            anyway: also back, which a new bank may do before its first booking.
        """
        with self._storage.write() as session:
            books = session.connection()
            wanted = int((require_utc(at) - self._machine.now()).total_seconds())
            row = _get(books, tables.clock, "id", 1)
            fresh = (
                books.execute(sa.select(sa.func.count()).select_from(tables.entries)).scalar() == 0
            )
            if wanted > row.offset_s or (anyway and fresh):
                books.execute(tables.clock.update().values(offset_s=wanted))
            self._book_due(books)
            return self._now(books)

    def _now(self, books: sa.Connection) -> dt.datetime:
        offset = _get(books, tables.clock, "id", 1).offset_s
        return (self._machine.now() + dt.timedelta(seconds=offset)).replace(microsecond=0)

    # -- accounts ---------------------------------------------------------------------------------

    def open_account(self, account: BankAccount, opening_fen: int = 0) -> None:
        """Opens an account with money from outside; the same account again changes nothing.

        Raises:
            BankAccountError: the number is another holder's.
        """
        opening = fen(opening_fen, field="opening_fen")
        with self._storage.write() as session:
            books = session.connection()
            known = _find(books, tables.accounts, "number", account.number)
            if known is not None:
                if (known.holder, known.bank) != (account.holder, account.bank):
                    raise BankAccountError("the number is taken by another holder", field="number")
                return
            books.execute(
                tables.accounts.insert().values(
                    number=account.number, bank=account.bank, holder=account.holder, balance_fen=0
                )
            )
            if opening:
                _shift(books, tables.OUTSIDE, account.number, opening)

    def close_account(self, number: str) -> None:
        """Closes an account: payments to it are rejected from now on.

        Raises:
            BankAccountError: there is none.
        """
        with self._storage.write() as session:
            books = session.connection()
            _customer(books, number)
            books.execute(
                tables.accounts.update()
                .where(tables.accounts.c.number == number)
                .values(closed=True)
            )

    def balances(self) -> dict[str, int]:
        """Every account's balance, tables.OUTSIDE and tables.CLEARING included; together they are zero."""
        with self._storage.write() as session:
            books = session.connection()
            self._book_due(books)
            rows = books.execute(sa.select(tables.accounts.c.number, tables.accounts.c.balance_fen))
            return {row.number: row.balance_fen for row in rows}

    # -- payments ---------------------------------------------------------------------------------

    def take_order(self, order: PaymentOrder) -> bytes:
        """Takes an order once; the same again gets the same payment's status as it is now.

        Raises:
            SequenceReusedError: the end-to-end id was used for something else.
        """
        with self._storage.write() as session:
            books = session.connection()
            self._book_due(books)
            content = _order_content(order)
            known = _find(books, tables.payments, "end_to_end_id", order.end_to_end_id)
            if known is None:
                self._add_payment(books, order, content)
                self._book_due(books)
            elif known.content != content:
                raise SequenceReusedError(
                    "the end-to-end id was used for another payment", field="EndToEndId"
                )
            return self._status(books, order.end_to_end_id)

    def find_status(self, end_to_end_id: str) -> bytes:
        """A payment's status (pain.002).

        Raises:
            UnknownPaymentError: the bank has never heard of it.
        """
        with self._storage.write() as session:
            books = session.connection()
            self._book_due(books)
            return self._status(books, end_to_end_id)

    def _add_payment(self, books: sa.Connection, order: PaymentOrder, content: str) -> None:
        now = self._now(books)
        fate: dict[str, Any] = {
            fault.kind: {"delta_fen": fault.delta_fen, "reason": fault.reason}
            for kind in (
                FaultKind.REJECT,
                FaultKind.REJECT_LATER,
                FaultKind.WRONG_AMOUNT,
                FaultKind.DUPLICATE_NOTICE,
            )
            if (fault := self._use_fault(books, kind, order.payee.number)) is not None
        }
        delay = self._use_fault(books, FaultKind.DELAY, order.payee.number)
        reason, text = _refusal(books, order)
        if FaultKind.REJECT in fate:
            reason, text = fate[FaultKind.REJECT]["reason"] or "NARR", "rejected on demand"
        values = {
            "end_to_end_id": order.end_to_end_id,
            "content": content,
            "payer": order.payer.number,
            "payee": order.payee.number,
            "amount_fen": order.amount_fen,
            "remittance": order.remittance,
            "value_day": max(day_number(order.execution_day), beijing_day(now)),
            "status": "RJCT" if reason else "ACSP",
            "reason": reason,
            "text": text,
            "received_s": int(now.timestamp()),
            "books_s": int(now.timestamp()) + (0 if delay is None else delay.seconds),
            "fate": fate,
        }
        books.execute(tables.payments.insert().values(**values))
        if not reason:
            _shift(books, order.payer.number, tables.CLEARING, order.amount_fen)

    def _status(self, books: sa.Connection, end_to_end_id: str) -> bytes:
        payment = _find(books, tables.payments, "end_to_end_id", end_to_end_id)
        if payment is None:
            raise UnknownPaymentError(field="end_to_end_id", given=end_to_end_id)
        return write_status(
            PaymentStatus(
                message_id=f"S{payment.received_s}-{payment.status}",
                end_to_end_id=end_to_end_id,
                code=payment.status,
                at=self._now(books),
                reason=payment.reason,
                text=payment.text,
                amount_fen=payment.amount_fen,
                bank_reference=payment.reference,
            )
        )

    # -- booking ----------------------------------------------------------------------------------

    def _book_due(self, books: sa.Connection) -> None:
        now = int(self._now(books).timestamp())
        due = books.execute(
            tables.payments.select()
            .where(tables.payments.c.status == "ACSP", tables.payments.c.books_s <= now)
            .order_by(tables.payments.c.received_s, tables.payments.c.end_to_end_id)
        ).all()
        for payment in due:
            self._book(books, payment)

    def _book(self, books: sa.Connection, payment: Any) -> None:
        fate = payment.fate
        payee = _get(books, tables.accounts, "number", payment.payee)
        late: Any = fate.get(FaultKind.REJECT_LATER)
        if late is not None or payee.closed:
            _shift(books, tables.CLEARING, payment.payer, payment.amount_fen)
            why = (late and late["reason"]) or "AC04"
            _set(books, payment, status="RJCT", reason=why, text="returned before booking")
            return
        _shift(books, tables.CLEARING, payment.payer, payment.amount_fen)
        booked = payment.amount_fen
        wrong = fate.get(FaultKind.WRONG_AMOUNT)
        if wrong is not None:
            room = _get(books, tables.accounts, "number", payment.payer).balance_fen
            booked = min(max(1, booked + wrong["delta_fen"]), room)
        copies = 1 + (FaultKind.DUPLICATE_NOTICE in fate)
        reference = self._post(books, payment, booked, copies=copies)
        _set(books, payment, status="ACSC", booked_fen=booked, reference=reference)

    def _post(self, books: sa.Connection, payment: Any, amount: int, *, copies: int = 1) -> str:
        """Moves a payment's money and tells both sides; gives the payer's booking reference."""
        payer = _get(books, tables.accounts, "number", payment.payer)
        payee = _get(books, tables.accounts, "number", payment.payee)
        _shift(books, payer.number, payee.number, amount)
        said = _Words(payment.end_to_end_id, payment.remittance, payment.value_day)
        reference = self._enter(books, payer.number, -amount, payee, said, copies=copies)
        self._enter(books, payee.number, amount, payer, said)
        return reference

    def _enter(
        self,
        books: sa.Connection,
        account: str,
        amount: int,
        other: Any,
        said: _Words,
        *,
        copies: int = 1,
    ) -> str:
        now = self._now(books)
        done = books.execute(
            tables.entries.insert().values(
                account=account,
                amount_fen=amount,
                end_to_end_id=said.end_to_end_id,
                remittance=said.remittance,
                other_name=other.holder,
                other_account=other.number,
                value_day=said.value_day,
                booked_s=int(now.timestamp()),
                is_reversal=said.is_reversal,
            )
        )
        assert done.inserted_primary_key is not None
        row = _get(books, tables.entries, "id", done.inserted_primary_key[0])
        entry = _told(row)
        reference = entry.reference
        message = write_notice(Notice(f"N{reference}", now, (entry,))).decode()
        for _ in range(copies):
            books.execute(tables.notices.insert().values(account=account, message=message))
        return reference

    def correct(self, end_to_end_id: str) -> None:
        """Takes a wrong booking back and books the right amount.

        Raises:
            UnknownPaymentError: there is no such wrong booking.
        """
        with self._storage.write() as session:
            books = session.connection()
            payment = _find(books, tables.payments, "end_to_end_id", end_to_end_id)
            if payment is None or payment.booked_fen in (None, payment.amount_fen):
                raise UnknownPaymentError("no payment was booked with another amount")
            self._take_back(books, payment, is_reversal=True)
            reference = self._post(books, payment, payment.amount_fen)
            _set(books, payment, booked_fen=payment.amount_fen, reference=reference)

    def send_back(self, end_to_end_id: str) -> None:
        """The payee's bank returns a booked payment.

        Raises:
            UnknownPaymentError: no such payment was booked.
            BankAccountError: the payee has spent it.
        """
        with self._storage.write() as session:
            books = session.connection()
            payment = _find(books, tables.payments, "end_to_end_id", end_to_end_id)
            if payment is None or payment.status != "ACSC" or not payment.booked_fen:
                raise UnknownPaymentError("no such payment was booked")
            self._take_back(books, payment, is_reversal=False)
            _set(books, payment, booked_fen=0)

    def _take_back(self, books: sa.Connection, payment: Any, *, is_reversal: bool) -> None:
        payer = _get(books, tables.accounts, "number", payment.payer)
        payee = _get(books, tables.accounts, "number", payment.payee)
        if payee.balance_fen < payment.booked_fen:
            raise BankAccountError("the payee has spent it", field="end_to_end_id")
        _shift(books, payee.number, payer.number, payment.booked_fen)
        day = max(payment.value_day, beijing_day(self._now(books)))
        said = _Words(payment.end_to_end_id, payment.remittance, day, is_reversal)
        self._enter(books, payer.number, payment.booked_fen, payee, said)
        self._enter(books, payee.number, -payment.booked_fen, payer, said)

    # -- money coming in --------------------------------------------------------------------------

    def deposit(
        self,
        *,
        key: str,
        account: str,
        amount_fen: int,
        remittance: str,
        payer_name: str,
        payer_account: str = "",
    ) -> str:
        """Money paid into an account, from an account here or from outside; gives its reference.

        Args:
            key: the same key again is the same deposit.
            account: where it goes.
            amount_fen: at least one fen.
            remittance: what the payer wrote; a payment reference makes it known.
            payer_name: who pays.
            payer_account: his account here, if he has one.

        Raises:
            BankAccountError: an account does not exist, is closed, or does not hold enough.
            SequenceReusedError: the key was used for another deposit.
        """
        amount = fen(amount_fen, field="amount_fen")
        if not amount:
            raise BankAccountError("a deposit is at least one fen", field="amount_fen")
        content = _hash([account, amount, remittance, payer_name, payer_account])
        with self._storage.write() as session:
            books = session.connection()
            self._book_due(books)
            known = _find(books, tables.deposits, "key", key)
            if known is not None:
                if known.content != content:
                    raise SequenceReusedError("the key was used for another deposit", field="key")
                return str(known.reference)
            _customer(books, account)
            source = tables.OUTSIDE
            if payer_account:
                if _customer(books, payer_account).balance_fen < amount:
                    raise BankAccountError("the payer's account does not hold as much")
                source = payer_account
            _shift(books, source, account, amount)
            payer = _Other(payer_name, payer_account or "0")
            said = _Words("", remittance, beijing_day(self._now(books)))
            reference = self._enter(books, account, amount, payer, said)
            if payer_account:
                receiver = _get(books, tables.accounts, "number", account)
                self._enter(books, payer_account, -amount, receiver, said)
            books.execute(
                tables.deposits.insert().values(key=key, content=content, reference=reference)
            )
            return reference

    # -- notices and faults -----------------------------------------------------------------------

    def list_notices(self, account: str, after: int, limit: int) -> list[tuple[int, str]]:
        """Notices of an account after a place, oldest first."""
        with self._storage.write() as session:
            books = session.connection()
            self._book_due(books)
            rows = books.execute(
                tables.notices.select()
                .where(tables.notices.c.account == account, tables.notices.c.cursor > after)
                .order_by(tables.notices.c.cursor)
                .limit(limit)
            )
            return [(row.cursor, row.message) for row in rows]

    def find_statement(self, account: str, day: int) -> bytes:
        """The statement (camt.053) of an account on a Beijing day that is over.

        Raises:
            BankAccountError: no such account, or the day is not over yet.
        """
        with self._storage.write() as session:
            books = session.connection()
            self._book_due(books)
            held = _find(books, tables.accounts, "number", account)
            if held is None or held.inside:
                raise BankAccountError("there is no such account", field="account")
            if day >= beijing_day(self._now(books)):
                raise BankAccountError("the day is not over yet", field="day")
            first = day * 86_400 - BEIJING_OFFSET_S
            rows = books.execute(
                tables.entries.select()
                .where(tables.entries.c.account == account, tables.entries.c.booked_s >= first)
                .order_by(tables.entries.c.id)
            ).all()
            of_day = [row for row in rows if row.booked_s < first + 86_400]
            closing = held.balance_fen - sum(
                row.amount_fen for row in rows if row.booked_s >= first + 86_400
            )
            return write_statement(
                Statement(
                    message_id=f"S{account[-16:]}-{day}",
                    created_at=dt.datetime.fromtimestamp(first + 86_400, dt.UTC),
                    account=account,
                    day=date_of(day),
                    opening_fen=closing - sum(row.amount_fen for row in of_day),
                    closing_fen=closing,
                    entries=tuple(_told(row) for row in of_day),
                )
            )

    def add_fault(self, fault: Fault) -> None:
        """Lets something go wrong, a number of times."""
        values = {name: getattr(fault, name) for name in Fault.__slots__}
        with self._storage.write() as session:
            session.connection().execute(tables.faults.insert().values(**values))

    def use_fault(self, kind: FaultKind, account: str = "") -> Fault | None:
        """The next fault of a kind, used up by being asked for; None if there is none."""
        with self._storage.write() as session:
            return self._use_fault(session.connection(), kind, account)

    def _use_fault(self, books: sa.Connection, kind: FaultKind, account: str) -> Fault | None:
        row = books.execute(
            tables.faults.select()
            .where(
                tables.faults.c.kind == kind.value,
                tables.faults.c.times > 0,
                tables.faults.c.account.in_(["", account]),
            )
            .order_by(tables.faults.c.id)
        ).first()
        if row is None:
            return None
        books.execute(
            tables.faults.update()
            .where(tables.faults.c.id == row.id)
            .values(times=tables.faults.c.times - 1)
        )
        return Fault(FaultKind(row.kind), row.account, 1, row.seconds, row.delta_fen, row.reason)


def _told(row: Any) -> BankEntry:
    return BankEntry(
        reference=f"BK{row.id:014d}",
        account=row.account,
        amount_fen=abs(row.amount_fen),
        is_credit=row.amount_fen > 0,
        value_day=date_of(row.value_day),
        booked_at=dt.datetime.fromtimestamp(row.booked_s, dt.UTC),
        end_to_end_id=row.end_to_end_id,
        remittance=row.remittance,
        is_reversal=bool(row.is_reversal),
        other_name=row.other_name,
        other_account=row.other_account,
    )


@dataclass(frozen=True, slots=True)
class _Other:
    holder: str
    number: str


@dataclass(frozen=True, slots=True)
class _Words:
    """What both sides of a booking are told."""

    end_to_end_id: str
    remittance: str
    value_day: int
    is_reversal: bool = False


def _refusal(books: sa.Connection, order: PaymentOrder) -> tuple[str, str]:
    """Why an order is rejected (ExternalStatusReason1Code and words); empty if it is not."""
    payer = _find(books, tables.accounts, "number", order.payer.number)
    payee = _find(books, tables.accounts, "number", order.payee.number)
    if payer is None or payer.inside or payer.holder != order.payer.holder:
        return "AC02", "the payer's account is not known"
    if payee is None or payee.inside or payee.bank != order.payee.bank:
        return "AC03", "the payee's account does not exist"
    if payee.closed:
        return "AC04", "the payee's account is closed"
    if payee.holder != order.payee.holder:
        return "BE01", "the account is held in another name"
    if payer.number == payee.number:
        return "AC03", "payer and payee are the same account"
    if payer.closed or payer.balance_fen < order.amount_fen:
        return "AM04", "the payer's account does not hold as much"
    return "", ""


def _shift(books: sa.Connection, source: str, target: str, amount: int) -> None:
    """The one way a balance changes."""
    balance = tables.accounts.c.balance_fen
    for number, change in ((source, -amount), (target, amount)):
        done = books.execute(
            tables.accounts.update()
            .where(tables.accounts.c.number == number)
            .values(balance_fen=balance + change)
        )
        assert done.rowcount == 1


def _customer(books: sa.Connection, number: str) -> Any:
    row = _find(books, tables.accounts, "number", number)
    if row is None or row.inside or row.closed:
        raise BankAccountError("there is no such open account", field="account")
    return row


def _find(books: sa.Connection, table: sa.Table, column: str, value: object) -> Any:
    return books.execute(table.select().where(table.c[column] == value)).first()


def _get(books: sa.Connection, table: sa.Table, column: str, value: object) -> Any:
    return books.execute(table.select().where(table.c[column] == value)).one()


def _set(books: sa.Connection, payment: Any, **values: Any) -> None:
    chosen = tables.payments.c.end_to_end_id == payment.end_to_end_id
    books.execute(tables.payments.update().where(chosen).values(**values))


def _order_content(order: PaymentOrder) -> str:
    """What makes two orders the same payment; when they were written does not."""
    return _hash(
        [
            [order.payer.holder, order.payer.number, order.payer.bank],
            [order.payee.holder, order.payee.number, order.payee.bank],
            order.amount_fen,
            order.remittance,
            order.uetr,
        ]
    )


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()
