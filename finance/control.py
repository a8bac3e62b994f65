"""Two people for what one must not do alone: a maker proposes, a checker decides; pure.

An actor is whoever acted, by a stable id: the id of an API key today, of a member once firms have members.
Who may make or check what for a lender is a port (``Duties``); that both are different people is the law of
this file and no port's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

from finance.errors import FinanceError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from chain.ids import PartyId


class FourEyesError(FinanceError):
    """This needs a second person: one proposes it, another approves it."""

    code = "four_eyes"


class ActKind(StrEnum):
    """What needs two people."""

    OPEN_LINE = "open_line"
    RAISE_LIMIT = "raise_limit"
    UNFREEZE = "unfreeze"
    EXTEND_LINE = "extend_line"
    WRITE_OFF = "write_off"
    WAIVE = "waive"
    RESTRUCTURE = "restructure"
    POLICY = "policy"


class ProposalState(StrEnum):
    """Where a proposal stands; the moves allowed are ``MOVES``."""

    OPEN = "open"
    APPROVED = "approved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    DONE = "done"
    """Carried out; it serves once."""


MOVES: Final[Mapping[ProposalState, frozenset[ProposalState]]] = MappingProxyType(
    {
        ProposalState.OPEN: frozenset(
            {ProposalState.APPROVED, ProposalState.REFUSED, ProposalState.WITHDRAWN}
        ),
        ProposalState.APPROVED: frozenset({ProposalState.DONE, ProposalState.WITHDRAWN}),
        ProposalState.REFUSED: frozenset(),
        ProposalState.WITHDRAWN: frozenset(),
        ProposalState.DONE: frozenset(),
    }
)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one person wants done and another must agree to.

    Attributes:
        id: hash of kind, lender and body: the same wish is one proposal.
        subject: what it is about (line, advance); for people and lists.
        form: hash of exactly the form that will be signed; another form needs another proposal.
        body: the form's values, so that the checker sees what he agrees to.
        amount_fen: what it may cost; duties may have limits.
    """

    id: str
    kind: ActKind
    lender: PartyId
    subject: str
    form: str
    body: Mapping[str, Any]
    amount_fen: int
    maker: str
    made_at: dt.datetime
    expires_at: dt.datetime
    state: ProposalState = ProposalState.OPEN
    checker: str = ""
    decided_at: dt.datetime | None = None
    note: str = ""


class Duties(Protocol):
    """Who may propose and who may approve what for a lender."""

    def may_make(self, actor: str, lender: PartyId, kind: ActKind) -> bool:
        """Whether an actor may propose such an act."""
        ...

    def may_check(self, actor: str, lender: PartyId, kind: ActKind, amount_fen: int) -> bool:
        """Whether an actor may approve or refuse such an act of such an amount."""
        ...


class EveryoneOfTheLender:
    """The duties while a firm has keys and no members: every key of the lender may make and check."""

    def may_make(self, actor: str, lender: PartyId, kind: ActKind) -> bool:
        """Always: the door has checked whose key it is."""
        return bool(actor and lender and kind)

    def may_check(self, actor: str, lender: PartyId, kind: ActKind, amount_fen: int) -> bool:
        """Always, and never his own proposal (``decide``)."""
        return bool(actor and lender and kind) and amount_fen >= 0


def decide(
    proposal: Proposal, *, approve: bool, checker: str, now: dt.datetime, duties: Duties, note: str
) -> Proposal:
    """A second person agrees or refuses.

    Raises:
        FourEyesError: his own proposal, not his duty, expired, or decided already.
    """
    if checker == proposal.maker:
        raise FourEyesError(
            "who proposed it cannot approve it; ask a second person", field="checker"
        )
    if not duties.may_check(checker, proposal.lender, proposal.kind, proposal.amount_fen):
        raise FourEyesError("this person may not approve such an act", field="checker")
    if now > proposal.expires_at:
        raise FourEyesError("the proposal has expired; make it again", field="proposal")
    wanted = ProposalState.APPROVED if approve else ProposalState.REFUSED
    return _move(proposal, wanted, checker=checker, decided_at=now, note=note)


def withdraw(proposal: Proposal, *, by: str, now: dt.datetime) -> Proposal:
    """Its maker takes it back.

    Raises:
        FourEyesError: somebody else's, or over already.
    """
    if by != proposal.maker:
        raise FourEyesError("only its maker takes a proposal back", field="maker")
    return _move(proposal, ProposalState.WITHDRAWN, decided_at=now)


def carry_out(proposal: Proposal | None, *, form: str, now: dt.datetime) -> Proposal:
    """Uses an approved proposal up for exactly its form.

    Raises:
        FourEyesError: none, not approved, expired, or for another form.
    """
    if proposal is None:
        raise FourEyesError("propose it first; a second person then approves it", field="proposal")
    if proposal.form != form:
        raise FourEyesError("the proposal was made for another form", field="proposal")
    if proposal.state is not ProposalState.APPROVED:
        raise FourEyesError(
            "a second person has not approved it", field="proposal", current=proposal.state.value
        )
    if now > proposal.expires_at:
        raise FourEyesError("the proposal has expired; make it again", field="proposal")
    return _move(proposal, ProposalState.DONE)


def _move(proposal: Proposal, wanted: ProposalState, **changes: Any) -> Proposal:
    if wanted not in MOVES[proposal.state]:
        raise FourEyesError(
            f"a proposal that is {proposal.state} cannot become {wanted}",
            field="proposal",
            current=proposal.state.value,
        )
    return replace(proposal, state=wanted, **changes)
