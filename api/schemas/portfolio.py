"""A lender's portfolio and his fund-flow records."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import Field

from api.schemas.values import (
    AdvanceRef,
    AmountFen,
    HashText,
    Instant,
    Listed,
    PartyRef,
    PayoutRef,
    Shown,
    TripRef,
    WaybillRef,
)


class ShareShown(Shown):
    """A part of the outstanding principal."""

    name: str = Field(
        description="a band, a class, a party's id, or a lane; empty where nobody has named it",
        examples=["码头堆场 → 西站货场"],
    )
    loans: int = Field(examples=[3])
    outstanding_fen: AmountFen
    bps: int = Field(description="share of the whole in basis points", examples=[7_000])


class VintageShown(Shown):
    """Loans released in one month."""

    month: str = Field(examples=["2026-01"])
    loans: int = Field(examples=[3])
    released_fen: AmountFen
    outstanding_fen: AmountFen
    late_bps: int = Field(description="more than 30 days past due", examples=[120])
    lost_bps: int = Field(description="written off", examples=[0])


class PortfolioShown(Shown):
    """What a lender has lent, on a Beijing day."""

    object: Literal["portfolio"] = "portfolio"
    day: dt.date
    outstanding_fen: AmountFen
    loans: int = Field(examples=[3])
    overdue_fen: AmountFen
    at_risk_fen: AmountFen
    utilisation_bps: int = Field(examples=[2_500])
    yield_ppm: int | None = Field(description="empty before a day has passed", examples=[98_000])
    top_debtor_bps: int = Field(description="the largest debtor's share", examples=[7_000])
    top_lane_bps: int = Field(description="the largest lane's share", examples=[9_000])
    ageing: list[ShareShown]
    classes: list[ShareShown]
    debtors: list[ShareShown]
    lanes: list[ShareShown] = Field(description="by origin and destination of the truck's waybill")
    borrowers: list[ShareShown]
    vintages: list[VintageShown]


class FundFlowShown(Shown):
    """One payment of the bank out of an advance (资金流水单)."""

    object: Literal["fund_flow"] = "fund_flow"
    document: str = Field(
        description="the record's number: the payment sequence as the bank knows it",
        examples=["YD5C5C5C5C5C5C5C5C5C5C5C5C5C5C5C5C"],
    )
    sequence: HashText
    bank_reference: str = Field(
        description="the bank's number; empty if no bank is joined", examples=["B20260126000001"]
    )
    payee: PartyRef
    payee_name: str = Field(examples=["王师傅"])
    account_tail: str = Field(description="last four digits; empty if unknown", examples=["0001"])
    amount_fen: AmountFen
    paid_at: Instant
    waybill: WaybillRef
    shipping_note: str = Field(examples=["YD20260126-003"])
    serial: str = Field(examples=["0101"])
    carrier_name: str = Field(examples=["王师傅"])
    plate: str = Field(examples=["苏A·4716"])
    freight_fen: AmountFen
    trip: TripRef
    advance: AdvanceRef
    payout: PayoutRef


class FundFlowList(Listed):
    """Fund flows, oldest first."""

    data: list[FundFlowShown]
