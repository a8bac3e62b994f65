"""Receivables: what debtors owe on the waybills that were borrowed on."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from api.dependencies import Reader, TheContainer
from api.schemas.records import ReceivablePage, ReceivableShown
from api.schemas.values import WaybillText
from chain.errors import NotFoundError
from chain.ids import PartyId, WaybillId
from finance.accrual import date_of
from finance.records import ReceivableRecord

router = APIRouter(prefix="/receivables", tags=["receivables"])


def show_receivable(one: ReceivableRecord) -> ReceivableShown:
    """A receivable as those whom it concerns see it."""
    return ReceivableShown(
        waybill=one.waybill,
        debtor=str(one.debtor),
        owner=str(one.owner),
        lender=one.lender,
        freight_fen=one.freight_fen,
        received_fen=one.received_fen,
        term_days=one.term_days,
        due_day=None if one.due_day is None else date_of(one.due_day),
        acknowledged_at=one.acknowledged_at,
        settled_at=one.settled_at,
    )


@router.get("")
def list_receivables(
    *,
    caller: Reader,
    container: TheContainer,
    side: Annotated[
        Literal["owner", "debtor", "lender"],
        Query(description="what the caller is owed, owes, or holds in pledge"),
    ] = "owner",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    starting_after: Annotated[WaybillText | None, Query()] = None,
) -> ReceivablePage:
    """Receivables of the caller, by waybill."""
    with container.read() as services:
        rows = services.books.page_receivables(
            caller.require_self(), side, after=starting_after or "", limit=limit + 1
        )
    page, more = rows[:limit], len(rows) > limit
    return ReceivablePage(
        data=[show_receivable(one) for one in page],
        has_more=more,
        next_cursor=page[-1].waybill if more else None,
    )


@router.get("/{waybill}")
def get_receivable(
    waybill: WaybillText, caller: Reader, container: TheContainer
) -> ReceivableShown:
    """What is owed on a waybill, for its owner, its debtor and the lender who holds it."""
    with container.read() as services:
        found = services.books.find_receivable(WaybillId(waybill))
    if found is None:
        raise NotFoundError("there is no such receivable")
    lender = {PartyId(int(found.lender))} if found.lender else set()
    caller.require_sight({found.debtor, found.owner, *lender}, "receivable")
    return show_receivable(found)
