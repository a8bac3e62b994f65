"""From a trip's story to its page: every event becomes a sentence with names, amounts and its place on chain."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from api.portals.finding_words import finding_name, finding_numbers
from api.portals.views import (
    Anchor,
    Contract,
    Drive,
    Lane,
    Loan,
    Moment,
    Observation,
    Tone,
    TripCard,
    TripPage,
)
from api.portals.words import word
from api.stages import stage_of
from api.timeline import Filed
from api.trip_stories import TripStory
from chain.bindings.enums import TripState
from finance.accrual import date_of
from finance.advance import AdvanceState
from finance.records import AdvanceRecord
from finance.service import AdvancePosition
from finance.waterfall import Component

_ALTERED = re.compile(r"-[a-z]+$")
_UNIT_ZH = {"t": "吨", "kg": "公斤", "m3": "方", "pcs": "件"}


class TripPages:
    """Makes the pages of one language.

    Args:
        lang: ``zh`` or ``en``.
        demo: in a demo the shipping note of an altered trip says how it was altered.
    """

    def __init__(self, lang: str, *, demo: bool = False) -> None:
        self.lang = lang
        self._demo = demo

    def card(self, story: TripStory, advance: AdvanceRecord | None) -> TripCard:
        """A trip as the list shows it."""
        papers = story.leaf.papers
        number, serial = str(papers.get("shipping_note", "")), str(papers.get("serial", ""))
        reasons = self.reasons(story, advance)
        return TripCard(
            trip=story.trip.id,
            note=f"{number}·{serial}" if serial else number,
            vehicle=str(papers.get("plate", "")),
            driver=self.name(story, story.leaf.form.performer),
            origin=str(papers.get("origin", "")),
            destination=str(papers.get("destination", "")),
            stage=stage_of(
                story.trip,
                story.leaf,
                story.verdict.verdict if story.verdict else "",
                advance,
                held=bool(reasons),
            ),
            verdict=story.verdict.verdict if story.verdict else "",
            freight_fen=story.leaf.freight,
            released_fen=advance.released_fen if advance else 0,
            at=story.trip.loaded_at,
            reasons=reasons,
            altered=self._demo and _ALTERED.search(number) is not None,
        )

    def page(
        self, story: TripStory, position: AdvancePosition | None, *, has_map: bool
    ) -> TripPage:
        """A trip's whole page."""
        papers = story.leaf.papers
        unit = str(papers.get("unit", ""))
        accepted = story.trip.accepted
        return TripPage(
            card=self.card(story, position.record if position else None),
            consignor=self.name(story, story.chain[0].form.issuer),
            consignee=self.name(story, story.leaf.form.consignee),
            quantity=self.quantity(story.leaf.quantity, unit),
            accepted="" if accepted is None else self.quantity(accepted, unit),
            contracts=[
                Contract(
                    waybill=waybill.id,
                    tier=waybill.tier,
                    issuer=self.name(story, waybill.form.issuer),
                    performer=self.name(story, waybill.form.performer),
                    freight_fen=waybill.freight,
                    paid_fen=waybill.paid,
                    state=waybill.stage.value,
                    declared=waybill.declared,
                )
                for waybill in story.chain
            ],
            drive=self._drive(story, has_map=has_map),
            loan=None if position is None else self._loan(story, position),
            moments=self._moments(story),
        )

    def reasons(self, story: TripStory, advance: AdvanceRecord | None) -> list[str]:
        """Why money has not moved, in words; empty while everything goes its way."""
        if advance is not None and advance.released_fen:
            return []
        found = [
            self._observation(one).detail
            for one in (story.verdict.document["findings"] if story.verdict else ())
            if one["severity"] != "info"
        ]
        if story.trip.disputed:
            found.append(word("reason_disputed", self.lang))
        if story.trip.state is TripState.VOID:
            found.append(word("reason_void", self.lang))
        accepted = story.trip.accepted
        if accepted is not None and accepted < story.trip.loaded:
            short = self.quantity(
                story.trip.loaded - accepted, str(story.leaf.papers.get("unit", ""))
            )
            found.append(f"{word('reason_short', self.lang)} {short}")
        if advance is not None and advance.state in {AdvanceState.DECLINED, AdvanceState.VOIDED}:
            found.append(word(f"advance_{advance.state.value}", self.lang))
        found += [
            f"{sent.function}: {sent.message or sent.error}"
            for sent in story.sent
            if sent.state.value == "reverted"
        ]
        return list(dict.fromkeys(found))

    def name(self, story: TripStory, party: int | str) -> str:
        """What a party is called."""
        return story.name(party, self.lang)

    def quantity(self, milli: int, unit: str) -> str:
        """Thousandths of a unit with the unit's name."""
        shown = _UNIT_ZH.get(unit, unit) if self.lang == "zh" else unit
        return f"{milli // 1000:,}.{milli % 1000:03d} {shown}".strip()

    def _observation(self, finding: Mapping[str, Any]) -> Observation:
        name = finding_name(finding["code"], self.lang)
        numbers = finding_numbers(finding["detail"], self.lang)
        between = ": "
        return Observation(
            code=finding["code"],
            severity=finding["severity"],
            detail=f"{name}{between}{numbers}" if numbers else name,
        )

    def _drive(self, story: TripStory, *, has_map: bool) -> Drive:
        attestations = [
            (self.name(story, one.attestor), one.verdict)
            for one in story.attestations
            if one.attested is not None
        ]
        if story.verdict is None:
            return Drive("", batches=len(story.batches), attestations=attestations, has_map=has_map)
        document = story.verdict.document
        route = document["route"]
        length = route["length_m"]
        return Drive(
            verdict=story.verdict.verdict,
            coverage_bps=route["covered_m"] * 10_000 // length if length else None,
            distance_m=document["distance_m"],
            route_m=length,
            max_gap_s=document["max_gap_s"],
            fixes_used=document["fixes"]["used"],
            fixes_rejected=sum(document["fixes"]["rejected"].values()),
            batches=len(story.batches),
            attestations=attestations,
            findings=[self._observation(one) for one in document["findings"]],
            root=story.verdict.root,
            has_map=has_map,
        )

    def _loan(self, story: TripStory, position: AdvancePosition) -> Loan:
        record = position.record
        repaid = [one.facts for one in story.filed if one.event == "AdvanceRepaid"]
        paid = {
            name: sum(int(facts[name]) for facts in repaid)
            for name in ("fee", "interest", "penalty")
        }
        return Loan(
            state=record.state.value,
            lender=self.name(story, record.lender),
            borrower=self.name(story, record.borrower),
            principal_fen=record.principal_fen,
            released_fen=record.released_fen,
            outstanding_fen=position.payoff_fen,
            fee_fen=position.due[Component.FEE],
            interest_fen=position.due[Component.INTEREST],
            penalty_fen=position.due[Component.PENALTY],
            start_day=date_of(record.start_day) if record.start_day else None,
            due_day=date_of(record.due_day) if record.due_day else None,
            payees=[
                (self.name(story, payee.party), payee.amount_fen, payee.paid_fen)
                for payee in position.payees
            ],
            paid_fee_fen=paid["fee"],
            paid_interest_fen=paid["interest"],
            paid_penalty_fen=paid["penalty"],
            advance=record.advance,
        )

    def _gather_batches(self, moments: list[Moment]) -> list[Moment]:
        """Batches that follow one another become one line: how many, how many fixes, where they end."""
        gathered: list[Moment] = []
        for moment in moments:
            last = gathered[-1] if gathered else None
            if last is not None and last.batches and moment.batches:
                gathered[-1] = replace(
                    moment, batches=last.batches + moment.batches, fixes=last.fixes + moment.fixes
                )
            else:
                gathered.append(moment)
        return [
            replace(one, detail=self._batches_text(one.batches, one.fixes)) if one.batches else one
            for one in gathered
        ]

    def _batches_text(self, batches: int, fixes: int) -> str:
        if self.lang == "zh":
            return f"{batches} 批, {fixes} 个定位点"
        return f"{batches} {'batch' if batches == 1 else 'batches'}, {fixes} fixes"

    # -- the timeline -------------------------------------------------------------------------

    def _moments(self, story: TripStory) -> Sequence[Moment]:
        states = {sent.transaction_hash: sent for sent in story.sent if sent.transaction_hash}
        found = []
        for filed in story.filed:
            tell = _SENTENCES.get(filed.event)
            if tell is None:
                continue
            sent = states.get(filed.transaction_hash)  # type: ignore[call-overload]  # a Hash32 by value
            anchor = Anchor(
                state=sent.state.value if sent else "final",
                transaction=filed.transaction_hash,
                block=filed.block_number,
                gas=sent.gas_used if sent else None,
            )
            found.append(tell(self, story, filed, anchor))
        found = self._gather_batches(found)
        if story.verdict is not None:
            drive = self._drive(story, has_map=False)
            detail = "" if drive.coverage_bps is None else f"{drive.coverage_bps / 100:.2f}%"
            found.insert(  # before whatever stands at the same second
                0,
                Moment(
                    at=_judged_at(story),
                    lane=Lane.ROAD,
                    title="drive_judged",
                    detail=f"{word('verdict_' + drive.verdict, self.lang)} · "
                    f"{word('coverage', self.lang)} {detail}",
                    tone=drive.tone,
                ),
            )
        return sorted(found, key=lambda moment: moment.at)


def _judged_at(story: TripStory) -> dt.datetime:
    """When our judge spoke; an attestation, dated by its block, never stands before it."""
    assert story.verdict is not None
    judged = dt.datetime.fromtimestamp(story.verdict.judged, dt.UTC)
    attested = [one.at for one in story.filed if one.event == "DriveAttested"]
    return min([judged, *attested])


# -- one sentence for each event --------------------------------------------------------------------

Sentence = Callable[[TripPages, TripStory, Filed, Anchor], Moment]


def _sentence(
    lane: Lane,
    title: str,
    *,
    actor: str = "",
    to: str = "",
    amount: str = "",
    tone: Tone = Tone.GOOD,
    detail: Callable[[TripPages, TripStory, Mapping[str, Any]], str] | None = None,
) -> Sentence:
    """A sentence about an event: which of its facts are people and which an amount."""

    def tell(pages: TripPages, story: TripStory, filed: Filed, anchor: Anchor) -> Moment:
        facts = filed.facts
        people = [pages.name(story, facts[name]) for name in (actor, to) if name]
        return Moment(
            at=filed.at,
            lane=lane,
            title=title,
            actor=" → ".join(people),
            detail=detail(pages, story, facts) if detail else "",
            amount_fen=int(facts[amount]) if amount else None,
            tone=tone,
            anchor=anchor,
        )

    return tell


def _loaded(pages: TripPages, story: TripStory, facts: Mapping[str, Any]) -> str:
    return pages.quantity(int(facts["quantity"]), str(story.leaf.papers.get("unit", "")))


def _accepted(pages: TripPages, story: TripStory, facts: Mapping[str, Any]) -> str:
    quantity = pages.quantity(int(facts["accepted"]), str(story.leaf.papers.get("unit", "")))
    return f"{word('accepted', pages.lang)} {quantity}"


def _batch(_: TripPages, __: TripStory, filed: Filed, anchor: Anchor) -> Moment:
    return Moment(
        at=filed.at,
        lane=Lane.ROAD,
        title="track_committed",
        anchor=anchor,
        batches=1,
        fixes=int(filed.facts["count"]),
    )


def _verdict(pages: TripPages, _: TripStory, facts: Mapping[str, Any]) -> str:
    name = ("none", "pass", "review", "fail")[int(facts["verdict"])]
    return word(f"verdict_{name}", pages.lang)


def _repaid(pages: TripPages, _: TripStory, filed: Filed, anchor: Anchor) -> Moment:
    facts = filed.facts
    parts = {name: int(facts[name]) for name in ("fee", "penalty", "interest", "principal")}
    return Moment(
        at=filed.at,
        lane=Lane.MONEY,
        title="advance_repaid_event",
        detail=" · ".join(
            f"{word('outstanding_principal' if name == 'principal' else name, pages.lang)} "
            f"{amount // 100}.{amount % 100:02d}"
            for name, amount in parts.items()
            if amount
        ),
        amount_fen=sum(parts.values()),
        anchor=anchor,
    )


_SENTENCES: dict[str, Sentence] = {
    "WaybillIssued": _sentence(
        Lane.BUSINESS, "waybill_issued_event", actor="issuer", to="performer", amount="freight"
    ),
    "TripLoaded": _sentence(Lane.BUSINESS, "trip_loaded", detail=_loaded),
    "TrackCommitted": _batch,
    "DriveAttested": _sentence(Lane.ROAD, "drive_attested", actor="attestor", detail=_verdict),
    "DeliveryConfirmed": _sentence(
        Lane.BUSINESS, "delivery_confirmed", actor="by", detail=_accepted
    ),
    "DeliveryCompleted": _sentence(Lane.CHAIN, "delivery_completed"),
    "DeliveryDisputed": _sentence(Lane.BUSINESS, "delivery_disputed", actor="by", tone=Tone.WARN),
    "TripVoided": _sentence(Lane.BUSINESS, "trip_voided", tone=Tone.BAD),
    "AdvanceRequested": _sentence(
        Lane.MONEY, "advance_requested_event", actor="borrower", amount="principal"
    ),
    "DebtAcknowledged": _sentence(Lane.BUSINESS, "debt_acknowledged", actor="debtor"),
    "PayeeConsented": _sentence(Lane.BUSINESS, "payee_consented", actor="payee"),
    "AdvanceApproved": _sentence(
        Lane.MONEY, "advance_approved_event", actor="lender", amount="principal"
    ),
    "AdvanceReleasable": _sentence(Lane.MONEY, "advance_releasable_event", tone=Tone.WARN),
    "AdvanceReleased": _sentence(Lane.MONEY, "advance_released_event", amount="amount"),
    "PayeePaid": _sentence(Lane.MONEY, "payee_paid", actor="payee", amount="amount"),
    "PayeeFailed": _sentence(
        Lane.MONEY, "payee_failed", actor="payee", amount="amount", tone=Tone.BAD
    ),
    "AdvanceVoided": _sentence(Lane.MONEY, "advance_voided_event", tone=Tone.WARN),
    "AdvanceRepaid": _repaid,
    "AdvanceClosed": _sentence(Lane.MONEY, "advance_closed"),
    "FreightSettled": _sentence(Lane.MONEY, "freight_settled", amount="received"),
    "PayoutPaid": _sentence(Lane.MONEY, "payout_paid"),
}
"""How each event is told; what is not here is bookkeeping between contracts."""
