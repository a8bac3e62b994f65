"""pain.001 out, pain.002 and camt.054 in: exact amounts, the schema's facets, and no XML tricks."""

from __future__ import annotations

import contextlib
import datetime as dt
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.money import JSON_MAX_FEN
from finance.iso20022 import (
    BankAccount,
    BankEntry,
    Notice,
    Outcome,
    PaymentOrder,
    PaymentStatus,
    fen_of,
    read_notice,
    read_order,
    read_status,
    write_notice,
    write_order,
    write_status,
    yuan_of,
)
from finance.payout_errors import MessageInvalidError

AT = dt.datetime(2026, 1, 26, 15, 50, 3, tzinfo=dt.UTC)
HOUSE = BankAccount("存管银行", "6222000011112222", "102100099996")
DRIVER = BankAccount("张师傅", "6222000011113333", "103100000026")
ORDER = PaymentOrder(
    "YD" + "A1" * 16, "12345678-1234-4123-8123-123456789abc", HOUSE, DRIVER, 123_456, AT,
    dt.date(2026, 1, 27), "运费",
)  # fmt: skip
NS = {"p": "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"}


def text_of(message, path):
    return ET.fromstring(message).find(path, NS).text


names = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=140
)
accounts = st.builds(
    BankAccount,
    names,
    st.from_regex(r"[0-9A-Za-z]{1,34}", fullmatch=True),
    st.from_regex(r"[0-9]{12}", fullmatch=True),
)
fens = st.integers(1, JSON_MAX_FEN)


@settings(deadline=None)
@given(st.integers(0, JSON_MAX_FEN))
def test_fen_to_text_and_back_is_exact(amount):
    text = str(yuan_of(amount))
    assert fen_of(Decimal(text)) == amount
    assert text == f"{amount // 100}.{amount % 100:02d}"


@pytest.mark.parametrize(
    "text",
    ["1.234", "0.001", "-1", "-0.00", "NaN", "Infinity", "1E2", "1" * 19, "90071992547409.92"],
)
def test_an_amount_that_is_no_fen_is_refused(text):
    with pytest.raises(MessageInvalidError):
        fen_of(Decimal(text))


@settings(deadline=None)
@given(accounts, accounts, fens)
def test_an_order_survives_the_way(payer, payee, amount):
    order = PaymentOrder(
        ORDER.end_to_end_id, ORDER.uetr, payer, payee, amount, AT, dt.date(2026, 2, 28), "运费 x"
    )
    assert read_order(write_order(order)) == order
    assert write_order(order) == write_order(order)


def test_an_order_says_what_a_bank_reads():
    message = write_order(ORDER)
    payment = "p:CstmrCdtTrfInitn/p:PmtInf/p:CdtTrfTxInf"
    assert text_of(message, f"{payment}/p:Amt/p:InstdAmt") == "1234.56"
    assert text_of(message, f"{payment}/p:PmtId/p:EndToEndId") == ORDER.end_to_end_id
    assert text_of(message, f"{payment}/p:CdtrAcct/p:Id/p:Othr/p:Id") == DRIVER.number
    assert (
        text_of(message, f"{payment}/p:CdtrAgt/p:FinInstnId/p:ClrSysMmbId/p:MmbId") == DRIVER.bank
    )
    assert text_of(message, "p:CstmrCdtTrfInitn/p:PmtInf/p:ReqdExctnDt/p:Dt") == "2026-01-27"
    assert text_of(message, "p:CstmrCdtTrfInitn/p:PmtInf/p:ChrgBr") == "DEBT"
    assert text_of(message, "p:CstmrCdtTrfInitn/p:GrpHdr/p:CreDtTm") == "2026-01-26T15:50:03Z"


SWAPS = {
    "a fraction of a fen": (b">1234.56<", b">1234.567<"),
    "no number": (b">1234.56<", b">NaN<"),
    "scientific": (b">1234.56<", b">1.2E3<"),
    "negative": (b">1234.56<", b">-1234.56<"),
    "zero": (b">1234.56<", b">0.00<"),
    "another currency": (b'Ccy="CNY"', b'Ccy="USD"'),
    "no currency": (b' Ccy="CNY"', b""),
    "a currency in small letters": (b"<Ccy>CNY", b"<Ccy>cny"),
    "another control sum": (b"<CtrlSum>1234.56", b"<CtrlSum>1234.57"),
    "two payments counted": (b"<NbOfTxs>1<", b"<NbOfTxs>2<"),
    "a long id": (ORDER.end_to_end_id.encode(), b"X" * 36),
    "an empty id": (ORDER.end_to_end_id.encode(), b""),
    "an unknown element": (b"<ChrgBr>DEBT</ChrgBr>", b"<Chrg>DEBT</Chrg>"),
    "an unknown code": (b">TRF<", b">XXX<"),
    "no such date": (b"2026-01-27", b"2026-02-30"),
    "no date": (b"<Dt>2026-01-27</Dt>", b""),
    "a time without zone": (b"03Z", b"03"),
    "no payee": (b"<Cdtr><Nm>\xe5\xbc\xa0\xe5\xb8\x88\xe5\x82\x85</Nm></Cdtr>", b""),
    "another message": (b"pain.001.001.09", b"pain.001.001.03"),
    "a broken end": (b"</Document>", b"</Document"),
    "an entity": (
        b"<Document",
        b'<!DOCTYPE d [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><Document',
    ),
    "an outside entity": (
        b"<Document",
        b'<!DOCTYPE d [<!ENTITY a SYSTEM "file:///etc/hostname">]><Document',
    ),
    "a document type": (b"<Document", b"<!DOCTYPE Document><Document"),
    "a bad encoding": (b'encoding="UTF-8"', b'encoding="nonsense"'),
}


@pytest.mark.parametrize("what", SWAPS)
def test_a_bad_order_is_refused_with_a_reason(what):
    old, new = SWAPS[what]
    message = write_order(ORDER)
    assert old in message, "the swap must hit"
    with pytest.raises(MessageInvalidError) as refused:
        read_order(message.replace(old, new))
    assert str(refused.value)


@pytest.mark.parametrize("message", [b"", b"<a/>", b"{}", b"\xff\xfe", b"<" * 1000])
def test_what_is_no_message_is_refused(message):
    for read in (read_order, read_status, read_notice):
        with pytest.raises(MessageInvalidError):
            read(message)


def test_a_message_of_a_megabyte_is_refused_unread():
    with pytest.raises(MessageInvalidError, match="too long"):
        read_notice(b" " * (1 << 20) + b"<a/>")


@settings(deadline=None)
@given(st.binary(max_size=60), st.integers(0, 2000))
def test_a_damaged_message_is_refused_or_read_but_never_breaks(noise, at):
    message = write_order(ORDER)
    at %= len(message)
    with contextlib.suppress(MessageInvalidError):
        read_order(message[:at] + noise + message[at + len(noise) :])


# -- the bank's word ------------------------------------------------------------------------------


def test_a_status_survives_the_way():
    said = PaymentStatus("S1", ORDER.end_to_end_id, "RJCT", AT, "AC01", "no such account", 5, "B1")
    assert read_status(write_status(said)) == said
    assert said.outcome is Outcome.REJECTED


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("ACTC", Outcome.ACCEPTED),
        ("ACSP", Outcome.ACCEPTED),
        ("ACSC", Outcome.ACCEPTED),
        ("PDNG", Outcome.PENDING),
        ("RJCT", Outcome.REJECTED),
    ],
)
def test_each_code_has_its_meaning(code, outcome):
    said = PaymentStatus("S1", "E1", code, AT)
    assert read_status(write_status(said)).outcome is outcome


GROUP_REJECTION = """<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.10">
  <CstmrPmtStsRpt>
    <GrpHdr><MsgId>20260126-77</MsgId><CreDtTm>2026-01-26T23:50:03+08:00</CreDtTm></GrpHdr>
    <OrgnlGrpInfAndSts>
      <OrgnlMsgId>YD01</OrgnlMsgId><OrgnlMsgNmId>pain.001.001.09</OrgnlMsgNmId>
      <GrpSts>RJCT</GrpSts>
      <StsRsnInf><Rsn><Cd>FF01</Cd></Rsn><AddtlInf>file format</AddtlInf></StsRsnInf>
    </OrgnlGrpInfAndSts>
  </CstmrPmtStsRpt>
</Document>"""


def test_a_rejection_of_the_whole_message_is_understood():
    said = read_status(GROUP_REJECTION.encode())
    assert (said.end_to_end_id, said.outcome, said.reason) == ("YD01", Outcome.REJECTED, "FF01")
    assert said.at == AT
    assert said.text == "file format"


def test_a_status_that_nobody_knows_is_refused():
    with pytest.raises(MessageInvalidError):
        read_status(GROUP_REJECTION.replace("RJCT", "XYZ1").encode())
    with pytest.raises(MessageInvalidError):
        read_status(GROUP_REJECTION.replace("<GrpSts>RJCT</GrpSts>", "").encode())


# -- bookings -------------------------------------------------------------------------------------

entries = st.builds(
    BankEntry,
    reference=st.from_regex(r"[A-Z0-9]{1,35}", fullmatch=True),
    account=st.from_regex(r"[0-9A-Za-z]{1,34}", fullmatch=True),
    amount_fen=st.integers(0, JSON_MAX_FEN),
    is_credit=st.booleans(),
    value_day=st.dates(dt.date(2000, 1, 1), dt.date(2100, 1, 1)),
    booked_at=st.just(AT),
    end_to_end_id=st.sampled_from(["", "YD" + "0" * 32]),
    remittance=st.sampled_from(["", "运费 YDABCDEFGHIJKLMN"]),
    is_reversal=st.booleans(),
    booked=st.booleans(),
    other_name=st.sampled_from(["", "江海物流"]),
    other_account=st.sampled_from(["", "88"]),
)


@settings(deadline=None)
@given(st.lists(entries, min_size=1, max_size=4))
def test_a_notice_survives_the_way(booked):
    notice = Notice("N1", AT, tuple(booked))
    assert read_notice(write_notice(notice)) == notice


BATCH = """<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.054.001.08">
  <BkToCstmrDbtCdtNtfctn>
    <GrpHdr><MsgId>C54-1</MsgId><CreDtTm>2026-01-27T08:00:00+08:00</CreDtTm></GrpHdr>
    <Ntfctn>
      <Id>1</Id><Acct><Id><Othr><Id>6222000011112222</Id></Othr></Id></Acct>
      <Ntry>
        <Amt Ccy="CNY">300.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
        <BookgDt><Dt>2026-01-27</Dt></BookgDt>
        <AcctSvcrRef>ICBC0099</AcctSvcrRef>
        <BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>DMCT</SubFmlyCd></Fmly></Domn></BkTxCd>
        <NtryDtls>
          <TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId></Refs>
            <Amt Ccy="CNY">100.01</Amt><CdtDbtInd>CRDT</CdtDbtInd>
            <RltdPties><Dbtr><Pty><Nm>海港糖业</Nm></Pty></Dbtr></RltdPties>
            <RmtInf><Ustrd>January</Ustrd><Ustrd>freight</Ustrd></RmtInf></TxDtls>
          <TxDtls><Refs><EndToEndId>E2</EndToEndId></Refs>
            <Amt Ccy="CNY">199.99</Amt><CdtDbtInd>CRDT</CdtDbtInd></TxDtls>
        </NtryDtls>
      </Ntry>
    </Ntfctn>
  </BkToCstmrDbtCdtNtfctn>
</Document>"""


def test_a_batch_booking_of_another_bank_gives_an_entry_a_payment():
    first, second = read_notice(BATCH.encode()).entries
    assert (first.reference, first.amount_fen, first.end_to_end_id) == ("ICBC0099/1", 10_001, "")
    assert (second.reference, second.amount_fen, second.end_to_end_id) == (
        "ICBC0099/2",
        19_999,
        "E2",
    )
    assert first.value_day == dt.date(2026, 1, 27)
    assert first.remittance == "January freight"
    assert first.other_name == "海港糖业"
    assert "海港" not in repr(first)


def test_a_batch_that_does_not_sum_is_refused():
    with pytest.raises(MessageInvalidError, match="sum"):
        read_notice(BATCH.replace("199.99", "200.00").encode())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<AcctSvcrRef>ICBC0099</AcctSvcrRef>", ""),
        ("<BookgDt><Dt>2026-01-27</Dt></BookgDt>", ""),
        ('<Amt Ccy="CNY">300.00</Amt>', '<Amt Ccy="HKD">300.00</Amt>'),
        ("<Sts><Cd>BOOK</Cd></Sts>", ""),
        ("<Sts><Cd>BOOK</Cd></Sts>", "<Sts><Cd>BOOK</Cd><Prtry>x</Prtry></Sts>"),
    ],
)
def test_a_booking_that_lacks_what_it_needs_is_refused(old, new):
    assert old in BATCH
    with pytest.raises(MessageInvalidError):
        read_notice(BATCH.replace(old, new, 1).encode())
