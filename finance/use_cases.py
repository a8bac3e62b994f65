"""What every family of the money's use cases shares: its ports, what must exist, be fresh and be signed."""

from __future__ import annotations

import datetime as dt
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from chain.abi import json_value
from chain.clock import instant_of
from chain.errors import InvalidValueError, SignatureRefusedError
from chain.ids import AdvanceId, Hash32, LineId, PartyId
from chain.typed_data import struct_hash
from finance.advance import AdvanceEvent, AdvanceState, EventKind, replay, require_move
from finance.errors import (
    UnknownAdvanceError,
    UnknownLineError,
)
from finance.foreign import ForeignFacts
from finance.forests import shipped_forest
from finance.records import (
    AdvanceRecord,
    DecisionRecord,
    LineRecord,
    LineState,
    PayeeRecord,
    PayeeState,
)
from finance.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chain.abi import ContractCall, Event, Occurred, Struct
    from chain.bindings.structs import (
        CreditLine,
        Payee,
    )
    from chain.clock import Clock
    from chain.ports import Outbox
    from finance.advance import Advance
    from finance.ports import Books, OnChain
    from finance.risk import Decision, Forest, Stage

FORM_VALID: Final = dt.timedelta(days=7)
"""How long a prepared form may be signed and used."""


class MoneyUseCases:
    """The ports, and what every family of use cases asks of them. One object serves one transaction."""

    def __init__(
        self,
        *,
        books: Books,
        outbox: Outbox,
        chain: OnChain,
        clock: Clock,
        forest: Forest | None = None,
        foreign: ForeignFacts | None = None,
    ) -> None:
        self._books = books
        self._outbox = outbox
        self._chain = chain
        self._clock = clock
        self._forest = forest or shipped_forest()
        self._foreign = foreign or ForeignFacts()

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
                id=event_id(seen),
                kind=kind,
                at=seen.at,
                known=self._clock.now(),
                amount=amount,
                day=day,
                position=(seen.block_number, seen.log_index),
            ),
        )

    def _keep_decision(
        self,
        made: Decision,
        stage: Stage,
        subject: str,
        *,
        asked_fen: int,
        lender: PartyId,
        at: dt.datetime,
        started: int,
    ) -> DecisionRecord:
        """Keeps a decision with what it was about; ``started`` is of ``time.perf_counter_ns``."""
        kept = DecisionRecord(
            decision=made,
            subject=subject,
            stage=stage.value,
            forest=self._forest.hash,
            asked_fen=asked_fen,
            elapsed_us=(time.perf_counter_ns() - started) // 1_000,
            decided_at=at,
            lender=str(lender),
        )
        self._books.add_decision(kept)
        return kept

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

    def _find_or_learn_line(self, line: LineId) -> LineRecord:
        record = self._books.find_line(line)
        if record is None:
            record = self._line_record(line, self._foreign.terms_of(line), LineState.OPEN)
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
            valid_until=instant_of(form.valid_until),
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
            form=form_json(form),
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


def event_id(seen: Occurred[Event]) -> str:
    """The id under which an event is booked, once."""
    return f"{seen.transaction_hash}:{seen.log_index}"


def form_json(form: Struct) -> dict[str, Any]:
    """A form's values as JSON."""
    values: dict[str, Any] = json_value(form)
    return values


def new_salt() -> Hash32:
    """A salt that makes a form single-use."""
    return Hash32("0x" + secrets.token_hex(32))


def payees_of_form(advance: AdvanceId, payees: Sequence[Payee]) -> list[PayeeRecord]:
    """The payees of a request as records, in order of payment."""
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
