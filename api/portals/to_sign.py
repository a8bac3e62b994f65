"""What waits for a firm's own signature: waybills, terms of a line, debts to acknowledge."""

from __future__ import annotations

from dataclasses import dataclass

from api.line_offers import OfferState
from api.portals.shell import Viewer
from api.ports import Services
from api.trip_stories import party_name
from chain.ids import PartyId
from chain.waybill import Stage as WaybillStage
from finance.advance import AdvanceState

MOST = 50


@dataclass(frozen=True, slots=True)
class Wanted:
    """One form that waits for a signature. Amount in fen.

    Attributes:
        kind: ``waybill``, ``offer`` or ``acknowledgement``: its word in the catalogue.
        name: a shipping note, or who is on the other side.
        detail: goods, or "".
        form: what the signing page is asked for.
    """

    kind: str
    name: str
    detail: str
    amount_fen: int
    form: str


def wanted_signatures(services: Services, viewer: Viewer) -> list[Wanted]:
    """What waits for a viewer's party; for an observer every draft."""
    own = viewer.caller.party_id
    drafts = services.records.list_waybills(
        party=own, stage=WaybillStage.DRAFT, before=None, limit=MOST
    )
    found = [
        Wanted(
            kind="waybill",
            name=str(one.papers.get("shipping_note", "")),
            detail=str(one.papers.get("goods", "")),
            amount_fen=one.freight,
            form=f"/v1/waybills/{one.id}",
        )
        for _, one in drafts
        if own is None or own in one.missing
    ]
    return (
        found if own is None else [*_offers(services, viewer, own), *_debts(services, own), *found]
    )


def _offers(services: Services, viewer: Viewer, own: PartyId) -> list[Wanted]:
    waiting = [
        one for one in services.offers.list_of(borrower=own) if one.state is OfferState.OFFERED
    ]
    lenders = services.records.list_parties(sorted({one.lender for one in waiting}))
    return [
        Wanted(
            kind="offer",
            name=party_name(lenders[one.lender], viewer.lang) if one.lender in lenders else "",
            detail="",
            amount_fen=one.form.limit,
            form=f"/v1/line-offers/{one.id}",
        )
        for one in waiting
    ]


def _debts(services: Services, own: PartyId) -> list[Wanted]:
    """Advances on what the firm owes, whose debt it has not acknowledged."""
    asked = services.books.list_advances(debtor=own, states={AdvanceState.REQUESTED}, limit=MOST)
    leaves = services.records.list_leaves([one.trip for one in asked])
    found = []
    for one in asked:
        receivable = services.books.find_receivable(one.waybill)
        if receivable is not None and receivable.acknowledged_at is not None:
            continue
        waybill = services.records.find_waybill(one.waybill)
        papers = leaves[one.trip].papers if one.trip in leaves else {}
        found.append(
            Wanted(
                kind="acknowledgement",
                name=str(papers.get("shipping_note", "")),
                detail=str(papers.get("goods", "")),
                amount_fen=one.principal_fen if waybill is None else waybill.freight,
                form=f"/v1/advances/{one.advance}/acknowledgement",
            )
        )
    return found
