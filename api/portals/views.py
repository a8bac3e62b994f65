"""What the pages show, as frozen values: names instead of hashes, one vocabulary for states.

Pure. ``pages`` fills these from the services; the templates only lay them out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from api.portals.status import Tone as Tone  # noqa: PLC0414  pages look for it here
from api.portals.status import status_of
from api.stages import Stage as Stage  # noqa: PLC0414  pages look for it here
from chain.money import yuan_text

BEIJING = dt.timezone(dt.timedelta(hours=8), "Asia/Shanghai")


STEPS = (
    Stage.SIGNED,
    Stage.APPROVED,
    Stage.LOADED,
    Stage.ARRIVED,
    Stage.DELIVERED,
    Stage.PAID,
    Stage.REPAID,
)
"""The steps of the bar on top of a trip."""


class Lane(StrEnum):
    """The four flows that a timeline joins."""

    BUSINESS = "business"
    ROAD = "road"
    MONEY = "money"
    CHAIN = "chain"


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where an event stands on the chain.

    Attributes:
        state: queued, sent, mined, final, reverted ... (``chain.ports.TransactionState``).
        transaction: its hash, "" before it is known.
        block: its block, None before it is in one.
        gas: gas used, None where unknown.
    """

    state: str
    transaction: str = ""
    block: int | None = None
    gas: int | None = None

    @property
    def short(self) -> str:
        """The hash as people compare it: first six and last four digits."""
        return f"{self.transaction[:8]}…{self.transaction[-4:]}" if self.transaction else ""


@dataclass(frozen=True, slots=True)
class Moment:
    """One entry of the timeline.

    Attributes:
        title: key of the catalogue.
        actor: who did it, by name.
        detail: facts in words, already in the reader's language.
        tone: GOOD unless it needs attention.
        batches: track batches gathered in this line, 0 for any other.
        fixes: fixes in those batches.
    """

    at: dt.datetime
    lane: Lane
    title: str
    actor: str = ""
    detail: str = ""
    amount_fen: int | None = None
    tone: Tone = Tone.GOOD
    anchor: Anchor | None = None
    batches: int = 0
    fixes: int = 0

    @property
    def local(self) -> dt.datetime:
        """The instant in Beijing."""
        return self.at.astimezone(BEIJING)


@dataclass(frozen=True, slots=True)
class Contract:
    """One waybill of the chain, top first."""

    waybill: str
    tier: int
    issuer: str
    performer: str
    freight_fen: int
    paid_fen: int
    state: str
    declared: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """One finding of the judge."""

    code: str
    severity: str
    detail: str

    @property
    def tone(self) -> Tone:
        """Of the severity."""
        return {"fail": Tone.BAD, "review": Tone.WARN}.get(self.severity, Tone.PLAIN)


@dataclass(frozen=True, slots=True)
class Drive:
    """What the road says."""

    verdict: str
    coverage_bps: int | None = None
    distance_m: int | None = None
    route_m: int | None = None
    max_gap_s: int | None = None
    fixes_used: int | None = None
    fixes_rejected: int | None = None
    batches: int = 0
    attestations: Sequence[tuple[str, str]] = ()
    findings: Sequence[Observation] = ()
    root: str = ""
    has_map: bool = False

    @property
    def tone(self) -> Tone:
        """Of the verdict."""
        return {"pass": Tone.GOOD, "review": Tone.WARN, "fail": Tone.BAD}.get(
            self.verdict, Tone.PLAIN
        )


@dataclass(frozen=True, slots=True)
class Loan:
    """The advance on the trip."""

    state: str
    lender: str
    borrower: str
    principal_fen: int
    released_fen: int
    outstanding_fen: int
    fee_fen: int = 0
    interest_fen: int = 0
    penalty_fen: int = 0
    start_day: dt.date | None = None
    due_day: dt.date | None = None
    payees: Sequence[tuple[str, int, int]] = ()
    paid_fee_fen: int = 0
    paid_interest_fen: int = 0
    paid_penalty_fen: int = 0
    advance: str = ""


@dataclass(frozen=True, slots=True)
class TripCard:
    """A trip in the list."""

    trip: str
    note: str
    vehicle: str
    driver: str
    origin: str
    destination: str
    stage: Stage
    verdict: str
    freight_fen: int
    released_fen: int
    at: dt.datetime | None
    reasons: Sequence[str] = ()
    altered: bool = False

    @property
    def tone(self) -> Tone:
        """Of the stage."""
        return status_of("stage", self.stage).tone


@dataclass(frozen=True, slots=True)
class TripPage:
    """Everything on a trip's page."""

    card: TripCard
    consignor: str
    consignee: str
    quantity: str
    accepted: str
    contracts: Sequence[Contract]
    drive: Drive
    loan: Loan | None
    moments: Sequence[Moment] = field(default=())

    def step_state(self, step: Stage) -> str:
        """done, now, held or later: the bar on top."""
        stage = self.card.stage
        reached = {
            Stage.SIGNED: bool(self.contracts),
            Stage.APPROVED: self.loan is not None
            and self.loan.state not in {"none", "requested", "declined"},
            Stage.LOADED: any(moment.title == "trip_loaded" for moment in self.moments),
            Stage.ARRIVED: bool(self.drive.verdict),
            Stage.DELIVERED: any(m.title == "delivery_completed" for m in self.moments),
            Stage.PAID: self.loan is not None and self.loan.released_fen > 0,
            Stage.REPAID: self.loan is not None and self.loan.state == "repaid",
        }
        if reached[step]:
            bad = step is Stage.ARRIVED and self.drive.tone in {Tone.WARN, Tone.BAD}
            return "held" if bad else "done"
        first_open = next(s for s in STEPS if not reached[s])
        if step is first_open:
            return "held" if stage in {Stage.HELD, Stage.VOID} else "now"
        return "later"


@dataclass(frozen=True, slots=True)
class AccountLine:
    """One account of a trial balance, by name."""

    name: str
    code: str
    debit_fen: int
    credit_fen: int


@dataclass(frozen=True, slots=True)
class Book:
    """One book of the ledger: its owner by name, its accounts, and whether it balances."""

    owner: str
    lines: Sequence[AccountLine]

    @property
    def debit_fen(self) -> int:
        """Sum of the debit side."""
        return sum(line.debit_fen for line in self.lines)

    @property
    def credit_fen(self) -> int:
        """Sum of the credit side."""
        return sum(line.credit_fen for line in self.lines)

    @property
    def balanced(self) -> bool:
        """Whether both sides are equal, as they must be."""
        return self.debit_fen == self.credit_fen


def money_text(amount_fen: int, lang: str) -> str:
    """An amount as people read it.

    >>> money_text(864000, "zh"), money_text(-5, "en")
    ('¥8,640.00', '-CN¥0.05')
    """
    text = yuan_text(amount_fen)
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    return f"{sign}{'¥' if lang == 'zh' else 'CN¥'}{digits}"


def share_text(bps: int) -> str:
    """A share in 1/10,000 as per cent.

    >>> share_text(9876)
    '98.76%'
    """
    return f"{bps // 100}.{bps % 100:02d}%"


def distance_text(metres: int) -> str:
    """A distance in metres or kilometres.

    >>> distance_text(850), distance_text(10123)
    ('850 m', '10.1 km')
    """
    if metres < 1000:
        return f"{metres} m"
    tenths = (metres + 50) // 100
    return f"{tenths // 10}.{tenths % 10} km"
