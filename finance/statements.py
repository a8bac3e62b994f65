"""A bank's statement of one day on one account (camt.053.001.08): opening, bookings, closing; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pyiso20022.camt import camt_053_001_08 as camt053
from xsdata.models.datatype import XmlDate

from finance.iso20022 import entries_of, entry_part
from finance.iso20022_wire import (
    CURRENCY,
    amount_of,
    day_of,
    instant_of,
    number_of,
    read_document,
    write_document,
    xml_time,
    yuan_of,
)
from finance.payout_errors import MessageInvalidError

if TYPE_CHECKING:
    import datetime as dt

    from finance.iso20022 import BankEntry

STATEMENT_NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"

_OPENING, _CLOSING = "OPBD", "CLBD"


@dataclass(frozen=True, slots=True)
class Statement:
    """One account on one Beijing day. Amounts in fen; a balance may not be negative.

    Attributes:
        message_id: the bank's, once for ever.
        entries: every booking of the day.
    """

    message_id: str
    created_at: dt.datetime
    account: str
    day: dt.date
    opening_fen: int
    closing_fen: int
    entries: tuple[BankEntry, ...]

    @property
    def moved_fen(self) -> int:
        """What the bookings come to, in less out."""
        return sum(
            one.amount_fen if one.is_credit else -one.amount_fen
            for one in self.entries
            if one.booked
        )


def write_statement(statement: Statement) -> bytes:
    """A statement as a camt.053.001.08 document.

    Raises:
        MessageInvalidError: a value does not fit the schema.
    """
    m: Any = camt053
    day = m.DateAndDateTime2Choice(dt=XmlDate.from_date(statement.day))

    def balance(code: str, amount_fen: int) -> Any:
        return m.CashBalance8(
            tp=m.BalanceType13(cd_or_prtry=m.BalanceType10Choice(cd=code)),
            amt=m.ActiveOrHistoricCurrencyAndAmount(value=yuan_of(amount_fen), ccy=CURRENCY),
            cdt_dbt_ind=m.CreditDebitCode.CRDT,
            dt=day,
        )

    document = m.Document(
        bk_to_cstmr_stmt=m.BankToCustomerStatementV08(
            grp_hdr=m.GroupHeader81(
                msg_id=statement.message_id, cre_dt_tm=xml_time(statement.created_at)
            ),
            stmt=[
                m.AccountStatement9(
                    id=statement.message_id,
                    acct=m.CashAccount39(
                        id=m.AccountIdentification4Choice(
                            othr=m.GenericAccountIdentification1(id=statement.account)
                        ),
                        ccy=CURRENCY,
                    ),
                    bal=[
                        balance(_OPENING, statement.opening_fen),
                        balance(_CLOSING, statement.closing_fen),
                    ],
                    ntry=[entry_part(m, entry) for entry in statement.entries],
                )
            ],
        )
    )
    return write_document(document, STATEMENT_NAMESPACE)


def read_statement(message: bytes) -> Statement:
    """The one statement in a camt.053.001.08 document.

    Raises:
        MessageInvalidError: broken or dangerous XML, against the schema, not exactly one statement, no
            opening or closing balance, or bookings that do not lead from one to the other.
    """
    report = read_document(message, camt053.Document, STATEMENT_NAMESPACE).bk_to_cstmr_stmt
    if len(report.stmt) != 1:
        raise MessageInvalidError("a message holds one statement", field="Stmt")
    told = report.stmt[0]
    account = number_of(told.acct)
    balances = {one.tp.cd_or_prtry.cd: one for one in told.bal}
    if not {_OPENING, _CLOSING} <= balances.keys():
        raise MessageInvalidError("a statement opens and closes with a balance", field="Bal")
    opening, closing = (_balance(balances[code]) for code in (_OPENING, _CLOSING))
    statement = Statement(
        message_id=report.grp_hdr.msg_id,
        created_at=instant_of(report.grp_hdr.cre_dt_tm, "CreDtTm"),
        account=account,
        day=day_of(balances[_CLOSING].dt, "Dt"),
        opening_fen=opening,
        closing_fen=closing,
        entries=tuple(entry for booked in told.ntry for entry in entries_of(account, booked)),
    )
    if opening + statement.moved_fen != closing:
        raise MessageInvalidError(
            "the bookings do not lead from the opening to the closing balance",
            field="Bal",
            opening_fen=opening,
            moved_fen=statement.moved_fen,
            closing_fen=closing,
        )
    return statement


def _balance(balance: Any) -> int:
    amount = amount_of(balance.amt, "Bal")
    return amount if balance.cdt_dbt_ind.value == "CRDT" else -amount
