"""The terms of a loan: every convention is a parameter, checked once, at the door."""

from __future__ import annotations

from dataclasses import dataclass

from finance.accrual import BPS, PPM, DayCount, Rates, Rounding, units_per_year
from finance.errors import InvalidTermsError
from finance.waterfall import CONTRACT_ORDER, Component

MAX_TENOR_DAYS = 3_650


@dataclass(frozen=True, slots=True)
class Terms:
    """What is agreed for one loan and does not move.

    Attributes:
        rate_ppm: contract rate, ppm a year.
        penalty_ppm: rate that stands in its place after the due day + grace, ppm a year.
        ceiling_ppm: most that fee, interest and penalty may cost together, ppm a year.
        fee_bps: one-off fee on the principal, 1/10,000, paid at the end.
        tenor_days: days from the release day to the due day.
        grace_days: days after the due day without penalty.
        day_count: share of a year by day; the chain knows ACT/365F alone.
        rounding: how charges become whole fen; the chain knows FLOOR alone.
        order: the order in which a payment clears what is due.
    """

    rate_ppm: int
    penalty_ppm: int
    ceiling_ppm: int
    fee_bps: int = 0
    tenor_days: int = 90
    grace_days: int = 0
    day_count: DayCount = DayCount.ACT_365F
    rounding: Rounding = Rounding.FLOOR
    order: tuple[Component, ...] = CONTRACT_ORDER

    def __post_init__(self) -> None:
        for name in (
            "rate_ppm", "penalty_ppm", "ceiling_ppm", "fee_bps", "tenor_days", "grace_days",
        ):  # fmt: skip
            if getattr(self, name) < 0:
                raise InvalidTermsError(
                    f"{name} is not negative", field=name, given=getattr(self, name)
                )
        for name in ("rate_ppm", "penalty_ppm"):
            if getattr(self, name) > self.ceiling_ppm:
                raise InvalidTermsError(
                    f"{name} may not lie above the yearly ceiling",
                    field=name,
                    given=getattr(self, name),
                    most=self.ceiling_ppm,
                )
        if self.ceiling_ppm > PPM:
            raise InvalidTermsError(
                "a yearly ceiling above 100% is no ceiling",
                field="ceiling_ppm",
                given=self.ceiling_ppm,
            )
        if self.fee_bps > BPS:
            raise InvalidTermsError(
                "a fee above the principal is none", field="fee_bps", given=self.fee_bps
            )
        if self.tenor_days > MAX_TENOR_DAYS:
            raise InvalidTermsError(
                f"a tenor lies between 0 and {MAX_TENOR_DAYS} days",
                field="tenor_days",
                given=self.tenor_days,
            )
        if sorted(self.order) != sorted(Component):
            raise InvalidTermsError(
                "an order names fee, penalty, interest and principal, each once",
                field="order",
                given=[str(component) for component in self.order],
            )
        units_per_year(self.day_count)  # refuses a convention that does not add up

    def fee_down(self, principal_fen: int) -> int:
        """The one-off fee on a principal, rounded down."""
        return principal_fen * self.fee_bps // BPS

    def rates(self, *, principal_fen: int, due_day: int) -> Rates:
        """What is frozen at release for the accumulator."""
        return Rates(
            rate_ppm=self.rate_ppm,
            penalty_ppm=self.penalty_ppm,
            ceiling_ppm=self.ceiling_ppm,
            fee_fen=self.fee_down(principal_fen),
            penalty_from=due_day + self.grace_days,
            day_count=self.day_count,
        )
