"""What is done for payouts by the clock: every step asks what is due, and is harmless to run twice.

No transaction is open while the bank is spoken to. A process that dies anywhere in here leaves a payout
INSTRUCTED (its order never left) or UNKNOWN (only the bank knows): the next run sends, or asks.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from chain.clock import beijing_day
from chain.errors import YundanError
from finance.accrual import date_of
from finance.payout_errors import (
    BankRefusedError,
    BankUnavailableError,
    MessageInvalidError,
    PayoutStateError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from chain.clock import Clock
    from chain.ports import Domain, Signer
    from finance.payout_ports import Bank
    from finance.payout_service import PayoutService
    from finance.reconciling import Reconciliation

    Begin = Callable[[], AbstractContextManager[PayoutService]]
    """Begins a transaction with the use cases of payouts; it commits when the block ends well."""

_log = structlog.get_logger(__name__)

PATIENCE: Final = dt.timedelta(seconds=15)
"""How long after a payment was sent or asked about the bank is asked (again); machine time.

Longer than an order may be on the wire: a "never heard of it" must not be said of one still under way.
"""


@dataclass(frozen=True, slots=True)
class Custodian:
    """The two signers of the custodian and the domain they sign for (SettlementToken)."""

    first: Signer
    second: Signer
    domain: Domain


def instruct_payouts(begin: Begin) -> int:
    """Stores leg, sequence and order for what the chain has queued; how many."""
    with begin() as payouts:
        return payouts.instruct_due()


def send_payouts(begin: Begin, bank: Bank) -> int:
    """Hands stored orders to the bank and takes its answers; how many were answered.

    Stops at the first silence: what has left us is then UNKNOWN and asked about, never sent again blindly.
    """
    with begin() as payouts:
        due = payouts.list_to_send()
    answered = 0
    for sequence in due:
        try:
            with begin() as payouts:
                order = payouts.hand_over(sequence)
            if order is None:
                continue
            answer = bank.send_order(order)
        except BankUnavailableError as error:
            _log.warning("bank_silent", sequence=sequence, why=str(error))
            break
        except BankRefusedError as error:
            with begin() as payouts:
                payouts.take_refusal(sequence, str(error))
            continue
        except PayoutStateError:
            continue  # another worker has it
        answered += _take(begin, sequence, answer)
    return answered


def ask_bank(begin: Begin, bank: Bank, wall: Clock, patience: dt.timedelta = PATIENCE) -> int:
    """Asks the bank about payments it has not answered, or accepted and not booked; how many it knew."""
    with begin() as payouts:
        due = payouts.list_to_ask(before=wall.now() - patience)
    known = 0
    for sequence in due:
        try:
            answer = bank.fetch_status(sequence)
        except (BankUnavailableError, BankRefusedError) as error:
            _log.warning("bank_silent", sequence=sequence, why=str(error))
            _guarded(begin, partial(_note_asked, sequence))
            break
        if answer is None:
            _guarded(begin, partial(_take_silence, sequence))
            continue
        known += _take(begin, sequence, answer)
    return known


def take_notices(begin: Begin, bank: Bank) -> int:
    """Takes the bank's notices in its order, each with its place in one transaction; how many."""
    taken = 0
    while True:
        with begin() as payouts:
            account, after = payouts.house.number, payouts.cursor()
        page = bank.fetch_notices(account, after)
        for cursor, message in page.notices:
            try:
                with begin() as payouts:
                    payouts.take_notice(message, cursor)
            except MessageInvalidError as error:
                _log.error("bank_message_refused", cursor=cursor, why=str(error))
                with begin() as payouts:
                    payouts.refuse_message(message, str(error), cursor=cursor)
            taken += 1
        if not page.notices:
            return taken


def confirm_and_mint(begin: Begin, custodian: Custodian) -> int:
    """Signs and queues the custodian's word on what the bank has paid and received; how many."""
    with begin() as payouts:
        first, second, domain = custodian.first, custodian.second, custodian.domain
        confirmed = payouts.confirm_due(first=first, second=second, domain=domain)
        return confirmed + payouts.mint_due(first=first, second=second, domain=domain)


def take_statements(
    begin: Callable[[], AbstractContextManager[Reconciliation]],
    begin_payouts: Begin,
    bank: Bank,
    clock: Clock,
) -> int:
    """Takes the bank's statement of every day that is over, in order; how many.

    A statement that cannot be read asks a person and is asked for again: days are taken in order.
    """
    taken = 0
    while True:
        with begin() as reconciliation:
            day = reconciliation.next_statement_day()
        if day >= beijing_day(clock.now()):
            return taken
        with begin_payouts() as payouts:
            account = payouts.house.number
        try:
            message = bank.fetch_statement(account, date_of(day))
        except (BankUnavailableError, BankRefusedError) as error:
            _log.info("no_statement_yet", day=day, why=str(error))
            return taken
        try:
            with begin() as reconciliation:
                reconciliation.take_statement(message)
        except MessageInvalidError as error:
            _log.error("bank_message_refused", day=day, why=str(error))
            with begin_payouts() as payouts:
                payouts.refuse_message(message, str(error))
            return taken
        taken += 1


def run_payouts(
    begin: Begin,
    bank: Bank,
    wall: Clock,
    custodian: Custodian | None = None,
    patience: dt.timedelta = PATIENCE,
) -> int:
    """One round of everything, in order; how much was done. A silent bank ends the round's talk with it."""
    done = instruct_payouts(begin)
    try:
        done += send_payouts(begin, bank)
        done += ask_bank(begin, bank, wall, patience)
        done += take_notices(begin, bank)
    except (BankUnavailableError, BankRefusedError) as error:
        _log.warning("bank_silent", why=str(error))
    if custodian is not None:
        done += confirm_and_mint(begin, custodian)
    return done


def _take(begin: Begin, sequence: str, answer: bytes) -> bool:
    try:
        with begin() as payouts:
            payouts.take_answer(sequence, answer)
    except MessageInvalidError as error:
        _log.error("bank_message_refused", sequence=sequence, why=str(error))
        with begin() as payouts:
            payouts.refuse_message(answer, str(error))
            payouts.note_asked(sequence)
        return False
    except PayoutStateError as error:
        _log.info("payout_moved_meanwhile", sequence=sequence, why=str(error))
        return False
    return True


def _note_asked(sequence: str, payouts: PayoutService) -> None:
    payouts.note_asked(sequence)


def _take_silence(sequence: str, payouts: PayoutService) -> None:
    payouts.take_silence(sequence)


def _guarded(begin: Begin, work: Callable[[PayoutService], None]) -> None:
    try:
        with begin() as payouts:
            work(payouts)
    except YundanError as error:
        _log.info("payout_moved_meanwhile", code=error.code, why=str(error))
