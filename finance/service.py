"""Use cases of the money: lines, requests, consents, approval, repayment, and what the chain says of them.

Every use case checks, writes rows and an outgoing call in the caller's database transaction. Rows of what is
on chain, and the books, move in the ``on_`` methods alone, which ``api.flow`` calls for each event.
"""

from __future__ import annotations

import datetime as dt
import secrets
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from chain.abi import address, json_value
from chain.bindings.credit_facility import CreditFacility
from chain.bindings.freight_advance import FreightAdvance
from chain.bindings.freight_settlement import FreightSettlement
from chain.bindings.settlement_token import SettlementToken
from chain.bindings.structs import Acknowledgement, AdvanceRequest, Approval, PayeeConsent
from chain.clock import beijing_day
from chain.errors import InvalidValueError, SignatureRefusedError
from chain.ids import AdvanceId, Hash32, LineId, PartyId
from chain.typed_data import struct_hash
from finance import law
from finance.accrual import BPS, date_of
from finance.advance import OWING, AdvanceEvent, AdvanceState, EventKind, replay, require_move
from finance.audit import CUSTODIAN, Discrepancy, LedgerFacts, audit, book_of, token_account
from finance.business_days import business_days_after
from finance.classification import FiveTier, five_tier_floor
from finance.day_end import accrue_days, loan_first_day, midnight_after
from finance.errors import (
    AdvanceStateError,
    DecisionRefusedError,
    DecisionStaleError,
    HeadroomError,
    LineStateError,
    UnknownAdvanceError,
    UnknownLineError,
)
from finance.forests import shipped_forest
from finance.ledger import (
    Account,
    Booking,
    Entry,
    Line,
    TrialBalance,
    lines_of,
    to_beancount,
)
from finance.portfolio import LoanRow, portfolio
from finance.records import (
    AdvanceRecord,
    DecisionRecord,
    LineRecord,
    LineState,
    PayeeRecord,
    PayeeState,
    SettlementRecord,
)
from finance.risk import Stage, Verdict, decide
from finance.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chain.abi import ContractCall, Event, Occurred, Struct
    from chain.bindings import events
    from chain.bindings.structs import (
        Cascade,
        CreditLine,
        Gate,
        LenderAct,
        LineChange,
        Payee,
        PayoutRequest,
        Repayment,
        VaultMove,
    )
    from chain.clock import Clock
    from chain.ids import Address, TripId, WaybillId
    from chain.ports import BlockRef, Outbox
    from finance.advance import Advance
    from finance.portfolio import Portfolio
    from finance.ports import Books, OnChain
    from finance.records import LenderPolicy, RequestFacts
    from finance.risk import Forest
    from finance.waterfall import Component

DECISION_VALID: Final = dt.timedelta(hours=1)
"""How old a decision may be when the signed request comes in."""

FORM_VALID: Final = dt.timedelta(days=7)
"""How long a prepared form may be signed and used."""

OLD_DIFFERENCE_DAYS: Final = 2
"""A difference older than T+2, in business days, stops new advances."""

_NOBODY: Final = "0x0000000000000000000000000000000000000000"


@dataclass(frozen=True, slots=True)
class PreparedAdvance:
    """A decision, and the form to sign if it does not refuse."""

    decision: DecisionRecord
    form: AdvanceRequest


@dataclass(frozen=True, slots=True)
class AdvancePosition:
    """An advance as it stands on a day: record, payees, debt, class. Amounts in fen."""

    record: AdvanceRecord
    payees: tuple[PayeeRecord, ...]
    due: dict[Component, int]
    days_past_due: int
    tier: str
    tier_zh: str

    @property
    def payoff_fen(self) -> int:
        """What would close it on that day."""
        return sum(self.due.values())


class FinanceService:
    """Lines, advances and books. One object serves one database transaction."""

    def __init__(
        self,
        *,
        books: Books,
        outbox: Outbox,
        chain: OnChain,
        clock: Clock,
        forest: Forest | None = None,
    ) -> None:
        self._books = books
        self._outbox = outbox
        self._chain = chain
        self._clock = clock
        self._forest = forest or shipped_forest()

    # -- lenders and lines ------------------------------------------------------------------------

    def set_policy(self, policy: LenderPolicy) -> None:
        """Keeps what a lender decides or must report (net assets, LPR, caps) from a day on."""
        self._books.save_policy(policy, self._clock.now())

    def open_line(
        self, form: CreditLine, lender_signature: bytes, borrower_signature: bytes
    ) -> LineRecord:
        """Opens a credit line whose terms both sides have signed.

        Raises:
            InvalidTermsError: the terms contradict themselves.
            DecisionRefusedError: the law's cost cap forbids them.
            SignatureRefusedError: one side has not signed these terms, or they have expired.
        """
        line = LineId(struct_hash(form))
        known = self._books.find_line(line)
        if known is not None:
            return known
        self._require_fresh(form.expires)
        record = self._line_record(line, form, LineState.SUBMITTED)
        self._require_lawful(record.terms)
        self._require_signed(form.lender, "CreditFacility", form, lender_signature)
        self._require_signed(form.borrower, "CreditFacility", form, borrower_signature)
        self._books.save_line(record)
        call = CreditFacility.open_line(form, lender_signature, borrower_signature)
        self._outbox.queue(call, key=f"line:{line}", about=line)
        return record

    def change_line(
        self, form: LineChange, lender_signature: bytes, borrower_signature: bytes = b""
    ) -> None:
        """Changes limit, freeze or end of a line; a higher limit needs the borrower too."""
        line = self._get_line(form.line)
        self._require_fresh(form.expires)
        self._require_signed(line.lender, "CreditFacility", form, lender_signature)
        if form.limit > line.limit_fen:
            self._require_signed(line.borrower, "CreditFacility", form, borrower_signature)
        call = CreditFacility.change_line(form, lender_signature, borrower_signature)
        self._queue(call, form, about=form.line)

    def move_vault(self, form: VaultMove, lender_signature: bytes) -> None:
        """Moves the lender's own money into or out of his vault."""
        self._require_fresh(form.expires)
        self._require_signed(form.lender, "CreditFacility", form, lender_signature)
        self._queue(
            CreditFacility.move_vault(form, lender_signature), form, about=f"lender:{form.lender}"
        )

    # -- asking for an advance --------------------------------------------------------------------

    def prepare_advance(
        self,
        *,
        line: LineId,
        waybill: WaybillId,
        trip: TripId,
        principal: int,
        payees: Sequence[Payee],
        fingerprint: Hash32,
    ) -> PreparedAdvance:
        """Decides on a request, with every rule's answer, and prepares the form to sign.

        Args:
            line: the borrower's line.
            waybill: his own waybill; its issuer is the debtor.
            trip: the trip whose freight is advanced.
            principal: fen.
            payees: who is paid, the driver first.
            fingerprint: keyed hash of (consignor, shipping note, serial, tier).

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
            salt=_salt(),
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
        made = decide(
            self._forest,
            self._inputs(record, form, facts, now),
            stage=Stage.RELEASE,
            subject=trip,
            at=now,
            asked_fen=principal,
        )
        kept = DecisionRecord(
            decision=made,
            subject=trip,
            stage=Stage.RELEASE.value,
            forest=self._forest.hash,
            asked_fen=principal,
            elapsed_us=(time.perf_counter_ns() - started) // 1_000,
            decided_at=now,
        )
        self._books.add_decision(kept)
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
            form=_json(form),
        )
        self._books.save_advance(record)
        self._books.save_payees(_payees(advance, form.payees))
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
            salt=_salt(),
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
            salt=_salt(),
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
            salt=_salt(),
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

    # -- a running advance ------------------------------------------------------------------------

    def gate_advance(self, form: Gate, lender_signature: bytes) -> None:
        """The lender opens or closes the gate of a delivered advance that waits."""
        record = self._get_advance(form.advance)
        if record.state is not AdvanceState.RELEASABLE:
            raise AdvanceStateError(
                "only an advance that waits after its delivery has a gate",
                advance=form.advance,
                current=record.state.value,
            )
        self._require_fresh(form.expires)
        self._require_signed(record.lender, "FreightAdvance", form, lender_signature)
        self._queue(FreightAdvance.gate(form, lender_signature), form, about=record.trip)

    def retry_advance(self, advance: AdvanceId) -> None:
        """Tries a release, or an unpaid payee, again; every check runs again. Anybody may."""
        record = self._get_advance(advance)
        stamp = int(self._clock.now().timestamp())
        self._outbox.queue(
            FreightAdvance.retry(advance), key=f"retry:{advance}:{stamp}", about=record.trip
        )

    def expire_advance(self, advance: AdvanceId) -> None:
        """Frees the reserve of an approval that ended before its delivery. Anybody may."""
        record = self._get_advance(advance)
        stamp = int(self._clock.now().timestamp())
        self._outbox.queue(
            FreightAdvance.expire(advance), key=f"expire:{advance}:{stamp}", about=record.trip
        )

    def repay_advance(self, form: Repayment, borrower_signature: bytes) -> None:
        """The borrower repays from his own account, early or late, all or in part."""
        record = self._get_advance(form.advance)
        if record.state not in OWING:
            raise AdvanceStateError(
                f"nothing is owed on an advance that is {record.state.value}",
                advance=form.advance,
                current=record.state.value,
            )
        self._require_fresh(form.expires)
        self._require_signed(record.borrower, "FreightAdvance", form, borrower_signature)
        self._queue(FreightAdvance.repay(form, borrower_signature), form, about=record.trip)

    def act_on_advance(self, form: LenderAct, lender_signature: bytes) -> None:
        """The lender declares default, writes off, defers interest, declines or waives charges."""
        record = self._get_advance(form.advance)
        wanted = {
            1: AdvanceState.DEFAULTED,
            2: AdvanceState.WRITTEN_OFF,
            4: AdvanceState.DECLINED,
        }.get(form.act)
        if wanted is not None:
            require_move(form.advance, record.state, wanted)
        self._require_fresh(form.expires)
        self._require_signed(record.lender, "FreightAdvance", form, lender_signature)
        self._queue(FreightAdvance.act(form, lender_signature), form, about=record.trip)

    def settle_waybill(self, waybill: WaybillId, *, reference: str) -> None:
        """Shares what lies on a waybill's collection account. Anybody may.

        Args:
            waybill: whose collection account.
            reference: what came in, e.g. the bank reference; makes the call once-only.
        """
        self._outbox.queue(
            FreightSettlement.settle(waybill), key=f"settle:{waybill}:{reference}", about=waybill
        )

    def sign_cascade(self, form: Cascade, performer: PartyId, signature: bytes) -> None:
        """The performer lets his residue pay a waybill below."""
        self._require_fresh(form.expires)
        self._require_signed(performer, "FreightSettlement", form, signature)
        self._queue(FreightSettlement.sign_cascade(form, signature), form, about=form.waybill)

    def request_payout(self, form: PayoutRequest, signature: bytes) -> None:
        """A party takes its free balance to its bank account."""
        self._require_fresh(form.expires)
        self._require_signed(form.party, "SettlementToken", form, signature)
        self._queue(
            SettlementToken.request_payout(form, signature), form, about=f"party:{form.party}"
        )

    def release_stale_holds(self) -> int:
        """Gives back headroom held by requests that the chain refused or that have run out of time."""
        freed = 0
        now = int(self._clock.now().timestamp())
        waiting = self._books.list_advances(states=[AdvanceState.NONE, AdvanceState.REQUESTED])
        for record in waiting:
            if record.held_fen and (
                int(record.form.get("expires", 0)) < now or self._was_refused(record)
            ):
                self._release_hold(record)
                freed += 1
        return freed

    # -- looking ----------------------------------------------------------------------------------

    def show_advance(self, advance: AdvanceId, *, day: int | None = None) -> AdvancePosition:
        """An advance on a Beijing day (today if None), replayed from its events."""
        record = self._get_advance(advance)
        on = beijing_day(self._clock.now()) if day is None else day
        replayed = self._replay(record)
        late = replayed.days_past_due(on)
        tier = five_tier_floor(late)
        return AdvancePosition(
            record=record,
            payees=tuple(self._books.list_payees([advance])[advance]),
            due=replayed.due_on(on),
            days_past_due=late,
            tier=tier.word,
            tier_zh=tier.zh,
        )

    def show_portfolio(self, lender: PartyId, *, day: int | None = None) -> Portfolio:
        """A lender's portfolio on a Beijing day (today if None), replayed from the loans' events."""
        on = beijing_day(self._clock.now()) if day is None else day
        end = midnight_after(on)
        lines = {line.line: line for line in self._books.list_lines(lender=lender)}
        loans = self._books.list_advances(lender=lender, states=[*OWING, AdvanceState.REPAID])
        happened = self._books.list_events([loan.advance for loan in loans])
        rows = []
        for loan in loans:
            if loan.released_at is None or loan.released_at >= end:
                continue
            played = replay(loan.advance, lines[loan.line].terms, happened[loan.advance], until=end)
            rows.append(loan_row(loan, played, on))
        open_lines = [line for line in lines.values() if line.state is LineState.OPEN]
        return portfolio(
            rows,
            limit_fen=sum(line.limit_fen for line in open_lines),
            used_fen=sum(line.reserved_fen + line.drawn_fen for line in open_lines),
        )

    def show_trial_balance(
        self, book: str, *, until_day: int | None = None, known_by: dt.datetime | None = None
    ) -> TrialBalance:
        """A book's balances at a business date, as known at an instant."""
        found = self._books.balances(until_day=until_day, known_by=known_by, book=book)
        return TrialBalance(book, {account: fen for (_, account), fen in found.items()})

    def export_beancount(self, book: str, *, until_day: int | None = None) -> str:
        """A book as a Beancount file (yuan with 2 decimals) that bean-check accepts."""
        return to_beancount(self._books.list_entries(book, until_day=until_day))

    def reconcile(self, at: BlockRef) -> list[Discrepancy]:
        """Chain against books at one block: token supply, every account, vaults, loans, lines.

        Args:
            at: the last block whose events were handled; the chain is asked at exactly that block.

        Returns:
            Every difference; they are kept with their age, and those that are gone are closed.
        """
        balances = self._books.balances()
        advances = self._books.list_advances()
        lines = self._books.list_lines()
        accounts = [
            address(account.split(":", 1)[1])
            for book, account in balances
            if book == CUSTODIAN and account != Account.BANK
        ]
        chain = self._chain.fetch_facts(
            at,
            accounts=accounts,
            lenders={line.lender for line in lines},
            lines={line.line: line.lender for line in lines if line.state is LineState.OPEN},
            advances={
                one.advance: one.line for one in advances if one.state is not AdvanceState.NONE
            },
        )
        books = LedgerFacts(
            balances=balances,
            principal=self._books.balances_about(Account.LOAN_PRINCIPAL),
        )
        found = audit(chain, books)
        self._books.record_differences(found, day=beijing_day(at.at), now=self._clock.now())
        return found

    # -- what the chain says: lines and vaults ----------------------------------------------------

    def on_line_opened(self, seen: Occurred[events.LineOpened]) -> None:
        """A line stands on chain."""
        known = self._books.find_line(seen.event.line)
        if known is None:
            form = self._chain.fetch_line(seen.event.line)
            known = self._line_record(seen.event.line, form, LineState.OPEN)
        opened = replace(known, state=LineState.OPEN, opened_at=seen.at, limit_fen=seen.event.limit)
        self._books.save_line(opened)

    def on_line_changed(self, seen: Occurred[events.LineChanged]) -> None:
        """Limit, freeze or end of a line moved."""
        event = seen.event
        self._books.save_line(
            replace(
                self._get_line(event.line),
                limit_fen=event.limit,
                frozen=event.frozen,
                valid_until=dt.datetime.fromtimestamp(event.valid_until, dt.UTC),
            )
        )

    def on_vault_moved(self, seen: Occurred[events.VaultMoved]) -> None:
        """A lender's cash went into or out of his vault."""
        booking = Booking.VAULT_DEPOSIT if seen.event.deposit else Booking.VAULT_WITHDRAWAL
        self._book(seen, seen.event.lender, booking, {"cash": seen.event.amount})

    def on_line_reserved(self, seen: Occurred[events.LineReserved]) -> None:
        """An approval has locked cash."""
        event = seen.event
        line = self._get_line(event.line)
        self._books.save_line(replace(line, reserved_fen=event.reserved, drawn_fen=event.drawn))
        self._book(seen, line.lender, Booking.RESERVE, {"principal": event.amount}, event.line)

    def on_line_reserve_voided(self, seen: Occurred[events.LineReserveVoided]) -> None:
        """A reserve, or what a shortage cut of it, is free again."""
        event = seen.event
        line = self._get_line(event.line)
        self._books.save_line(replace(line, reserved_fen=event.reserved))
        self._book(seen, line.lender, Booking.RESERVE_VOID, {"principal": event.amount}, event.line)

    def on_line_drawn(self, seen: Occurred[events.LineDrawn]) -> None:
        """Cash has left the vault for a payee; ``PayeePaid`` books it."""
        event = seen.event
        line = self._get_line(event.line)
        self._books.save_line(replace(line, reserved_fen=event.reserved, drawn_fen=event.drawn))

    def on_line_repaid(self, seen: Occurred[events.LineRepaid]) -> None:
        """Principal came back; ``AdvanceRepaid`` books it."""
        line = self._get_line(seen.event.line)
        self._books.save_line(replace(line, drawn_fen=seen.event.drawn))

    def on_line_written_off(self, seen: Occurred[events.LineWrittenOff]) -> None:
        """Principal was given up; ``AdvanceWrittenOff`` books it."""
        line = self._get_line(seen.event.line)
        self._books.save_line(replace(line, drawn_fen=seen.event.drawn))

    # -- what the chain says: advances ------------------------------------------------------------

    def on_advance_requested(self, seen: Occurred[events.AdvanceRequested]) -> None:
        """A request stands on chain; the debtor, its waybill's issuer, is known from now on."""
        event = seen.event
        known = self._books.find_advance(event.advance)
        line = self._find_or_fetch_line(event.line)
        if known is None:
            _, payees = self._chain.fetch_advance(event.advance)
            known = AdvanceRecord(
                advance=event.advance,
                line=event.line,
                lender=line.lender,
                borrower=event.borrower,
                waybill=event.waybill,
                trip=event.trip,
                principal_fen=event.principal,
                decision=event.decision,
                submitted_at=seen.at,
            )
            self._books.save_advance(known)
            self._books.save_payees(_payees(event.advance, payees))
        receivable = self._books.find_receivable(event.waybill)
        if receivable is None:
            receivable = self._chain.fetch_receivable(event.waybill)
            self._books.save_receivable(receivable)
        moved = replace(known, debtor=str(receivable.debtor), requested_at=seen.at)
        self._move(moved, AdvanceState.REQUESTED)
        self._note(seen, event.advance, EventKind.REQUESTED, amount=event.principal)

    def on_debt_acknowledged(self, seen: Occurred[events.DebtAcknowledged]) -> None:
        """The debtor was notified and will pay the collection account only."""
        record = self._get_advance(seen.event.advance)
        receivable = self._books.find_receivable(record.waybill)
        if receivable is not None:
            self._books.save_receivable(
                replace(receivable, notice=seen.event.notice, acknowledged_at=seen.at)
            )

    def on_payee_consented(self, seen: Occurred[events.PayeeConsented]) -> None:
        """A payee agrees to his account."""
        payee = self._get_payee(seen.event.advance, seen.event.payee)
        self._books.save_payees([replace(payee, consented_at=seen.at)])

    def on_advance_approved(self, seen: Occurred[events.AdvanceApproved]) -> None:
        """The lender has approved: cash locked, receivable pledged, payees frozen."""
        event = seen.event
        record = self._get_advance(event.advance)
        until = dt.datetime.fromtimestamp(event.approved_until, dt.UTC)
        self._release_hold(record)
        freed = replace(record, held_fen=0, approved_until=until)
        self._move(freed, AdvanceState.APPROVED)
        self._note(seen, event.advance, EventKind.APPROVED, amount=event.principal)
        self._set_payees(event.advance, PayeeState.FROZEN)
        receivable = self._books.find_receivable(record.waybill)
        if receivable is not None:
            self._books.save_receivable(replace(receivable, lender=str(event.lender)))

    def on_advance_declined(self, seen: Occurred[events.AdvanceDeclined]) -> None:
        """The lender has declined."""
        record = self._get_advance(seen.event.advance)
        self._release_hold(record)
        closed = replace(record, held_fen=0, closed_at=seen.at)
        self._move(closed, AdvanceState.DECLINED)
        self._note(seen, seen.event.advance, EventKind.DECLINED)
        self._set_payees(seen.event.advance, PayeeState.CUT)

    def on_advance_releasable(self, seen: Occurred[events.AdvanceReleasable]) -> None:
        """Delivered, but the release waits; the reason is the chain's short word."""
        record = self._get_advance(seen.event.advance)
        waiting = replace(record, reason=_word(seen.event.reason))
        self._move(waiting, AdvanceState.RELEASABLE)
        self._note(seen, seen.event.advance, EventKind.RELEASABLE)

    def on_advance_released(self, seen: Occurred[events.AdvanceReleased]) -> None:
        """Granted, in the transaction that completed the delivery; each payee has his own event."""
        event = seen.event
        record = replace(
            self._get_advance(event.advance),
            released_fen=event.amount,
            start_day=event.start_day,
            due_day=event.due_day,
            released_at=seen.at,
            reason="",
        )
        self._move(record, AdvanceState.RELEASED)
        self._note(seen, event.advance, EventKind.RELEASED, amount=event.amount)

    def on_payee_paid(self, seen: Occurred[events.PayeePaid]) -> None:
        """A payee has his money on his account, queued for his bank."""
        event = seen.event
        record = self._accrue(seen, self._get_advance(event.advance))
        payee = next(
            one
            for one in self._books.list_payees([event.advance])[event.advance]
            if one.party == event.payee and one.waybill == event.waybill
        )
        self._books.save_payees(
            [
                replace(
                    payee,
                    state=PayeeState.PAID,
                    paid_fen=event.amount,
                    payout=event.payout,
                    paid_at=seen.at,
                )
            ]
        )
        grown = replace(record, outstanding_fen=record.outstanding_fen + event.amount)
        self._books.save_advance(grown)
        self._note(seen, event.advance, EventKind.DRAWN, amount=event.amount)
        self._book(
            seen,
            record.lender,
            Booking.DISBURSEMENT,
            {"principal": event.amount},
            event.advance,
        )

    def on_payee_failed(self, seen: Occurred[events.PayeeFailed]) -> None:
        """A payee could not be paid; his part stays reserved and anyone may try again."""
        payee = self._get_payee(seen.event.advance, seen.event.payee)
        self._books.save_payees([replace(payee, state=PayeeState.CLAIMABLE)])

    def on_advance_voided(self, seen: Occurred[events.AdvanceVoided]) -> None:
        """An approval has ended without a release."""
        record = replace(
            self._get_advance(seen.event.advance),
            reason=_word(seen.event.reason),
            closed_at=seen.at,
        )
        self._move(record, AdvanceState.VOIDED)
        self._note(seen, seen.event.advance, EventKind.VOIDED)
        self._set_payees(seen.event.advance, PayeeState.CUT)

    def on_interest_deferred(self, seen: Occurred[events.InterestDeferred]) -> None:
        """Interest starts on a later day."""
        record = self._accrue(seen, self._get_advance(seen.event.advance))
        self._books.save_advance(replace(record, start_day=seen.event.start_day))
        self._note(seen, seen.event.advance, EventKind.DEFERRED, day=seen.event.start_day)

    def on_advance_repaid(self, seen: Occurred[events.AdvanceRepaid]) -> None:
        """Money for a loan, shared by the chain; or charges that the lender waived."""
        event = seen.event
        record = self._accrue(seen, self._get_advance(event.advance))
        paid = event.fee + event.penalty + event.interest + event.principal
        if paid == 0:
            self._on_waived(seen, record)
            return
        self._note(seen, event.advance, EventKind.PAID, amount=paid)
        self._books.save_advance(replace(record, outstanding_fen=event.outstanding))
        booking = (
            Booking.RECOVERY_AFTER_CHARGE_OFF
            if record.state is AdvanceState.WRITTEN_OFF
            else Booking.REPAYMENT
        )
        self._book(
            seen,
            record.lender,
            booking,
            {
                "fee": event.fee,
                "penalty": event.penalty,
                "interest": event.interest,
                "principal": event.principal,
            },
            event.advance,
        )

    def on_advance_closed(self, seen: Occurred[events.AdvanceClosed]) -> None:
        """Nothing is owed any more."""
        record = self._get_advance(seen.event.advance)
        self._move(replace(record, closed_at=seen.at), AdvanceState.REPAID)

    def on_advance_defaulted(self, seen: Occurred[events.AdvanceDefaulted]) -> None:
        """The lender has declared default; payees not paid by now are not paid any more."""
        record = self._get_advance(seen.event.advance)
        payees = self._books.list_payees([record.advance])[record.advance]
        drawn = sum(payee.paid_fen for payee in payees)
        self._move(replace(record, released_fen=drawn), AdvanceState.DEFAULTED)
        self._note(seen, seen.event.advance, EventKind.DEFAULTED)
        self._books.save_payees(
            replace(payee, state=PayeeState.CUT)
            for payee in payees
            if payee.state is PayeeState.CLAIMABLE
        )

    def on_advance_written_off(self, seen: Occurred[events.AdvanceWrittenOff]) -> None:
        """Principal and accrued charges leave the books; the claim stands."""
        event = seen.event
        record = self._accrue(seen, self._get_advance(event.advance))
        receivable = {
            name: fen
            for name in ("interest", "fee", "penalty")
            if (fen := self._books.balances_about(f"{name}_receivable").get(event.advance, 0)) > 0
        }
        self._book(
            seen,
            record.lender,
            Booking.CHARGE_OFF,
            {"principal": event.principal, **receivable},
            event.advance,
        )
        self._move(record, AdvanceState.WRITTEN_OFF)
        self._note(seen, event.advance, EventKind.WRITTEN_OFF)

    # -- what the chain says: deliveries, settlements, the token ----------------------------------

    def on_delivery_completed(self, seen: Occurred[events.DeliveryCompleted]) -> None:
        """The debtor's term begins."""
        record = self._books.find_advance_of_trip(seen.event.trip)
        receivable = None if record is None else self._books.find_receivable(record.waybill)
        if receivable is not None and receivable.due_day is None:
            due_day = beijing_day(seen.at) + receivable.term_days
            self._books.save_receivable(replace(receivable, due_day=due_day))

    def on_freight_settled(self, seen: Occurred[events.FreightSettled]) -> None:
        """Freight was paid in and shared, to the last fen."""
        event = seen.event
        new = self._books.add_settlement(
            SettlementRecord(
                id=_event_id(seen),
                waybill=event.waybill,
                received_fen=event.received,
                to_loans_fen=event.to_loans,
                to_children_fen=event.to_children,
                to_performer_fen=event.to_performer,
                refunded_fen=event.refunded,
                at=seen.at,
            )
        )
        receivable = self._books.find_receivable(event.waybill)
        if new and receivable is not None:
            received = receivable.received_fen + event.received - event.refunded
            self._books.save_receivable(
                replace(receivable, received_fen=received, settled_at=seen.at)
            )

    def on_payout_paid(self, seen: Occurred[events.PayoutPaid]) -> None:
        """The bank has paid a payee out."""
        payee = self._books.find_payee_of_payout(seen.event.payout)
        if payee is not None:
            banked = replace(payee, state=PayeeState.BANKED, bank_paid_at=seen.at)
            self._books.save_payees([banked])

    def on_token_moved(self, seen: Occurred[events.Transfer]) -> None:
        """Every movement of the token, booked in the custodian's book account by account."""
        event = seen.event
        if event.value == 0 or event.from_ == event.to:
            return
        self._books.post(
            [
                self._entry(
                    seen,
                    CUSTODIAN,
                    "TOKEN",
                    (
                        Line(_custody_account(event.from_), event.value),
                        Line(_custody_account(event.to), -event.value),
                    ),
                )
            ]
        )

    # -- deciding ---------------------------------------------------------------------------------

    def _inputs(
        self, line: LineRecord, form: AdvanceRequest, facts: RequestFacts, now: dt.datetime
    ) -> dict[str, Any]:
        """What the rules may ask about, by name."""
        today = beijing_day(now)
        known = self._books.borrower_facts(line.borrower, line.lender, facts.debtor, now)
        policy = self._books.find_policy(line.lender, today)
        net_assets = None if policy is None else policy.net_assets_fen
        rooms: dict[str, int] = {}
        if net_assets is not None:
            rooms = dict(
                law.concentration_room_fen(
                    net_assets_fen=net_assets,
                    borrower_balance_fen=known.balance_fen,
                    group_balance_fen=known.balance_fen,
                )
            )
        held = line.held_fen
        return {
            "line_frozen": facts.line_frozen,
            "line_ended": now > facts.line_valid_until,
            "principal_fen": form.principal,
            "headroom_fen": max(0, facts.limit_fen - facts.reserved_fen - facts.drawn_fen - held),
            "limit_fen": facts.limit_fen,
            "reserved_fen": facts.reserved_fen + held,
            "drawn_fen": facts.drawn_fen,
            "receivable_fen": facts.receivable_fen,
            "advance_bps": line.advance_bps,
            "debtor_signed": facts.debtor_signed,
            "debtor_related": facts.debtor in (line.borrower, line.lender),
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
            "net_assets_known": net_assets is not None,
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
            "similar_financed": self._books.count_similar(form.fingerprint, form.trip, None),
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

    def _require_lawful(self, terms: Terms) -> None:
        cap = law.parameter("yearly_cost_cap_ppm", date_of(beijing_day(self._clock.now())))
        if terms.ceiling_ppm > cap:
            raise DecisionRefusedError(
                f"the yearly cost ceiling lies above the law's {cap} ppm",
                field="ceilingPpm",
                given=terms.ceiling_ppm,
                most=cap,
            )

    # -- booking ----------------------------------------------------------------------------------

    def _book(
        self,
        seen: Occurred[Event],
        lender: PartyId,
        booking: Booking,
        components: dict[str, int],
        about: str = "",
    ) -> None:
        if any(components.values()):
            lines = lines_of(booking, components, about=about)
            self._books.post([self._entry(seen, book_of(lender), booking.value, lines)])

    def _accrue(self, seen: Occurred[Event], record: AdvanceRecord) -> AdvanceRecord:
        """Books the charges of every day before this event's that no day end has booked yet."""
        days = accrue_days(record, self._replay(record), beijing_day(seen.at), self._clock.now())
        if not days.entries:
            return record
        self._books.post(days.entries)
        self._books.save_accrued([(record.advance, days.booked_to, days.booked)])
        return replace(record, accrued_day=days.booked_to, accrued=days.booked)

    def _on_waived(self, seen: Occurred[events.AdvanceRepaid], record: AdvanceRecord) -> None:
        event = seen.event
        if not event.waived:
            return
        self._note(seen, event.advance, EventKind.WAIVED, amount=event.waived)
        step = self._replay(record).steps[-1]
        self._book(
            seen,
            record.lender,
            Booking.WAIVER,
            {
                "fee": step.shares.fee,
                "penalty": step.shares.penalty,
                "interest": step.shares.interest,
            },
            event.advance,
        )

    def _entry(
        self,
        seen: Occurred[Event],
        book: str,
        kind: str,
        lines: tuple[Line, ...],
        suffix: str = "",
    ) -> Entry:
        return Entry(
            id=_event_id(seen) + suffix,
            book=book,
            kind=kind,
            day=beijing_day(seen.at),
            at=seen.at,
            known=self._clock.now(),
            lines=lines,
            source=seen.transaction_hash,
        )

    # -- the rest ---------------------------------------------------------------------------------

    def _replay(self, record: AdvanceRecord) -> Advance:
        terms = self._get_line(record.line).terms
        happened = self._books.list_events([record.advance])[record.advance]
        return replay(record.advance, terms, happened)

    def _note(
        self,
        seen: Occurred[Event],
        advance: AdvanceId,
        kind: EventKind,
        *,
        amount: int = 0,
        day: int = 0,
    ) -> None:
        self._books.add_event(
            advance,
            AdvanceEvent(
                id=_event_id(seen),
                kind=kind,
                at=seen.at,
                known=self._clock.now(),
                amount=amount,
                day=day,
                position=(seen.block_number, seen.log_index),
            ),
        )

    def _move(self, record: AdvanceRecord, wanted: AdvanceState) -> None:
        state = require_move(record.advance, record.state, wanted)
        self._books.save_advance(replace(record, state=state))

    def _release_hold(self, record: AdvanceRecord) -> None:
        if record.held_fen:
            self._books.unhold(record.line, record.held_fen)
            self._books.save_advance(replace(record, held_fen=0))

    def _was_refused(self, record: AdvanceRecord) -> bool:
        sent = self._outbox.find(f"advance:{record.advance}")
        return sent is not None and sent.state.value in ("reverted", "dropped")

    def _set_payees(self, advance: AdvanceId, state: PayeeState) -> None:
        payees = self._books.list_payees([advance])[advance]
        self._books.save_payees(replace(payee, state=state) for payee in payees)

    def _get_advance(self, advance: AdvanceId) -> AdvanceRecord:
        record = self._books.find_advance(advance)
        if record is None:
            raise UnknownAdvanceError(field="advance", given=advance)
        return record

    def _get_line(self, line: LineId) -> LineRecord:
        record = self._books.find_line(line)
        if record is None:
            raise UnknownLineError(field="line", given=line)
        return record

    def _find_or_fetch_line(self, line: LineId) -> LineRecord:
        record = self._books.find_line(line)
        if record is None:
            record = self._line_record(line, self._chain.fetch_line(line), LineState.OPEN)
            self._books.save_line(record)
        return record

    def _get_payee(self, advance: AdvanceId, party: PartyId) -> PayeeRecord:
        for payee in self._books.list_payees([advance])[advance]:
            if payee.party == party:
                return payee
        raise InvalidValueError(
            "not a payee of this advance", field="party", advance=advance, given=str(party)
        )

    def _line_record(self, line: LineId, form: CreditLine, state: LineState) -> LineRecord:
        return LineRecord(
            line=line,
            lender=form.lender,
            borrower=form.borrower,
            state=state,
            limit_fen=form.limit,
            valid_until=dt.datetime.fromtimestamp(form.valid_until, dt.UTC),
            terms=Terms(
                rate_ppm=form.rate_ppm,
                penalty_ppm=form.penalty_ppm,
                ceiling_ppm=form.ceiling_ppm,
                fee_bps=form.fee_bps,
                tenor_days=form.tenor_days,
                grace_days=form.grace_days,
            ),
            advance_bps=form.advance_bps,
            tolerance_bps=form.tolerance_bps,
            attestor=form.attestor,
            gated=form.gated,
            terms_hash=form.terms,
            form=_json(form),
            submitted_at=self._clock.now(),
        )

    def _require_fresh(self, expires: int) -> None:
        now = int(self._clock.now().timestamp())
        if expires < now:
            raise SignatureRefusedError(
                "the form has expired; prepare a new one", field="expires", given=expires, now=now
            )

    def _require_signed(
        self, party: PartyId, contract: str, form: Struct, signature: bytes
    ) -> None:
        if not self._chain.is_signed(party, contract, form, signature):
            raise SignatureRefusedError(
                f"{type(form).__name__} is not signed by party {party}",
                field="signature",
                party=str(party),
            )

    def _queue(self, call: ContractCall, form: Struct, *, about: str) -> None:
        self._outbox.queue(call, key=f"{call.function}:{struct_hash(form)}", about=about)

    def _form_expiry(self) -> int:
        return int((self._clock.now() + FORM_VALID).timestamp())


def loan_row(record: AdvanceRecord, loan: Advance, day: int) -> LoanRow:
    """A loan as the portfolio counts it on a day."""
    released_day = loan_first_day(loan)
    late = loan.days_past_due(day)
    tier = five_tier_floor(late)
    if loan.state is AdvanceState.DEFAULTED:
        tier = max(tier, FiveTier.SUBSTANDARD)
    return LoanRow(
        advance=record.advance,
        borrower=str(record.borrower),
        debtor=record.debtor,
        released_day=released_day,
        released_fen=loan.drawn,
        outstanding_fen=loan.in_books,
        days_past_due=late,
        tier=tier,
        month=date_of(released_day).strftime("%Y-%m"),
        received_income_fen=loan.fee_paid + loan.penalty_paid + loan.interest_paid - loan.waived,
        principal_days=_principal_days(loan, day + 1),
        written_off_fen=loan.written_off,
    )


def _principal_days(loan: Advance, day: int) -> int:
    """Sum over its days of the principal outstanding: what the ceiling's numerator counts."""
    if loan.rates is None or not loan.rates.ceiling_ppm:
        return 0
    per_day = loan.rates.ceiling_ppm
    return loan.accrued_to(day if loan.outstanding else 0).ceiling_num // per_day


def _payees(advance: AdvanceId, payees: Sequence[Payee]) -> list[PayeeRecord]:
    return [
        PayeeRecord(
            advance=advance,
            place=place,
            party=payee.party,
            waybill=payee.waybill,
            account=payee.account,
            amount_fen=payee.amount,
        )
        for place, payee in enumerate(payees)
    ]


def _custody_account(holder: Address) -> str:
    return Account.BANK.value if holder == _NOBODY else token_account(holder)


def _event_id(seen: Occurred[Event]) -> str:
    return f"{seen.transaction_hash}:{seen.log_index}"


def _word(reason: Hash32) -> str:
    """A short word as contracts write it into bytes32, or the hash itself."""
    raw = bytes.fromhex(reason[2:]).rstrip(b"\0")
    return raw.decode() if raw.isascii() and raw.decode().isprintable() else reason


def _json(form: Struct) -> dict[str, Any]:
    values: dict[str, Any] = json_value(form)
    return values


def _salt() -> Hash32:
    return Hash32("0x" + secrets.token_hex(32))
