"""A credit line: its headroom, and the limit that history earns, in whole numbers that explain themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from finance.accrual import BPS, PPM
from finance.errors import HeadroomError, InvalidAmountError, LineStateError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

STEP_FEN = 1_000_000
"""Limits are whole steps of RMB 10,000."""


@dataclass(frozen=True, slots=True)
class Line:
    """A credit line as it stands. Amounts in fen.

    Attributes:
        reserved: approved and locked in the vault, not yet paid out.
        drawn: principal paid out and not yet repaid.
    """

    limit: int
    reserved: int = 0
    drawn: int = 0
    frozen: bool = False
    valid_until: dt.datetime | None = None

    @property
    def headroom(self) -> int:
        """What may still be approved; never negative, even after the limit was lowered."""
        return max(0, self.limit - self.reserved - self.drawn)

    def require_open(self, at: dt.datetime) -> None:
        """Refuses new use of a line that is frozen or over.

        Raises:
            LineStateError: it is.
        """
        if self.frozen:
            raise LineStateError("the credit line is frozen")
        if self.valid_until is not None and at > self.valid_until:
            raise LineStateError(
                "the credit line has ended", valid_until=self.valid_until.isoformat()
            )

    def reserve(self, amount: int) -> Line:
        """The line with an amount locked.

        Raises:
            HeadroomError: there is less room.
        """
        _require_amount(amount)
        if amount > self.headroom:
            raise HeadroomError(
                f"the line has headroom for {self.headroom} fen",
                headroom_fen=self.headroom,
                asked_fen=amount,
            )
        return replace(self, reserved=self.reserved + amount)

    def void(self, amount: int) -> Line:
        """The line with a reserve given back, exactly."""
        _require_amount(amount)
        if amount > self.reserved:
            raise InvalidAmountError("more than is reserved", field="amount", given=amount)
        return replace(self, reserved=self.reserved - amount)

    def draw(self, reserved: int, drawn: int) -> Line:
        """The line with a reserve turned into a loan; what is not drawn of it is free again."""
        _require_amount(reserved)
        if not 0 <= drawn <= reserved <= self.reserved:
            raise InvalidAmountError("a draw lies within its reserve", field="amount", given=drawn)
        return replace(self, reserved=self.reserved - reserved, drawn=self.drawn + drawn)

    def repay(self, principal: int) -> Line:
        """The line after repaid principal; it adds exactly that, interest and fees add nothing."""
        if not 0 <= principal <= self.drawn:
            raise InvalidAmountError("more than is drawn", field="amount", given=principal)
        return replace(self, drawn=self.drawn - principal)


@dataclass(frozen=True, slots=True)
class BorrowingBase:
    """Credit that receivables open, up to a limit: available = advance rate x receivables - draws."""

    limit: int
    advance_bps: int
    available: int = 0

    def approve_receivable(self, amount: int) -> BorrowingBase:
        """Adds floor(amount x advance rate).

        Raises:
            HeadroomError: the available credit would pass the limit.
        """
        _require_amount(amount)
        grown = self.available + amount * self.advance_bps // BPS
        if grown > self.limit:
            raise HeadroomError("the receivable opens more than the limit", limit_fen=self.limit)
        return replace(self, available=grown)

    def draw(self, amount: int) -> BorrowingBase:
        """Takes an amount.

        Raises:
            HeadroomError: less is available.
        """
        _require_amount(amount)
        if amount > self.available:
            raise HeadroomError("less is available", headroom_fen=self.available, asked_fen=amount)
        return replace(self, available=self.available - amount)


def most_to_advance_down(receivable_fen: int, advance_bps: int) -> int:
    """floor(receivable x advance rate): the most that may be lent against it."""
    return receivable_fen * advance_bps // BPS


def receivable_down(freight_fen: int, accepted: int, loaded: int, credit_notes_fen: int = 0) -> int:
    """What the debtor owes: floor(freight x accepted / loaded) less signed credit notes (DESIGN 3).

    Raises:
        InvalidAmountError: more accepted than loaded, or nothing loaded.
    """
    if not 0 <= accepted <= loaded or loaded <= 0:
        raise InvalidAmountError(
            "accepted lies between 0 and loaded", field="accepted", given=accepted, loaded=loaded
        )
    return max(0, freight_fen * accepted // loaded - credit_notes_fen)


# -- the limit from history (LENDING 4.3) ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DebtorHistory:
    """One debtor's last 90 days with the borrower: delivered, signed, attested, unrelated, unflagged.

    Attributes:
        debtor: its party id.
        freight_fen: freight of such trips.
        p75_days_to_pay: the third quartile of days from delivery to payment.
        short_pay_ppm: share of the freight that was paid short, millionths.
    """

    debtor: str
    freight_fen: int
    p75_days_to_pay: int
    short_pay_ppm: int = 0


@dataclass(frozen=True, slots=True)
class LimitPolicy:
    """The lender's parameters of the limit; each dated and versioned where it is stored."""

    version: str = "limit-2026-01"
    lend_bps: int = 8_000
    debtor_share_bps: int = 4_000
    tenure_bps: tuple[tuple[int, int], ...] = ((365, 10_000), (180, 8_000), (90, 6_000), (0, 2_500))
    behaviour_bps: tuple[int, int] = (5_000, 12_000)
    rise_bps: int = 2_500
    starter_fen: int = 5 * STEP_FEN
    cap_fen: int = 1_000_000_000
    law_cap_fen: int = 1_000_000_000
    """RMB 10m per business borrower online (金规〔2024〕26号)."""


@dataclass(frozen=True, slots=True)
class LimitStep:
    """One line of the explanation: a code and the amount after it."""

    code: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit and how it came about."""

    amount_fen: int
    policy: str
    steps: tuple[LimitStep, ...]


def earned_limit(
    history: Sequence[DebtorHistory],
    *,
    tenure_days: int,
    behaviour_bps: int = 10_000,
    room_fen: Sequence[tuple[str, int]] = (),
    present_fen: int | None = None,
    warned: bool = False,
    policy: LimitPolicy = LimitPolicy(),
) -> Limit:
    """The limit that a borrower's verified trips earn (LENDING 4.3), every step in whole fen, down.

    Args:
        history: one row a debtor.
        tenure_days: days since the first verified trip.
        behaviour_bps: 5,000 .. 12,000, from reasons shown to the borrower; held to that span.
        room_fen: named caps, e.g. what 10% and 15% of the lender's net assets leave.
        present_fen: the limit now; it rises by at most 25% a month and falls at once.
        warned: an early warning stands: no starter line.
        policy: the parameters.
    """
    steps: list[LimitStep] = []
    expected = [_expected_receivable(row) for row in history]
    steps.append(LimitStep("expected_receivables", sum(expected)))
    most = sum(expected) * policy.debtor_share_bps // BPS
    capped = sum(min(amount, most) for amount in expected)
    steps.append(LimitStep("debtor_share_cap", capped))
    share = next((bps for days, bps in policy.tenure_bps if tenure_days >= days), 0)
    behaviour = min(max(behaviour_bps, policy.behaviour_bps[0]), policy.behaviour_bps[1])
    amount = capped * policy.lend_bps * share * behaviour // BPS**3
    steps.append(LimitStep("lend_tenure_behaviour", amount))
    if not warned and amount < policy.starter_fen:
        amount = policy.starter_fen
        steps.append(LimitStep("starter_line", amount))
    caps = [("policy_cap", policy.cap_fen), ("law_cap", policy.law_cap_fen), *room_fen]
    if present_fen:
        caps.append(("rise_cap", present_fen * (BPS + policy.rise_bps) // BPS))
    for code, cap in caps:
        if amount > cap:
            amount = max(0, cap)
            steps.append(LimitStep(code, amount))
    amount = amount // STEP_FEN * STEP_FEN
    steps.append(LimitStep("whole_steps", amount))
    return Limit(amount, policy.version, tuple(steps))


def _expected_receivable(row: DebtorHistory) -> int:
    """E_s = V_s / 90 x min(p75, 90) x (1 - 1.5 x short-pay rate), rounded down."""
    keep = max(0, 2 * PPM - 3 * row.short_pay_ppm)
    return row.freight_fen * min(row.p75_days_to_pay, 90) * keep // (90 * 2 * PPM)


def _require_amount(amount: int) -> None:
    if amount <= 0:
        raise InvalidAmountError("an amount is above zero", field="amount", given=amount)
