"""Use cases of a running advance: gate, retry, repayment, the lender's acts, settlement, payout."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from chain.bindings.freight_advance import FreightAdvance
from chain.bindings.freight_settlement import FreightSettlement
from chain.bindings.settlement_token import SettlementToken
from chain.errors import InvalidValueError
from finance.advance import OWING, AdvanceState, require_move
from finance.errors import (
    AdvanceStateError,
)
from finance.terms import MAX_TENOR_DAYS

if TYPE_CHECKING:
    from chain.bindings.structs import (
        Cascade,
        Gate,
        LenderAct,
        PayoutRequest,
        Repayment,
    )
    from chain.ids import AdvanceId, PartyId, WaybillId
    from finance.records import AdvanceRecord

from finance.use_cases import MoneyUseCases


class Act(IntEnum):
    """The lender's acts on an advance, as ``LenderAct.act`` counts them."""

    DEFAULT = 1
    WRITE_OFF = 2
    LATER_START = 3
    DECLINE = 4
    WAIVE = 5
    EXTEND = 6
    """A later due day: the loan counts as restructured from then on."""


GIVES_UP: Final = frozenset({Act.WRITE_OFF, Act.LATER_START, Act.WAIVE, Act.EXTEND})
"""What gives money up, or time."""


class RunningUseCases(MoneyUseCases):
    """What may be done with an advance once it is approved."""

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
        """The lender declares default, writes off, defers interest, declines, waives charges or extends.

        Raises:
            AdvanceStateError: it cannot be done to the advance as it stands; says why.
            InvalidValueError: the later due day does not lie after the present one.
        """
        record = self._get_advance(form.advance)
        wanted = {
            Act.DEFAULT: AdvanceState.DEFAULTED,
            Act.WRITE_OFF: AdvanceState.WRITTEN_OFF,
            Act.DECLINE: AdvanceState.DECLINED,
        }.get(Act(form.act))
        if wanted is not None:
            require_move(form.advance, record.state, wanted)
        if form.act == Act.EXTEND:
            self._require_extendable(record, form.value)
        self._require_fresh(form.expires)
        self._require_signed(record.lender, "FreightAdvance", form, lender_signature)
        self._queue(FreightAdvance.act(form, lender_signature), form, about=record.trip)

    def _require_extendable(self, record: AdvanceRecord, day: int) -> None:
        if record.state is not AdvanceState.RELEASED:
            raise AdvanceStateError(
                f"an advance that is {record.state.value} cannot be extended",
                advance=record.advance,
                current=record.state.value,
            )
        if not record.due_day < day <= record.due_day + MAX_TENOR_DAYS:
            raise InvalidValueError(
                "the later due day lies after the present one, by ten years at most",
                field="message.value",
                given=day,
                due_day=record.due_day,
            )

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
