"""Fund flows with the papers of their waybills, and as rows of the network-freight field set (资金流水单)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.bulk.columns import BEIJING
from api.bulk.workbook import write_csv, write_workbook
from api.ports import Services
from chain.ids import TripId
from chain.money import yuan_text
from chain.waybill import HeldWaybill
from finance.fund_flows import BANK_TRANSFER, FundFlow

HEADER = (
    "单证号", "实际承运人名称", "实际承运人统一社会信用代码或证件号码", "车辆牌照号", "车牌颜色代码", "总金额", "托运单号",
    "分段分单号", "付款方式代码", "收款方名称", "收款帐户信息", "收款方银行代码", "流水号/序列号", "实际支付金额", "日期时间",
    "支付序列", "运单编号", "借款编号",
)  # fmt: skip
"""The regulator's names, then three of ours. What we do not hold (papers of identity, the colour of the
plate, the bank's code) has its column and stays empty."""


@dataclass(frozen=True, slots=True)
class ToldFlow:
    """A fund flow with what its waybill says.

    Attributes:
        carrier: who performs the payee's waybill, as people call him.
        payee: whom the bank has paid, as people call him.
        account_tail: last four digits of his account: he has let us use it to pay him, for nothing else.
        freight_fen: of the payee's waybill.
    """

    flow: FundFlow
    shipping_note: str
    serial: str
    carrier: str
    payee: str
    account_tail: str
    plate: str
    freight_fen: int


def tell_flows(services: Services, flows: Sequence[FundFlow]) -> list[ToldFlow]:
    """Fund flows with the papers of their waybills; one that is not here any more leaves its cells empty."""
    paths = services.records.list_trips_by_id(sorted({flow.trip for flow in flows}))
    waybills = {one.id: one for _, path in paths.values() for one in path}
    parties = services.records.list_parties(
        sorted({flow.payee for flow in flows} | {one.form.performer for one in waybills.values()})
    )
    tails = services.accounts.tails({flow.account for flow in flows})

    def name(party: Any) -> str:
        found = parties.get(party)
        return found.name_zh if found is not None else str(party)

    told = []
    for flow in flows:
        waybill = waybills.get(flow.waybill)
        leaf = paths[flow.trip][1][0] if flow.trip in paths else waybill
        told.append(
            ToldFlow(
                flow=flow,
                shipping_note=_paper(waybill, "shipping_note"),
                serial=_paper(waybill, "serial"),
                carrier="" if waybill is None else name(waybill.form.performer),
                payee=name(flow.payee),
                account_tail=tails[flow.account],
                plate=_paper(leaf, "plate"),
                freight_fen=0 if waybill is None else waybill.freight,
            )
        )
    return told


def _paper(waybill: HeldWaybill | None, word: str) -> str:
    return "" if waybill is None else str(waybill.papers.get(word, ""))


def lanes_of(services: Services, trips: Collection[TripId]) -> Mapping[TripId, str]:
    """From where to where trips go, by the papers of their leaves; trips without places are left out."""
    found = {}
    for trip, leaf in services.records.list_leaves(list(trips)).items():
        ends = [str(leaf.papers.get(word, "")) for word in ("origin", "destination")]
        if any(ends):
            found[trip] = " → ".join(ends)
    return found


def write_flows(told: Sequence[ToldFlow], form: str) -> bytes:
    """Fund flows as a file.

    Args:
        told: the flows.
        form: ``xlsx`` or ``csv``.
    """
    rows = [_row(one) for one in told]
    if form == "xlsx":
        return write_workbook(HEADER, rows, title="资金流水单")
    return write_csv(HEADER, rows)


def _row(told: ToldFlow) -> list[Any]:
    flow = told.flow
    return [
        flow.document,
        told.carrier,
        "",
        told.plate,
        "",
        _three_decimals(told.freight_fen),
        told.shipping_note,
        told.serial,
        BANK_TRANSFER,
        told.payee,
        f"尾号{told.account_tail}" if told.account_tail else "",
        "",
        # without a bank that gives a number, the sequence is what the payment is found by
        flow.bank_reference or flow.document,
        _three_decimals(flow.amount_fen),
        flow.paid_at.astimezone(BEIJING).strftime("%Y%m%d%H%M%S"),
        flow.sequence,
        flow.waybill,
        flow.advance,
    ]


def _three_decimals(fen: int) -> str:
    """Yuan as the field set has them: 864.000."""
    return yuan_text(fen).replace(",", "") + "0"
