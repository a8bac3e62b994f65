"""A waybill as a row of the network-freight field set (网络货运), which an import reads back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from api.bulk.columns import BEIJING
from chain.ids import PartyId
from chain.money import yuan_text
from chain.party import Party
from chain.waybill import ZERO, HeldWaybill

EXPORT_HEADER = (
    "托运单号", "分段分单号", "运单状态", "层级", "托运人", "实际承运人", "收货人", "货物名称", "单位",
    "数量(千分之一)", "货物项毛重", "运费金额", "已付金额", "账期(天)", "车辆牌照号", "终端手机号", "装货地址", "收货地址",
    "装货时间", "收货时间", "签收数量(千分之一)", "签收时间", "运单编号", "上级运单编号",
)  # fmt: skip
"""Names as the regulator has them where it has one."""

_STAGES = {
    "draft": "待签", "signed": "已签", "refused": "被拒", "issued": "已生效", "in_transit": "运输中",
    "delivered": "已签收", "paid": "已付清", "cancelled": "已作废",
}  # fmt: skip


def export_row(waybill: HeldWaybill, parties: Mapping[PartyId, Party]) -> list[Any]:
    """The row of a waybill.

    Args:
        waybill: the waybill.
        parties: of its sides.
    """
    form, papers = waybill.form, waybill.papers

    def name(party: PartyId) -> str:
        found = parties.get(party)
        return found.name_zh if found is not None else str(party)

    unit = str(papers.get("unit", "t"))
    return [
        str(papers.get("shipping_note", "")),
        str(papers.get("serial", "")),
        _STAGES.get(waybill.stage.value, waybill.stage.value),
        waybill.tier,
        name(form.issuer),
        name(form.performer),
        name(form.consignee),
        str(papers.get("goods", "")),
        unit,
        waybill.quantity,
        # thousandths of a tonne are kilograms; of anything else there is no weight here
        waybill.quantity if unit in {"t", "吨"} else None,
        yuan_text(waybill.freight).replace(",", ""),
        yuan_text(waybill.paid).replace(",", ""),
        form.term_days,
        str(papers.get("plate", "")),
        str(papers.get("terminal", "")),
        str(papers.get("origin", "")),
        str(papers.get("destination", "")),
        _time(form.load_from),
        _time(form.deliver_by),
        waybill.accepted or None,
        "" if waybill.delivered_at is None else _time(int(waybill.delivered_at.timestamp())),
        waybill.id,
        "" if form.parent == ZERO else form.parent,
    ]


def _time(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds, BEIJING).strftime("%Y%m%d%H%M%S")
