"""A lender's portfolio on a day, and the fund-flow records (资金流水单) of his advances."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response

from api.auth import Caller
from api.bulk.table import CSV, EXCEL
from api.bulk.workbook import media_type_of
from api.dependencies import Reader, Seen, TheContainer
from api.fund_flow_files import ToldFlow, lanes_of, tell_flows, write_flows
from api.paging import ThePage
from api.portfolio_files import PortfolioTable, write_portfolio
from api.ports import Container
from api.schemas.portfolio import (
    FundFlowList,
    FundFlowShown,
    PortfolioShown,
    ShareShown,
    VintageShown,
)
from chain.clock import beijing_day
from finance.accrual import date_of, day_number
from finance.portfolio import Portfolio, Share

router = APIRouter(tags=["portfolio"])

EARLIEST, LATEST = dt.date(2000, 1, 1), dt.date(2999, 12, 31)

Day = Annotated[
    dt.date | None, Query(ge=EARLIEST, le=LATEST, description="Beijing day; today unless given")
]
First = Annotated[dt.date, Query(ge=EARLIEST, le=LATEST, description="first Beijing day")]
Last = Annotated[dt.date, Query(ge=EARLIEST, le=LATEST, description="last Beijing day, included")]
_FILE = {"schema": {"type": "string", "format": "binary"}}


@router.get("/portfolio")
def get_portfolio(caller: Reader, container: TheContainer, day: Day = None) -> PortfolioShown:
    """What the caller has lent: outstanding, at risk, by age, class, debtor, lane, borrower and vintage."""
    on, found = _portfolio(caller, container, day)
    return PortfolioShown(
        day=date_of(on),
        outstanding_fen=found.outstanding_fen,
        loans=found.loans,
        overdue_fen=found.overdue_fen,
        at_risk_fen=found.at_risk_fen,
        utilisation_bps=found.utilisation_bps,
        yield_ppm=found.yield_ppm,
        top_debtor_bps=found.top_debtor_bps,
        top_lane_bps=found.top_lane_bps,
        ageing=_shares(found.ageing),
        classes=_shares(found.classes),
        debtors=_shares(found.debtors),
        lanes=_shares(found.lanes),
        borrowers=_shares(found.borrowers),
        vintages=[VintageShown.model_validate(one) for one in found.vintages],
    )


def _portfolio(caller: Caller, container: Container, day: dt.date | None) -> tuple[int, Portfolio]:
    on = beijing_day(container.clock.now()) if day is None else day_number(day)
    with container.read() as services:
        found = services.finance.show_portfolio(
            caller.require_self(), day=on, lanes_of=partial(lanes_of, services)
        )
    return on, found


@router.get(
    "/portfolio/file",
    response_class=Response,
    responses={200: {"description": "One table", "content": {EXCEL: _FILE, CSV: _FILE}}},
)
def get_portfolio_file(
    *,
    caller: Reader,
    container: TheContainer,
    table: PortfolioTable,
    day: Day = None,
    format: Annotated[Literal["xlsx", "csv"], Query()] = "xlsx",  # noqa: A002  as people ask
) -> Response:
    """One table of the portfolio (ageing, classes, debtors, lanes, borrowers, vintages) as a workbook or CSV."""
    on, found = _portfolio(caller, container, day)
    name = f"portfolio-{table}-{date_of(on)}.{format}"
    head = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(
        write_portfolio(found, table, format), media_type=media_type_of(format), headers=head
    )


def _shares(shares: Sequence[Share]) -> list[ShareShown]:
    return [ShareShown.model_validate(one) for one in shares]


@router.get("/fund-flows", dependencies=[Depends(Seen("fund_flows"))])
def list_fund_flows(
    caller: Reader, container: TheContainer, first: First, last: Last, asked: ThePage
) -> FundFlowList:
    """What the bank has paid of the caller's own advances on some days, oldest first; 10,000 at most."""
    with container.read() as services:
        found = services.finance.list_fund_flows(caller.require_self(), first, last)
        page = asked.cut(found, lambda flow: flow.payout)
        told = tell_flows(services, page.rows)
    return FundFlowList(data=[_show(one) for one in told], **page.ends)


def _show(told: ToldFlow) -> FundFlowShown:
    flow = told.flow
    return FundFlowShown(
        document=flow.document,
        sequence=flow.sequence,
        bank_reference=flow.bank_reference,
        payee=str(flow.payee),
        payee_name=told.payee,
        account_tail=told.account_tail,
        amount_fen=flow.amount_fen,
        paid_at=flow.paid_at,
        waybill=flow.waybill,
        shipping_note=told.shipping_note,
        serial=told.serial,
        carrier_name=told.carrier,
        plate=told.plate,
        freight_fen=told.freight_fen,
        trip=flow.trip,
        advance=flow.advance,
        payout=flow.payout,
    )


@router.get(
    "/fund-flows/file",
    dependencies=[Depends(Seen("fund_flows"))],
    response_class=Response,
    responses={200: {"description": "The records", "content": {EXCEL: _FILE, CSV: _FILE}}},
)
def get_fund_flow_file(
    caller: Reader,
    container: TheContainer,
    first: First,
    last: Last,
    format: Annotated[Literal["xlsx", "csv"], Query()] = "xlsx",  # noqa: A002  as people ask
) -> Response:
    """The same as a workbook or CSV under the names of the network-freight field set (资金流水单)."""
    with container.read() as services:
        told = tell_flows(
            services, services.finance.list_fund_flows(caller.require_self(), first, last)
        )
    head = {"Content-Disposition": f'attachment; filename="fund-flows.{format}"'}
    return Response(write_flows(told, format), media_type=media_type_of(format), headers=head)
