"""A driver's jobs: what he is asked, what he will get, what he has done, and where his money is."""

from __future__ import annotations

import datetime as dt
from typing import Any

from api.payout_stories import tell_payout
from api.ports import Services
from api.schemas.receipts import MoneyStage, TaskList, TaskShown
from chain.bindings.enums import TripState
from chain.delivery import HeldTrip
from chain.ids import ZERO32, Hash32, PartyId
from chain.party import Party
from chain.waybill import HeldWaybill
from finance.advance import AdvanceState
from finance.records import AdvanceRecord, PayeeRecord

ATTESTORS_NEEDED = 2
"""As many distinct attestors as ``DeliveryRegistry.threshold`` asks for."""

USUAL_STAGES = ("instructed", "accepted", "paid")
BANK_STAGES = {*USUAL_STAGES, "rejected"}
"""Of a payout's stages those at the bank; "signed" and what the chain does are told from the chain."""

MOST_TASKS = 50
PAGE = 100


def list_tasks(
    services: Services, party: PartyId, now: dt.datetime, domain: dict[str, Any]
) -> TaskList:
    """The leaf waybills that a party performs, newest first.

    Args:
        services: the transaction.
        party: the driver.
        now: the business clock.
        domain: of DeliveryRegistry, as typed data carry it.
    """
    leaves: list[HeldWaybill] = []
    before: int | None = None
    while len(leaves) < MOST_TASKS:
        page = services.records.list_waybills(party=party, stage=None, before=before, limit=PAGE)
        leaves += [one for _, one in page if one.is_leaf and one.form.performer == party]
        if len(page) < PAGE:
            break
        before = page[-1][0]
    leaves = leaves[:MOST_TASKS]
    trips = [leaf.form.trip for leaf in leaves]
    advances = {
        one.trip: one
        for one in sorted(
            services.books.list_advances(trips=trips) if trips else [],
            key=lambda one: one.submitted_at,
        )
    }
    payees = services.books.list_payees([one.advance for one in advances.values()])
    parties = services.records.list_parties(sorted({party, *(one.form.issuer for one in leaves)}))
    steps = services.receipts.list_steps(trips)
    verdicts = services.tracks.list_verdicts(trips)
    data = []
    for leaf in leaves:
        advance = advances.get(leaf.form.trip)
        own = (
            next((one for one in payees[advance.advance] if one.party == party), None)
            if advance
            else None
        )
        held = services.records.find_trip(leaf.form.trip)
        verdict = verdicts.get(leaf.form.trip)
        data.append(
            _task(
                services,
                leaf,
                held if held is not None and held.leaf == leaf.id else None,
                advance,
                own,
                issuer=parties[leaf.form.issuer],
                steps=steps[leaf.form.trip],
                verdict=verdict.verdict if verdict else "",
            )
        )
    me = parties[party]
    return TaskList(
        party=str(party), name_zh=me.name_zh, name_en=me.name_en, at=now, domain=domain, data=data
    )


def _task(
    services: Services,
    leaf: HeldWaybill,
    held: HeldTrip | None,
    advance: AdvanceRecord | None,
    own: PayeeRecord | None,
    *,
    issuer: Party,
    steps: dict[str, dt.datetime],
    verdict: str,
) -> TaskShown:
    papers, form = leaf.papers, leaf.form
    return TaskShown(
        waybill=leaf.id,
        trip=form.trip,
        version=leaf.version,
        vehicle=leaf.vehicle or ZERO32,
        stage=leaf.stage.value,
        issuer_zh=issuer.name_zh,
        issuer_en=issuer.name_en,
        shipping_note=str(papers.get("shipping_note", "")),
        serial=str(papers.get("serial", "")),
        goods=str(papers.get("goods", "")),
        unit=str(papers.get("unit", "")),
        quantity_milli=leaf.quantity,
        plate=str(papers.get("plate", "")),
        origin=str(papers.get("origin", "")),
        destination=str(papers.get("destination", "")),
        load_from=_instant(form.load_from),
        deliver_by=_instant(form.deliver_by),
        sign_by=_instant(form.expires),
        term_days=form.term_days,
        freight_fen=leaf.freight,
        # What an advance costs is the borrower's; nothing is ever taken from the driver's freight.
        net_fen=leaf.freight - leaf.credited,
        paid_fen=leaf.paid,
        advance=advance.advance if advance else None,
        advance_state=advance.state.value if advance else "",
        advance_fen=own.amount_fen if own else 0,
        signed=form.performer not in leaf.missing,
        needs_consent=own is not None
        and own.consented_at is None
        and advance is not None
        and advance.state is AdvanceState.REQUESTED,
        trip_state=(held.state if held else TripState.NONE).name.lower(),
        verdict=verdict,
        disputed=held is not None and held.disputed,
        refusal=leaf.refusal,
        steps=steps,
        loaded_at=held.loaded_at if held else None,
        confirmed_at=held.confirmed_at if held else None,
        money=money_stages(services, held, own) if held else [],
    )


def money_stages(services: Services, trip: HeldTrip, own: PayeeRecord | None) -> list[MoneyStage]:
    """Where a driver's money is: each stage with its time, None while it lies ahead."""
    words = services.tracks.list_attestations(trip.id)
    spoken = sorted(one.attested for one in words if one.attested is not None)
    attested = _instant(spoken[ATTESTORS_NEEDED - 1]) if len(spoken) >= ATTESTORS_NEEDED else None
    stages = [
        MoneyStage(stage="signed", at=trip.confirmed_at),
        MoneyStage(stage="attested", at=attested),
    ]
    if own is None:
        return [*stages, MoneyStage(stage="delivered", at=trip.completed_at)]
    bank = [
        MoneyStage(stage=one.name, at=one.at)
        for story in ([tell_payout(services, Hash32(own.payout))] if own.payout else [])
        for one in story.stages
        if one.name in BANK_STAGES
    ]
    return [
        *stages,
        MoneyStage(stage="released", at=own.paid_at),
        *(bank or [MoneyStage(stage=name, at=None) for name in USUAL_STAGES]),
    ]


def _instant(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)
