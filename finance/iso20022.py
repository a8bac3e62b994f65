"""ISO 20022 messages to and from the bank: pain.001.001.09 out, pain.002.001.10 and camt.054.001.08 in.

Pure: values to bytes and back. Amounts are renminbi: whole fen to decimal text and back, exactly. The
profile: one payment an order; any number of entries a notice. Statements are in ``statements``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from pyiso20022.camt import camt_054_001_08 as camt054
from pyiso20022.pain import pain_001_001_09 as pain001
from pyiso20022.pain import pain_002_001_10 as pain002
from xsdata.models.datatype import XmlDate

from finance.iso20022_wire import (
    CURRENCY,
    MOST_BYTES,
    BankAccount,
    account_part,
    agent_part,
    amount_of,
    bank_account_of,
    code_of,
    day_of,
    fen_of,
    instant_of,
    moment_of,
    number_of,
    read_document,
    text_of,
    write_document,
    xml_time,
    yuan_of,
)
from finance.payout_errors import MessageInvalidError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

ORDER_NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
STATUS_NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"
NOTICE_NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:camt.054.001.08"


# -- values ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PaymentOrder:
    """One payment to be made (pain.001).

    Attributes:
        end_to_end_id: the payment sequence as the bank knows it, also the message's id.
        uetr: the same, in the form of a version 4 UUID.
        execution_day: the Beijing date on which it is to be made.
    """

    end_to_end_id: str
    uetr: str
    payer: BankAccount
    payee: BankAccount
    amount_fen: int
    created_at: dt.datetime
    execution_day: dt.date
    remittance: str


class Outcome(StrEnum):
    """What a status means for the payment."""

    ACCEPTED = "accepted"
    PENDING = "pending"
    """The bank knows of it and has not decided."""
    REJECTED = "rejected"


_OUTCOMES: Final = {
    **dict.fromkeys(("ACTC", "ACCP", "ACSP", "ACSC", "ACWC", "ACCC"), Outcome.ACCEPTED),
    **dict.fromkeys(("RCVD", "PDNG", "PATC"), Outcome.PENDING),
    **dict.fromkeys(("RJCT", "CANC"), Outcome.REJECTED),
}


@dataclass(frozen=True, slots=True)
class PaymentStatus:
    """The bank's word on one order (pain.002).

    Attributes:
        code: ExternalPaymentTransactionStatus1Code, e.g. ACSP or RJCT.
        reason: ExternalStatusReason1Code, e.g. AC01 (no such account); "" if none.
        amount_fen: the amount it speaks of, where it repeats it.
        bank_reference: the bank's own number for it.
    """

    message_id: str
    end_to_end_id: str
    code: str
    at: dt.datetime
    reason: str = ""
    text: str = ""
    amount_fen: int | None = None
    bank_reference: str = ""

    @property
    def outcome(self) -> Outcome:
        """What it means."""
        return _OUTCOMES[self.code]


@dataclass(frozen=True, slots=True)
class BankEntry:
    """One booking on an account of ours (an entry of camt.054).

    Attributes:
        reference: the bank's number of the booking, unique for ever.
        account: number of the account it is on.
        is_credit: money came in.
        is_reversal: it takes an earlier booking back.
        booked: false while it is only announced.
        end_to_end_id: "" if the payer gave none.
        other_name, other_account: who is on the other side; personal data.
    """

    reference: str
    account: str
    amount_fen: int
    is_credit: bool
    value_day: dt.date
    booked_at: dt.datetime
    end_to_end_id: str = ""
    remittance: str = ""
    is_reversal: bool = False
    booked: bool = True
    other_name: str = field(default="", repr=False)
    other_account: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Notice:
    """A message of bookings (camt.054)."""

    message_id: str
    created_at: dt.datetime
    entries: tuple[BankEntry, ...]


# -- pain.001 -------------------------------------------------------------------------------------


def write_order(order: PaymentOrder) -> bytes:
    """The order as a pain.001.001.09 document; the same order always gives the same bytes.

    Raises:
        MessageInvalidError: a value does not fit the schema.
    """
    m = pain001
    if order.amount_fen < 1:
        raise MessageInvalidError("a payment is at least one fen", field="amount_fen")
    amount = yuan_of(order.amount_fen)
    document = m.Document(
        cstmr_cdt_trf_initn=m.CustomerCreditTransferInitiationV09(
            grp_hdr=m.GroupHeader85(
                msg_id=order.end_to_end_id,
                cre_dt_tm=xml_time(order.created_at),
                nb_of_txs="1",
                ctrl_sum=amount,
                initg_pty=m.PartyIdentification135(nm=order.payer.holder),
            ),
            pmt_inf=[
                m.PaymentInstruction30(
                    pmt_inf_id=order.end_to_end_id,
                    pmt_mtd=m.PaymentMethod3Code.TRF,
                    nb_of_txs="1",
                    ctrl_sum=amount,
                    reqd_exctn_dt=m.DateAndDateTime2Choice(
                        dt=XmlDate.from_date(order.execution_day)
                    ),
                    dbtr=m.PartyIdentification135(nm=order.payer.holder),
                    dbtr_acct=account_part(m, order.payer),
                    dbtr_agt=agent_part(m, order.payer),
                    chrg_br=m.ChargeBearerType1Code.DEBT,  # the payee receives the whole amount
                    cdt_trf_tx_inf=[
                        m.CreditTransferTransaction34(
                            pmt_id=m.PaymentIdentification6(
                                instr_id=order.end_to_end_id,
                                end_to_end_id=order.end_to_end_id,
                                uetr=order.uetr,
                            ),
                            amt=m.AmountType4Choice(
                                instd_amt=m.ActiveOrHistoricCurrencyAndAmount(
                                    value=amount, ccy=CURRENCY
                                )
                            ),
                            cdtr_agt=agent_part(m, order.payee),
                            cdtr=m.PartyIdentification135(nm=order.payee.holder),
                            cdtr_acct=account_part(m, order.payee),
                            rmt_inf=m.RemittanceInformation16(ustrd=[order.remittance]),
                        )
                    ],
                )
            ],
        )
    )
    return write_document(document, ORDER_NAMESPACE)


def read_order(message: bytes) -> PaymentOrder:
    """The order in a pain.001.001.09 document.

    Raises:
        MessageInvalidError: broken or dangerous XML, against the schema, or not one renminbi payment.
    """
    initiation = read_document(message, pain001.Document, ORDER_NAMESPACE).cstmr_cdt_trf_initn
    header = initiation.grp_hdr
    if len(initiation.pmt_inf) != 1 or len(initiation.pmt_inf[0].cdt_trf_tx_inf) != 1:
        raise MessageInvalidError("an order holds exactly one payment", field="CdtTrfTxInf")
    instruction = initiation.pmt_inf[0]
    payment = instruction.cdt_trf_tx_inf[0]
    if int(header.nb_of_txs) != 1:
        raise MessageInvalidError("the header does not count one payment", field="NbOfTxs")
    if payment.amt.instd_amt is None:
        raise MessageInvalidError("the amount must be instructed", field="InstdAmt")
    amount = amount_of(payment.amt.instd_amt, "InstdAmt")
    for total in (header.ctrl_sum, instruction.ctrl_sum):
        if total is not None and fen_of(total, field="CtrlSum") != amount:
            raise MessageInvalidError("the control sum is not the amount", field="CtrlSum")
    if amount == 0:
        raise MessageInvalidError("a payment is at least one fen", field="InstdAmt")
    return PaymentOrder(
        end_to_end_id=payment.pmt_id.end_to_end_id,
        uetr=payment.pmt_id.uetr or "",
        payer=bank_account_of(
            instruction.dbtr, instruction.dbtr_acct, instruction.dbtr_agt, "Dbtr"
        ),
        payee=bank_account_of(payment.cdtr, payment.cdtr_acct, payment.cdtr_agt, "Cdtr"),
        amount_fen=amount,
        created_at=instant_of(header.cre_dt_tm, "CreDtTm"),
        execution_day=day_of(instruction.reqd_exctn_dt, "ReqdExctnDt"),
        remittance=text_of(payment.rmt_inf),
    )


# -- pain.002 -------------------------------------------------------------------------------------


def write_status(status: PaymentStatus) -> bytes:
    """The status as a pain.002.001.10 document.

    Raises:
        MessageInvalidError: a value does not fit the schema.
    """
    m = pain002
    reasons = []
    if status.reason or status.text:
        reasons.append(
            m.StatusReasonInformation12(
                rsn=m.StatusReason6Choice(cd=status.reason) if status.reason else None,
                addtl_inf=[status.text[:105]] if status.text else [],
            )
        )
    spoken = None
    if status.amount_fen is not None:
        spoken = m.OriginalTransactionReference28(
            amt=m.AmountType4Choice(
                instd_amt=m.ActiveOrHistoricCurrencyAndAmount(
                    value=yuan_of(status.amount_fen), ccy=CURRENCY
                )
            )
        )
    document = m.Document(
        cstmr_pmt_sts_rpt=m.CustomerPaymentStatusReportV10(
            grp_hdr=m.GroupHeader86(msg_id=status.message_id, cre_dt_tm=xml_time(status.at)),
            orgnl_grp_inf_and_sts=m.OriginalGroupHeader17(
                orgnl_msg_id=status.end_to_end_id, orgnl_msg_nm_id="pain.001.001.09"
            ),
            orgnl_pmt_inf_and_sts=[
                m.OriginalPaymentInstruction32(
                    orgnl_pmt_inf_id=status.end_to_end_id,
                    tx_inf_and_sts=[
                        m.PaymentTransaction105(
                            orgnl_end_to_end_id=status.end_to_end_id,
                            tx_sts=status.code,
                            sts_rsn_inf=reasons,
                            acct_svcr_ref=status.bank_reference or None,
                            orgnl_tx_ref=spoken,
                        )
                    ],
                )
            ],
        )
    )
    return write_document(document, STATUS_NAMESPACE)


def read_status(message: bytes) -> PaymentStatus:
    """The bank's word in a pain.002.001.10 document; the narrowest level that speaks is heard.

    Raises:
        MessageInvalidError: broken or dangerous XML, against the schema, or no known status.
    """
    report = read_document(message, pain002.Document, STATUS_NAMESPACE).cstmr_pmt_sts_rpt
    group = report.orgnl_grp_inf_and_sts
    infos = report.orgnl_pmt_inf_and_sts
    payments = [payment for info in infos for payment in info.tx_inf_and_sts]
    if len(infos) > 1 or len(payments) > 1:
        raise MessageInvalidError("a status report speaks of one payment", field="TxInfAndSts")
    payment = payments[0] if payments else None
    code, reasons = group.grp_sts, group.sts_rsn_inf
    if infos and infos[0].pmt_inf_sts is not None:
        code, reasons = infos[0].pmt_inf_sts, infos[0].sts_rsn_inf
    if payment is not None and payment.tx_sts is not None:
        code, reasons = payment.tx_sts, payment.sts_rsn_inf
    if code not in _OUTCOMES:
        raise MessageInvalidError("the status is not one we know", field="TxSts", given=code)
    spoken = None
    if payment is not None and payment.orgnl_tx_ref is not None:
        amount = payment.orgnl_tx_ref.amt
        if amount is not None and amount.instd_amt is not None:
            spoken = amount_of(amount.instd_amt, "InstdAmt")
    return PaymentStatus(
        message_id=report.grp_hdr.msg_id,
        end_to_end_id=(payment and payment.orgnl_end_to_end_id) or group.orgnl_msg_id,
        code=code,
        at=instant_of(report.grp_hdr.cre_dt_tm, "CreDtTm"),
        reason=next((code_of(one.rsn) for one in reasons if one.rsn is not None), ""),
        text="; ".join(line for one in reasons for line in one.addtl_inf),
        amount_fen=spoken,
        bank_reference=(payment and payment.acct_svcr_ref) or "",
    )


# -- camt.054 -------------------------------------------------------------------------------------


def write_notice(notice: Notice) -> bytes:
    """Bookings as a camt.054.001.08 document, one notification an entry.

    Raises:
        MessageInvalidError: a value does not fit the schema.
    """
    m = camt054
    document = m.Document(
        bk_to_cstmr_dbt_cdt_ntfctn=m.BankToCustomerDebitCreditNotificationV08(
            grp_hdr=m.GroupHeader81(
                msg_id=notice.message_id, cre_dt_tm=xml_time(notice.created_at)
            ),
            ntfctn=[
                m.AccountNotification17(
                    id=entry.reference,
                    acct=m.CashAccount39(
                        id=m.AccountIdentification4Choice(
                            othr=m.GenericAccountIdentification1(id=entry.account)
                        ),
                        ccy=CURRENCY,
                    ),
                    ntry=[entry_part(m, entry)],
                )
                for entry in notice.entries
            ],
        )
    )
    return write_document(document, NOTICE_NAMESPACE)


def entry_part(m: Any, entry: BankEntry) -> Any:
    """A booking as the entry of a notice or a statement (``m``: the schema's module)."""
    amount = m.ActiveOrHistoricCurrencyAndAmount(value=yuan_of(entry.amount_fen), ccy=CURRENCY)
    side = m.CreditDebitCode.CRDT if entry.is_credit else m.CreditDebitCode.DBIT
    other = None
    if entry.other_name or entry.other_account:
        name, account = None, None
        if entry.other_name:
            name = m.Party40Choice(pty=m.PartyIdentification135(nm=entry.other_name))
        if entry.other_account:
            account = m.CashAccount38(
                id=m.AccountIdentification4Choice(
                    othr=m.GenericAccountIdentification1(id=entry.other_account)
                )
            )
        other = (
            m.TransactionParties6(dbtr=name, dbtr_acct=account)
            if entry.is_credit
            else m.TransactionParties6(cdtr=name, cdtr_acct=account)
        )
    return m.ReportEntry10(
        ntry_ref=entry.reference,
        amt=amount,
        cdt_dbt_ind=side,
        rvsl_ind=True if entry.is_reversal else None,
        sts=m.EntryStatus1Choice(cd="BOOK" if entry.booked else "PDNG"),
        bookg_dt=m.DateAndDateTime2Choice(dt_tm=xml_time(entry.booked_at)),
        val_dt=m.DateAndDateTime2Choice(dt=XmlDate.from_date(entry.value_day)),
        acct_svcr_ref=entry.reference,
        bk_tx_cd=m.BankTransactionCodeStructure4(
            prtry=m.ProprietaryBankTransactionCodeStructure1(cd="TRANSFER")
        ),
        ntry_dtls=[
            m.EntryDetails9(
                tx_dtls=[
                    m.EntryTransaction10(
                        refs=m.TransactionReferences6(
                            acct_svcr_ref=entry.reference,
                            end_to_end_id=entry.end_to_end_id or None,
                        ),
                        amt=amount,
                        cdt_dbt_ind=side,
                        rltd_pties=other,
                        rmt_inf=m.RemittanceInformation16(ustrd=[entry.remittance])
                        if entry.remittance
                        else None,
                    )
                ]
            )
        ],
    )


def read_notice(message: bytes) -> Notice:
    """The bookings in a camt.054.001.08 document; a batch booking gives one entry a payment.

    Raises:
        MessageInvalidError: broken or dangerous XML, against the schema, without a reference, or a batch
            whose payments do not sum to its amount.
    """
    report = read_document(message, camt054.Document, NOTICE_NAMESPACE).bk_to_cstmr_dbt_cdt_ntfctn
    entries = [
        entry
        for account in report.ntfctn
        for booked in account.ntry
        for entry in entries_of(number_of(account.acct), booked)
    ]
    return Notice(
        message_id=report.grp_hdr.msg_id,
        created_at=instant_of(report.grp_hdr.cre_dt_tm, "CreDtTm"),
        entries=tuple(entries),
    )


def entries_of(account: str, booked: Any) -> Iterator[BankEntry]:
    """The bookings in an entry of a notice or a statement: one a payment.

    Raises:
        MessageInvalidError: without reference or date, or a batch that does not add up.
    """
    reference = booked.acct_svcr_ref or booked.ntry_ref
    if not reference:
        raise MessageInvalidError("a booking needs the bank's reference", field="AcctSvcrRef")
    amount = amount_of(booked.amt, "Amt")
    payments = [one for details in booked.ntry_dtls for one in details.tx_dtls] or [None]
    parts = [
        amount
        if len(payments) == 1 or one is None or one.amt is None
        else amount_of(one.amt, "Amt")
        for one in payments
    ]
    if sum(parts) != amount:
        raise MessageInvalidError(
            "the payments of a batch do not sum to its amount", field="Amt", reference=reference
        )
    is_credit = booked.cdt_dbt_ind.value == "CRDT"
    day = booked.val_dt or booked.bookg_dt
    if day is None or booked.bookg_dt is None:
        raise MessageInvalidError("a booking needs its date", field="BookgDt", reference=reference)
    for place, (one, part) in enumerate(zip(payments, parts, strict=True)):
        parties = one.rltd_pties if one is not None else None
        name, number = None, None
        if parties is not None:
            name = parties.dbtr if is_credit else parties.cdtr
            number = parties.dbtr_acct if is_credit else parties.cdtr_acct
        refs = one.refs if one is not None else None
        end_to_end_id = (refs.end_to_end_id if refs is not None else "") or ""
        yield BankEntry(
            reference=reference if len(payments) == 1 else f"{reference}/{place + 1}",
            account=account,
            amount_fen=part,
            is_credit=is_credit,
            value_day=day_of(day, "ValDt"),
            booked_at=moment_of(booked.bookg_dt, "BookgDt"),
            end_to_end_id="" if end_to_end_id == "NOTPROVIDED" else end_to_end_id,
            remittance=text_of(one.rmt_inf if one is not None else None),
            is_reversal=bool(booked.rvsl_ind),
            booked=booked.sts.cd == "BOOK",
            other_name=(name.pty.nm or "") if name is not None and name.pty is not None else "",
            other_account=number_of(number) if number is not None else "",
        )


__all__ = [
    "MOST_BYTES",
    "BankAccount",
    "BankEntry",
    "Notice",
    "Outcome",
    "PaymentOrder",
    "PaymentStatus",
    "entries_of",
    "entry_part",
    "fen_of",
    "read_notice",
    "read_order",
    "read_status",
    "write_notice",
    "write_order",
    "write_status",
    "yuan_of",
]
