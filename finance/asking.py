"""Use cases of asking for an advance: decision with reasons, request, acknowledgement, consent, approval."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from chain.bindings.freight_advance import FreightAdvance
from chain.bindings.structs import Acknowledgement, AdvanceRequest, Approval, PayeeConsent
from chain.clock import beijing_day
from chain.errors import InvalidValueError
from chain.ids import AdvanceId, Hash32, LineId, PartyId
from chain.typed_data import struct_hash
from finance import law
from finance.accrual import BPS, date_of
from finance.advance import AdvanceState, require_move
from finance.business_days import business_days_after
from finance.errors import (
    AdvanceStateError,
    DecisionRefusedError,
    DecisionStaleError,
    HeadroomError,
    LineStateError,
)
from finance.records import (
    AdvanceRecord,
    DecisionRecord,
    LineRecord,
    LineState,
)
from finance.risk import Stage, Verdict, decide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chain.bindings.structs import (
        Payee,
    )
    from chain.ids import TripId, WaybillId
    from finance.records import RequestFacts

from finance.applications import FREIGHT_DAYS
from finance.history import limit_of, price_z_milli
from finance.relations import Carriage, Relations, doubles_of, party_name
from finance.standing import stand
from finance.use_cases import FORM_VALID, MoneyUseCases, form_json, new_salt, payees_of_form
from finance.watch import Action

DECISION_VALID: Final = dt.timedelta(hours=1)
"""How old a decision may be when the signed request comes in."""

OLD_DIFFERENCE_DAYS: Final = 2
"""A difference older than T+2, in business days, stops new advances."""


@dataclass(frozen=True, slots=True)
class PreparedAdvance:
    """A decision, and the form to sign if it does not refuse."""

    decision: DecisionRecord
    form: AdvanceRequest


class AskingUseCases(MoneyUseCases):
    """From the question to the approval."""

    def prepare_advance(
        self,
        *,
        line: LineId,
        waybill: WaybillId,
        trip: TripId,
        principal: int,
        payees: Sequence[Payee],
        fingerprint: Hash32,
        carriage: Carriage | None = None,
    ) -> PreparedAdvance:
        """Decides on a request, with every rule's answer, and prepares the form to sign.

        Args:
            line: the borrower's line.
            waybill: his own waybill; its issuer is the debtor.
            trip: the trip whose freight is advanced.
            principal: fen.
            payees: who is paid, the driver first.
            fingerprint: keyed hash of (consignor, shipping note, serial, tier).
            carriage: what the trip carries, to be compared with other financed trips; kept.

        Returns:
            The decision is kept also when it refuses; the form then is of no use.

        Raises:
            UnknownLineError, InvalidValueError: names the field.
        """
        started = time.perf_counter_ns()
        record = self._get_line(line)
        now = self._clock.now()
        form = AdvanceRequest(
            line=line,
            waybill=waybill,
            trip=trip,
            principal=principal,
            payees=tuple(payees),
            fingerprint=fingerprint,
            decision=Hash32("0x" + "0" * 64),
            expires=int((now + FORM_VALID).timestamp()),
            salt=new_salt(),
        )
        if principal <= 0 or not payees:
            raise InvalidValueError(
                "an advance has a principal above zero and a payee", field="principal"
            )
        facts = self._chain.fetch_request_facts(line, form, fingerprint)
        if facts.performer != record.borrower:
            raise InvalidValueError(
                "only the performer of the waybill may borrow on it",
                field="waybill",
                expected=str(facts.performer),
                given=str(record.borrower),
            )
        if carriage is not None:
            carriage = replace(carriage, borrower=str(record.borrower))
            self._books.save_carriage(carriage)
        made = decide(
            self._forest,
            self._inputs(record, form, facts, now, carriage),
            stage=Stage.RELEASE,
            subject=trip,
            at=now,
            asked_fen=principal,
        )
        kept = self._keep_decision(
            made,
            Stage.RELEASE,
            trip,
            asked_fen=principal,
            lender=record.lender,
            at=now,
            started=started,
        )
        return PreparedAdvance(kept, replace(form, decision=Hash32(made.hash)))

    def request_advance(self, form: AdvanceRequest, borrower_signature: bytes) -> AdvanceRecord:
        """Sends a signed request to the chain and claims the line's headroom for it.

        Raises:
            DecisionStaleError: no fresh decision for exactly this request.
            DecisionRefusedError: the decision refuses; its reasons are in the facts.
            HeadroomError: the line has less room, other requests in flight counted.
            SignatureRefusedError: not signed by the borrower, or expired.
        """
        advance = AdvanceId(struct_hash(form))
        known = self._books.find_advance(advance)
        if known is not None:
            return known
        line = self._get_line(form.line)
        if line.state is not LineState.OPEN:
            raise LineStateError("the credit line is not open on chain yet", field="line")
        now = self._clock.now()
        line.as_line.require_open(now)
        self._require_fresh(form.expires)
        self._require_decision(form, now)
        self._require_signed(line.borrower, "FreightAdvance", form, borrower_signature)
        if not self._books.hold(form.line, form.principal):
            room = self._get_line(form.line).as_line.headroom
            raise HeadroomError(
                f"the line has headroom for {room} fen",
                field="principal",
                headroom_fen=room,
                asked_fen=form.principal,
            )
        record = AdvanceRecord(
            advance=advance,
            line=form.line,
            lender=line.lender,
            borrower=line.borrower,
            waybill=form.waybill,
            trip=form.trip,
            principal_fen=form.principal,
            decision=form.decision,
            submitted_at=now,
            held_fen=form.principal,
            fingerprint=form.fingerprint,
            form=form_json(form),
        )
        self._books.save_advance(record)
        self._books.save_payees(payees_of_form(advance, form.payees))
        call = FreightAdvance.request(form, borrower_signature)
        self._outbox.queue(call, key=f"advance:{advance}", about=form.trip)
        return record

    def prepare_acknowledgement(self, advance: AdvanceId, *, notice: Hash32) -> Acknowledgement:
        """The form by which the debtor acknowledges debt and assignment.

        Args:
            advance: requested on chain.
            notice: hash of the notice of assignment he was sent.
        """
        record = self._get_advance(advance)
        if not record.debtor:
            raise AdvanceStateError("the request is not on chain yet", advance=advance)
        return Acknowledgement(
            advance=advance,
            debtor=PartyId(int(record.debtor)),
            waybill=record.waybill,
            trip=record.trip,
            lender=record.lender,
            notice=notice,
            expires=self._form_expiry(),
            salt=new_salt(),
        )

    def acknowledge_debt(self, form: Acknowledgement, debtor_signature: bytes) -> None:
        """The debtor acknowledges; without it nothing is approved."""
        record = self._get_advance(form.advance)
        if str(form.debtor) != record.debtor:
            raise InvalidValueError(
                "the debtor is the issuer of the borrower's waybill",
                field="debtor",
                expected=record.debtor,
                given=str(form.debtor),
            )
        told = self._books.find_notice(form.advance)
        if told is not None and form.notice != told.hash:
            raise InvalidValueError(
                "the acknowledgement is of another notice than the debtor was sent",
                field="notice",
                expected=told.hash,
                given=form.notice,
            )
        self._require_fresh(form.expires)
        self._require_signed(form.debtor, "FreightAdvance", form, debtor_signature)
        self._queue(FreightAdvance.acknowledge(form, debtor_signature), form, about=record.trip)

    def prepare_consent(self, advance: AdvanceId, party: PartyId) -> PayeeConsent:
        """The form by which a payee agrees to be paid into his account."""
        payee = self._get_payee(advance, party)
        return PayeeConsent(
            advance=advance,
            party=party,
            account=payee.account,
            expires=self._form_expiry(),
            salt=new_salt(),
        )

    def consent_payee(self, form: PayeeConsent, payee_signature: bytes) -> None:
        """A payee agrees; without it nothing is approved."""
        payee = self._get_payee(form.advance, form.party)
        if payee.account != form.account:
            raise InvalidValueError("not the account of the request", field="account")
        self._require_fresh(form.expires)
        self._require_signed(form.party, "FreightAdvance", form, payee_signature)
        record = self._get_advance(form.advance)
        self._queue(FreightAdvance.consent(form, payee_signature), form, about=record.trip)

    def prepare_approval(self, advance: AdvanceId, *, approved_until: dt.datetime) -> Approval:
        """The form by which the lender approves borrower, principal, term and payees.

        Args:
            advance: requested on chain.
            approved_until: the delivery must complete by then.
        """
        record = self._get_advance(advance)
        return Approval(
            advance=advance,
            borrower=record.borrower,
            principal=record.principal_fen,
            approved_until=int(approved_until.timestamp()),
            expires=self._form_expiry(),
            salt=new_salt(),
        )

    def approve_advance(self, form: Approval, lender_signature: bytes) -> None:
        """The lender approves: the chain locks the cash, pledges the receivable, freezes the payees."""
        record = self._get_advance(form.advance)
        require_move(form.advance, record.state, AdvanceState.APPROVED)
        if form.principal != record.principal_fen or form.borrower != record.borrower:
            raise InvalidValueError(
                "an approval covers the borrower and principal of its request", field="principal"
            )
        self._require_fresh(form.expires)
        self._require_signed(record.lender, "FreightAdvance", form, lender_signature)
        self._queue(FreightAdvance.approve(form, lender_signature), form, about=record.trip)

    # -- deciding ---------------------------------------------------------------------------------

    def _inputs(
        self,
        line: LineRecord,
        form: AdvanceRequest,
        facts: RequestFacts,
        now: dt.datetime,
        carriage: Carriage | None,
    ) -> dict[str, Any]:
        """What the rules may ask about, by name."""
        today = beijing_day(now)
        standing = stand(
            self._books, lender=line.lender, borrower=line.borrower, debtor=facts.debtor, now=now
        )
        borrower, known, rooms = party_name(line.borrower), standing.known, standing.rooms
        policy = standing.policy
        freight = Relations(self._books.list_freight_around(borrower, today - FREIGHT_DAYS))
        doubles = (
            ()
            if carriage is None
            else doubles_of(carriage, self._books.list_financed_like(carriage))
        )
        held = line.held_fen
        warned = self._books.list_warnings(lender=line.lender, borrower=line.borrower)
        limit_fen = facts.limit_fen
        if warned:  # lowered at once; the line on chain follows with the lender's signature
            own = self._books.list_receivables(owner=line.borrower)
            limit_fen = min(
                limit_fen, limit_of(own, warned, today, present_fen=limit_fen).amount_fen
            )
        return {
            "line_frozen": facts.line_frozen
            or any(one.action in (Action.FREEZE, Action.COLLECT) for one in warned),
            "line_ended": now > facts.line_valid_until,
            "principal_fen": form.principal,
            "headroom_fen": max(0, limit_fen - facts.reserved_fen - facts.drawn_fen - held),
            "limit_fen": limit_fen,
            "reserved_fen": facts.reserved_fen + held,
            "drawn_fen": facts.drawn_fen,
            "receivable_fen": facts.receivable_fen,
            "advance_bps": line.advance_bps,
            "debtor_signed": facts.debtor_signed,
            "debtor_related": facts.debtor in (line.borrower, line.lender)
            or standing.related.find_relation(borrower, party_name(facts.debtor)) is not None,
            "receivable_pledged": facts.pledged,
            "trip_taken": facts.trip_taken,
            "trip_state": facts.trip_state,
            "driver_first": form.payees[0].waybill == facts.leaf
            and form.payees[0].party == facts.payees[0].performer,
            "payees_fen": sum(payee.amount for payee in form.payees),
            "payee_above_owed": any(
                payee.amount > own.owed_fen or payee.party != own.performer
                for payee, own in zip(form.payees, facts.payees, strict=True)
            ),
            "payee_account_shared": self._books.is_account_shared(
                {payee.account: payee.party for payee in form.payees}
            ),
            "purpose": "freight",
            "ceiling_ppm": line.terms.ceiling_ppm,
            "cost_cap_ppm": law.parameter("yearly_cost_cap_ppm", date_of(today)),
            "lpr_ppm": None if policy is None else policy.lpr_ppm,
            "net_assets_known": standing.net_assets_known,
            "borrower_room_fen": rooms.get("borrower_room"),
            "group_room_fen": rooms.get("group_room"),
            "borrower_balance_fen": known.balance_fen,
            "online_cap_fen": law.parameter("online_business_cap_fen", date_of(today)),
            "borrower_overdue_days": known.overdue_days,
            "debtor_exposure_fen": known.debtor_exposure_fen,
            "debtor_cap_fen": None
            if policy is None
            else line.limit_fen * policy.debtor_cap_bps // BPS,
            "term_days": facts.term_days,
            "delivered_trips": known.delivered_trips,
            "week_trips": known.week_trips + 1,
            "usual_week_trips": known.usual_week_trips,
            "similar_financed": self._books.count_similar(form.fingerprint, form.trip, None)
            + len(doubles),
            "price_z_milli": None
            if carriage is None
            else price_z_milli(
                facts.receivable_fen,
                carriage.quantity,
                self._books.list_shipment_prices(carriage, facts.debtor),
            ),
            "trade_cycles": len(freight.rings_of(borrower)),
            "group_overdue_days": standing.group_overdue_days,
            "old_differences": sum(
                business_days_after(date_of(one.first_day), OLD_DIFFERENCE_DAYS) < date_of(today)
                for one in self._books.list_differences()
            ),
        }

    def _require_decision(self, form: AdvanceRequest, now: dt.datetime) -> None:
        kept = self._books.find_decision(form.decision)
        if kept is None:
            raise DecisionStaleError(field="decision")
        if now - kept.decided_at > DECISION_VALID:
            raise DecisionStaleError("the decision is too old; ask for a new one", field="decision")
        if kept.subject != form.trip or kept.asked_fen != form.principal:
            raise DecisionStaleError(
                "the decision was made for another trip or amount", field="decision"
            )
        if kept.decision.verdict is Verdict.REFUSE:
            raise DecisionRefusedError(
                "; ".join(reason.en for reason in kept.decision.reasons if reason.effect != "info"),
                reasons=[
                    {"code": one.code, "zh": one.zh, "en": one.en, "law": one.law}
                    for one in kept.decision.reasons
                ],
            )
